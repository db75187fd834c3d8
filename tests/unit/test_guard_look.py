"""The guard's eyes on the real thing: sockets, processes, a small HTTP server."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from roles.guard.plan import lines
from roles.guard.program import act, api, look
from roles.guard.program.journal import FRESH, Follower
from roles.guard.program.seen import Api, Canary, Server, Sight, Slot, Socket, Unit

SLOTS = (
    b'[{"id":0,"n_ctx":4096,"speculative":false,"is_processing":true,"id_task":61,"n_prompt_tokens":202,'
    b'"n_prompt_tokens_processed":121,"n_prompt_tokens_cache":0,"params":{},"next_token":[{"has_next_token":true,'
    b'"has_new_line":false,"n_remain":40,"n_decoded":80}]},'
    b'{"id":1,"n_ctx":4096,"speculative":false,"is_processing":false}]'
)
"""llama-server at 0c1e57098; the first at work, the second never used."""


def eventually(is_so: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, "it never was so"
        time.sleep(0.05)


# --- sockets


@contextmanager
def listening() -> Iterator[tuple[socket.socket, int]]:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(1)
        yield server, server.getsockname()[1]


def sight(port: int) -> Sight:
    return Sight(Unit("active", os.getpid(), "a"), look.process(os.getpid()), look.sockets([port]))


def test_bytes_that_nobody_reads_are_seen_and_are_not_taken() -> None:
    with listening() as (server, port), socket.create_connection(("127.0.0.1", port)) as client:
        inside, _ = server.accept()
        with inside:
            client.sendall(b"x" * 1000)
            eventually(lambda: _served(port).unread == 1000)
            before = _served(port)
            assert (before.taken, before.given) == (0, 0)
            assert len(inside.recv(400)) == 400
            after = _served(port)
            assert (after.unread, after.taken) == (600, 400)
            inside.sendall(b"y" * 50)
            eventually(lambda: _served(port).given == 50)


def _served(port: int) -> Socket:
    (found,) = (each for each in sight(port).owned("ESTAB") if each.local == f"127.0.0.1:{port}")
    return found


def test_who_waits_at_the_door_is_nobodys_yet() -> None:
    with listening() as (server, port), socket.create_connection(("127.0.0.1", port)):
        eventually(lambda: any(each.unread == 1 for each in sight(port).owned("LISTEN")))
        seen = sight(port)
        local = f"127.0.0.1:{port}"
        assert [each.local for each in seen.sockets if each.state == "ESTAB" and each.local == local] == [local]
        assert [each.local for each in seen.owned("ESTAB") if each.local == local] == []
        inside, _ = server.accept()
        with inside:
            assert _served(port)


def test_a_connection_whose_other_end_was_closed_is_not_established() -> None:
    with listening() as (server, port):
        client = socket.create_connection(("127.0.0.1", port))
        server.accept()[0].close()
        eventually(lambda: not [each for each in sight(port).owned("ESTAB") if each.peer == f"127.0.0.1:{port}"])
        client.close()


def test_keepalive_is_put_on_another_process_s_connection() -> None:
    with listening() as (_, port):
        script = (
            "import socket, sys; c = socket.create_connection(('127.0.0.1', int(sys.argv[1]))); "
            f"input(); print(c.getsockopt(socket.IPPROTO_TCP, {act.TCP_RTO_MAX_MS}))"
        )
        pipe = subprocess.PIPE
        child = subprocess.Popen([sys.executable, "-c", script, str(port)], stdin=pipe, stdout=pipe, stderr=pipe)
        try:
            peer = f"127.0.0.1:{port}"
            eventually(lambda: any(each.peer == peer and each.inode for each in look.sockets([port])))
            mine = Sight(Unit(), look.process(child.pid), look.sockets([port]))
            (seen,) = (each for each in mine.owned("ESTAB") if each.peer == peer)
            assert not seen.keepalive
            assert mine.process
            try:
                act.keepalive(child.pid, mine.process.sockets[seen.inode])
            except PermissionError:
                pytest.skip("this machine lets nobody have another process's descriptor (pidfd_getfd)")
            (now,) = (each for each in look.sockets([port]) if each.peer == peer and each.state == "ESTAB")
            assert now.keepalive
            said, wrong = child.communicate(b"\n", timeout=60)
            before_6_15 = b"Protocol not available" in wrong
            assert said == b"20000\n" or before_6_15, wrong
        finally:
            child.kill()
            child.wait()


def test_a_process_that_is_gone_has_no_descriptor_to_take() -> None:
    child = subprocess.Popen(["true"])
    child.wait()
    with pytest.raises(OSError, match="No such process"):
        act.keepalive(child.pid, 3)
    assert look.process(child.pid) is None


def test_who_holds_a_port_has_a_name() -> None:
    with listening() as (_, port):
        name = Path(f"/proc/{os.getpid()}/comm").read_text().strip()
        everybody = look.sockets([port])
        assert look.holder(f"127.0.0.1:{port}", everybody) == f"{name} (process {os.getpid()})"
        assert look.holder(f"127.0.0.2:{port}", everybody) == ""
    with socket.socket() as server:
        server.bind(("0.0.0.0", 0))  # noqa: S104
        server.listen(1)
        port = server.getsockname()[1]
        assert str(os.getpid()) in look.holder(f"127.0.0.3:{port}", look.sockets([port]))


def test_no_ports_no_question() -> None:
    assert look.sockets([]) == ()


# --- processes


def test_a_stopped_process_and_the_time_it_used() -> None:
    script = "while True: pass"
    child = subprocess.Popen([sys.executable, "-c", script])
    try:
        eventually(lambda: (look.process(child.pid) or pytest.fail("gone")).cpu > 0.1)
        child.send_signal(signal.SIGSTOP)
        eventually(lambda: (look.process(child.pid) or pytest.fail("gone")).state == "T")
        first = look.process(child.pid)
        time.sleep(0.3)
        assert look.process(child.pid) == first
        child.send_signal(signal.SIGCONT)
        eventually(lambda: (look.process(child.pid) or pytest.fail("gone")).state in "RS")
    finally:
        child.kill()
        child.wait()


def test_a_name_with_brackets_and_blanks(tmp_path: Path) -> None:
    folder = tmp_path / "7"
    (folder / "fd").mkdir(parents=True)
    (folder / "stat").write_text("7 (a) R 1 (b) T 1 7 7 0 -1 4194304 1 2 3 4 250 50 0 0 20 0 1 0 1 1 1\n")
    (folder / "io").write_text("rchar: 5\nwchar: 6\nsyscr: 0\nsyscw: 0\nread_bytes: 7\nwrite_bytes: 8\n")
    (folder / "fd/4").symlink_to("socket:[99]")
    (folder / "fd/5").symlink_to("/dev/null")
    found = look.process(7, tmp_path)
    assert found
    assert (found.state, found.cpu, found.disk, dict(found.sockets)) == ("T", 3.0, 20, {99: 4})


@pytest.mark.skipif(os.geteuid() != 0, reason="it is about what root may not look at")
def test_a_process_that_may_not_be_looked_at_is_not_one_without_connections() -> None:
    """As under SELinux's deny_ptrace: such a server would be killed for the workers that it has not."""
    child = subprocess.Popen(["sleep", "60"])
    script = (
        "import ctypes, sys; ctypes.CDLL(None).prctl(24, 19)\n"  # PR_CAPBSET_DROP, CAP_SYS_PTRACE
        "from os import execvp; execvp(sys.executable, [sys.executable, '-c', sys.argv[1], sys.argv[2]])"
    )
    look_at = "import sys; from roles.guard.program import look; print(look.process(int(sys.argv[1])))"
    try:
        done = subprocess.run([sys.executable, "-c", script, look_at, str(child.pid)], capture_output=True, text=True)
    finally:
        child.kill()
        child.wait()
    assert "PermissionError" in done.stderr, done


