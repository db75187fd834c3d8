"""The guard's program as it runs on a node: real processes, a systemctl that is a script, nothing else in its place."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from roles.guard.program.seen import Config, Server, Worker, config
from tests.unit.test_guard_look import eventually, program

PACKAGE = Path(__file__).parents[2] / "roles/guard/program"

LISTENER = """
import socket, sys, time
server = socket.create_server(("127.0.0.1", 0), backlog=1)
print(server.getsockname()[1], flush=True)
while True:
    server.accept()[0].recv(100)
"""

SYSTEMCTL = """
case $1 in
show)
    for unit; do case $unit in *.service) ;; *) continue ;; esac
        pid=$(cat {folder}/$unit)
        printf 'Id=%s\\nActiveState=active\\nMainPID=%s\\nInvocationID=i%s\\nExecStart=%s\\n\\n' \\
            $unit $pid $pid "$(cat {folder}/$unit.flags)"
    done ;;
kill) kill -9 "$(cat {folder}/$3)"; echo "$*" >>{folder}/killed ;;
esac
"""


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Path]:
    """A folder with the program as it is placed on a node, and a systemctl that knows what is in `*.service`."""
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib/guard").symlink_to(PACKAGE)
    program(tmp_path, "systemctl", SYSTEMCTL.format(folder=tmp_path))
    program(tmp_path, "journalctl", "exec sleep 600")
    yield tmp_path
    for path in tmp_path.glob("*.service"):
        try:
            os.kill(int(path.read_text()), signal.SIGKILL)
        except ProcessLookupError:
            continue


def started(node: Path, unit: str) -> tuple[subprocess.Popen[str], int]:
    child = subprocess.Popen([sys.executable, "-c", LISTENER], stdout=subprocess.PIPE, text=True)
    (node / unit).write_text(str(child.pid))
    assert child.stdout
    return child, int(child.stdout.readline())


def guard(node: Path, wanted: Config, *words: str, **environment: str) -> subprocess.Popen[str]:
    (node / "guard.json").write_text(json.dumps(asdict(wanted)))
    services: list[Worker | Server] = [*wanted.servers, *([wanted.worker] if wanted.worker else [])]
    for each in services:
        (node / f"{each.unit}.flags").write_text("".join(each.flags))
    command = [sys.executable, "-Bm", "guard", "--config", str(node / "guard.json"), "--state", str(node / "state")]
    path = f"{node}:{os.environ['PATH']}"
    return subprocess.Popen(
        [*command, *words], cwd=node / "lib", env=os.environ | {"PATH": path} | environment,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def test_a_frozen_worker_is_ended_and_nobody_has_connected_to_it(node: Path) -> None:
    child, port = started(node, "w.service")
    running = guard(node, Config("halo2", Worker("w.service", f"127.0.0.1:{port}", 15, 300), (), ()))
    try:
        eventually(lambda: (node / "state").exists())
        assert json.loads((node / "state").read_text())["units"][0]["state"] == "well"
        assert (node / "state").stat().st_mode & 0o777 == 0o644
        child.send_signal(signal.SIGSTOP)
        begun = time.monotonic()
        assert child.wait(60) == -signal.SIGKILL
        assert time.monotonic() - begun > 9
        eventually(lambda: json.loads((node / "state").read_text())["units"][0]["deeds"] != [])
        (state,) = json.loads((node / "state").read_text())["units"]
        assert [deed["kind"] for deed in state["deeds"]] == ["frozen"]
        assert state["restarts"] == 1
        assert (node / "killed").read_text() == "kill --signal=SIGKILL w.service\n"
    finally:
        running.terminate()
    said, errors = running.communicate(timeout=10)
    assert said == "<4>w.service: its process is stopped (state T): killed; systemd starts it again\n"
    assert errors == ""


def test_one_look_shows_and_does_nothing(node: Path) -> None:
    child, port = started(node, "w.service")
    child.send_signal(signal.SIGSTOP)
    once = guard(node, Config("halo2", Worker("w.service", f"127.0.0.1:{port}", 15, 300), (), ()), "--once")
    said, _ = once.communicate(timeout=60)
    (unit,) = json.loads(said)["units"]
    assert (unit["state"], [each["kind"] for each in unit["complaints"]]) == ("suspect", ["frozen"])
    assert child.poll() is None
    assert not (node / "state").exists()


def test_one_look_by_hand_takes_the_key_from_where_it_lies(node: Path) -> None:
    """Without it every server would seem to show no slots."""
    _, port = started(node, "s.service")
    once = guard(
        node, Config("halo1", None, (Server("s.service", "no-such", "127.0.0.1", port, (), 60, 300),), ()), "--once"
    )
    said, _ = once.communicate(timeout=60)
    assert "No such file or directory: '/etc/halofleet/no-such.key'" in json.loads(said[said.index("{") :])["trouble"]


def test_a_service_that_cannot_be_judged_keeps_no_other_from_being_looked_at(node: Path) -> None:
    """Its key is not there: whatever goes wrong with one, the other's turn comes, and the loop goes on."""
    _, port = started(node, "w.service")
    started(node, "s.service")
    server = Server("s.service", "chat", "127.0.0.1", port, (), 60, 300)
    wanted = Config("halo2", Worker("w.service", f"127.0.0.1:{port}", 15, 300), (server,), ())
    running = guard(node, wanted, CREDENTIALS_DIRECTORY=str(node / "nowhere"))
    try:
        eventually(lambda: (node / "state").exists())
        first = json.loads((node / "state").read_text())
        assert "s.service: could not be judged: FileNotFoundError" in first["trouble"]
        assert first["units"][0]["state"] == "well"
        eventually(lambda: json.loads((node / "state").read_text())["time"] > first["time"])
    finally:
        running.terminate()
    said, _ = running.communicate(timeout=10)
    assert said.count("could not be judged") == 1, "once, not at every turn"


def test_systemd_is_told_that_it_lives(node: Path) -> None:
    _, port = started(node, "w.service")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(node / "notify"))
        manager.settimeout(30)
        wanted = Config("halo2", Worker("w.service", f"127.0.0.1:{port}", 15, 300), (), ())
        running = guard(node, wanted, NOTIFY_SOCKET=str(node / "notify"))
        try:
            assert [manager.recv(100) for _ in range(3)] == [b"READY=1", b"WATCHDOG=1", b"WATCHDOG=1"]
        finally:
            running.kill()
            running.communicate()


def test_a_guard_inherits_what_the_one_before_it_did(node: Path) -> None:
    _, port = started(node, "w.service")
    deed = {"time": 1.0, "kind": "frozen", "seen": "x", "done": "y"}
    before = {
        "units": [{"unit": "w.service", "deeds": [deed], "restarts": 12, "strikes": 3, "acted": time.monotonic()}]
    }
    (node / "state").write_text(json.dumps(before))
    running = guard(node, Config("halo2", Worker("w.service", f"127.0.0.1:{port}", 15, 300), (), ()))
    try:
        eventually(lambda: "state" in json.loads((node / "state").read_text())["units"][0])
        (unit,) = json.loads((node / "state").read_text())["units"]
        assert (unit["deeds"], unit["restarts"], unit["strikes"]) == ([deed], 12, 3)
    finally:
        running.kill()
        running.communicate()


def test_what_the_role_writes_is_what_the_program_reads() -> None:
    server = Server("s", "chat", "127.0.0.1", 8080, ("a:1", "b:2"), 60, 300)
    wanted = Config("halo1", Worker("w", "10.44.0.1:50052", 60, 300), (server,), ("x",))
    assert config(json.loads(json.dumps(asdict(wanted)))) == wanted
    nobody = Config("halo1", None, (), ())
    assert config(json.loads(json.dumps(asdict(nobody)))) == nobody


def test_the_program_needs_nothing_but_python(node: Path) -> None:
    """-S: without site-packages."""
    done = subprocess.run(
        [sys.executable, "-SBm", "guard", "--help"], cwd=node / "lib", capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert "--once" in done.stdout