# --- systemctl


def test_units_as_systemctl_says_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Transcript (systemd 257): several units in one question, an empty line between them."""
    said = (
        "MainPID=212\nResult=success\nExecStart={ path=/x ; argv[]=/x --port 1 ; ignore_errors=no ; pid=212 }\n"
        "Id=halofleet-rpc-server.service\nActiveState=active\nInvocationID=7f0e\n\n"
        "MainPID=0\nResult=exit-code\nId=halofleet-server-chat.service\n"
        "ActiveState=activating\nInvocationID=\n"
    )
    program(tmp_path, "systemctl", f"cat <<'END'\n{said}END")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    names = ("halofleet-rpc-server.service", "halofleet-server-chat.service", "other.service")
    assert look.units(names) == {
        names[0]: Unit(
            "active", 212, "7f0e", "{ path=/x ; argv[]=/x --port 1 ; ignore_errors=no ; pid=212 }", "success"
        ),
        names[1]: Unit("activating", result="exit-code"),
        names[2]: Unit(),
    }
    program(tmp_path, "systemctl", "echo Failed to connect to bus >&2; exit 1")
    with pytest.raises(RuntimeError, match="Failed to connect to bus"):
        look.units(names)


def test_a_service_is_killed_and_one_that_systemd_gave_up_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path, "systemctl", f'echo "$*" >>{tmp_path}/said')
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert act.end("x.service", Unit("active", 1, "a")) == "killed; systemd starts it again"
    assert act.end("x.service", Unit("failed")) == "started"
    assert (tmp_path / "said").read_text().splitlines() == [
        "kill --signal=SIGKILL x.service",
        "reset-failed x.service",
        "start --no-block x.service",
    ]


def test_a_service_is_killed_where_systemd_does_not_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, "systemctl", "exit 1")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    child = subprocess.Popen(["sleep", "60"])
    act.end("x.service", Unit("active", child.pid, "a"))
    assert child.wait(10) == -signal.SIGKILL


def program(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


# --- the API


class Answers(ThreadingHTTPServer):
    """status, body: of every answer; gate: it is held back until this is set."""

    daemon_threads = True
    status, body = 200, b""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.gate = threading.Event()
        self.gate.set()
        self.requests: list[tuple[str, str, str, bytes]] = []


class Handler(BaseHTTPRequestHandler):
    server: Answers

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.requests.append((self.command, self.path, self.headers.get("Authorization", ""), body))
        self.server.gate.wait(30)
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(self.server.body)))
        self.end_headers()
        self.wfile.write(self.server.body)

    do_POST = do_GET  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def http() -> Iterator[tuple[Answers, Server]]:
    with Answers() as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server, Server("s.service", "chat", "127.0.0.1", server.server_port, (), 60, 300)
        server.gate.set()
        server.shutdown()


def test_slots(http: tuple[Answers, Server]) -> None:
    server, service = http
    server.body = SLOTS
    both = (Slot(0, True, 61, 202, 121, 80, 4096), Slot(1, False, context=4096))
    assert api.ask(service, "secret") == Api("ready", both)
    assert server.requests == [("GET", "/slots", "Bearer secret", b"")]


@pytest.mark.parametrize(
    ("status", "body", "state"),
    [
        (503, b'{"error":{"message":"Loading model","type":"unavailable_error","code":503}}', "loading"),
        (401, b"{}", "closed"),
        (501, b"{}", "closed"),
        (200, b"<html>", "closed"),
        (200, b'[{"slot": 1}]', "closed"),
    ],
)
def test_what_else_it_may_say(http: tuple[Answers, Server], status: int, body: bytes, state: str) -> None:
    server, service = http
    server.status, server.body = status, body
    assert api.ask(service, "secret") == Api(state)


def test_silence(http: tuple[Answers, Server], monkeypatch: pytest.MonkeyPatch) -> None:
    server, service = http
    monkeypatch.setattr(api, "PATIENCE", 0.2)
    server.gate.clear()
    assert api.ask(service, "secret") == Api("silent")


def test_nobody_there() -> None:
    with listening() as (_, port):
        pass
    assert api.ask(Server("s", "chat", "127.0.0.1", port, (), 60, 300), "secret") == Api("refused")


def test_who_does_not_speak_with_us_is_not_deaf() -> None:
    """A server with TLS ends a connection that does not begin with it; so may a firewall."""
    with listening() as (server, port):
        threading.Thread(target=lambda: server.accept()[0].close(), daemon=True).start()
        assert api.ask(Server("s", "chat", "127.0.0.1", port, (), 60, 300), "secret") == Api("cut")


def test_a_canary_takes_as_long_as_it_likes_and_is_sent_once(http: tuple[Answers, Server]) -> None:
    server, service = http
    server.gate.clear()
    birds = api.Birds(service)
    birds.send("secret", 3)
    assert birds.now.running
    assert birds.now.slot == 3
    eventually(lambda: len(server.requests) == 1)
    time.sleep(0.3)
    assert birds.now.running
    server.gate.set()
    eventually(lambda: not birds.now.running)
    assert (birds.now.answered, birds.now.sick) == (1, 0)
    method, path, key, body = server.requests[0]
    assert (method, path, key) == ("POST", "/completion", "Bearer secret")
    assert json.loads(body) == {"prompt": "a", "n_predict": 1, "cache_prompt": False, "id_slot": 3, "temperature": 0}


def test_only_the_server_s_own_error_makes_a_canary_sick(http: tuple[Answers, Server]) -> None:
    server, service = http
    birds = api.Birds(service)
    for status, sick in ((500, 1), (500, 2), (501, 0), (500, 1), (400, 0), (200, 0)):
        server.status = status
        birds.send("secret", 0)
        eventually(lambda: not birds.now.running)
        assert birds.now.sick == sick, status
    assert birds.now.answered == 1
    server.server_close()
    birds.send("secret", 0)
    eventually(lambda: not birds.now.running)
    assert (birds.now.answered, birds.now.sick) == (1, 0)


def test_what_became_of_the_canaries_of_one_process_is_nothing_against_the_next(http: tuple[Answers, Server]) -> None:
    """It would be killed while it loads, again and again."""
    server, service = http
    birds = api.Birds(service)
    assert birds.of("a") == Canary()
    for status in (200, 500, 500, 500):
        server.status = status
        birds.send("secret", 0)
        eventually(lambda: not birds.now.running)
    assert (birds.of("a").answered, birds.of("a").sick) == (1, 3)
    server.gate.clear()
    birds.send("secret", 0)
    assert birds.of("b") == Canary()
    server.gate.set()
    time.sleep(0.3)
    assert birds.of("b") == Canary(), "the answer to the one before it came late"


def test_a_canary_that_cannot_be_sent_is_not_waited_for(
    http: tuple[Answers, Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is waited for in vain has the server killed."""
    _, service = http
    birds = api.Birds(service)
    birds.send("a key with\nanother line", 0)
    eventually(lambda: not birds.now.running)
    before = birds.now

    def no_memory(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", no_memory)
    with pytest.raises(RuntimeError):
        birds.send("secret", 0)
    assert birds.now == before


# --- the journal


def test_a_line_that_says_that_the_device_is_lost() -> None:
    follower = Follower("s.service", ())
    follower.lines = ("device lost on",)
    follower.read(
        [
            '{"MESSAGE":"srv  update_slots: all slots are idle","_SYSTEMD_INVOCATION_ID":"a1"}\n',
            '{"MESSAGE":[104,228,108],"_SYSTEMD_INVOCATION_ID":"a1"}\n',
            '{"MESSAGE":null,"_SYSTEMD_INVOCATION_ID":"a1"}\n',
        ]
    )
    assert follower.found == {}
    follower.read(['{"MESSAGE":"ggml_vulkan: Device lost on Vulkan0","_SYSTEMD_INVOCATION_ID":"a1"}\n'])
    now = time.monotonic()
    assert follower.lost("a1", now) == "ggml_vulkan: Device lost on Vulkan0"
    assert follower.lost("a2", now) == ""
    assert follower.lost("a1", now + FRESH + 1) == "", "a completion has told by then"


def test_a_journal_that_cannot_be_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As journalctl says it in a domain of SELinux's that may not."""
    said = "No journal files were opened due to insufficient permissions."
    program(tmp_path, "journalctl", f"echo '{said}' >&2; exit 1")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    follower = Follower("s.service", ("device lost on",))
    eventually(lambda: bool(follower.trouble))
    assert follower.trouble == f"the journal of s.service cannot be read: {said}"
    follower.read(['{"MESSAGE":"all slots are idle"}\n'])
    assert follower.trouble == ""


@pytest.mark.parametrize(
    "line",
    [
        # ggml-org/llama.cpp#27076, #25664; lmstudio-ai/lmstudio-bug-tracker#1282 as llama-server logs what it catches
        "ggml_vulkan: device lost on Vulkan0",
        "3.45.098.561 E srv  update_slots: decode() failed: vk::Queue::submit: ErrorDeviceLost",
        "srv  update_slots: decode() failed: vk::Device::getFenceStatus: ErrorDeviceLost",
    ],
)
def test_what_real_ones_said(line: str) -> None:
    follower = Follower("s.service", ())
    follower.lines = lines()
    follower.read([json.dumps({"MESSAGE": line, "_SYSTEMD_INVOCATION_ID": "a1"}) + "\n"])
    assert follower.lost("a1", time.monotonic()) == line
