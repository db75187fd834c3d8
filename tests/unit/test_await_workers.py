"""await_workers.py against servers that answer well, badly, late, or not at all. The lab tier asks the real one."""

from __future__ import annotations

import socket
import stat
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from roles.llama_server import await_workers
from roles.llama_server.await_workers import Version, Worker, awaited, main, protocol

OWN = (7, 0, 0)
GIB = 2**30
Talk = Callable[[socket.socket], None]


@pytest.fixture(autouse=True)
def _brisk(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("QUIET_SECONDS", "AGAIN_SECONDS", "OTHER_AGAIN_SECONDS"):
        monkeypatch.setattr(await_workers, name, 0.1)


@contextmanager
def server(talk: Talk) -> Iterator[Worker]:
    """Serves one client after the other, as ggml-rpc-server does, with the same queue."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=1)

    def serve() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with client:
                client.settimeout(5)
                try:
                    talk(client)
                except OSError:
                    continue

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield Worker("halo2", "127.0.0.1", listener.getsockname()[1])
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join(6)


def answer(client: socket.socket, data: bytes) -> None:
    client.sendall(struct.pack("<Q", len(data)) + data)


def request(client: socket.socket) -> tuple[int, bytes]:
    head = client.recv(9, socket.MSG_WAITALL)
    if len(head) < 9:
        raise OSError("the client is gone")
    command, size = struct.unpack("<BQ", head)
    return command, client.recv(size, socket.MSG_WAITALL) if size else b""


def llama(version: Version, *, hello: int = 24, devices: int = 1) -> Talk:
    """As ggml-rpc.cpp does it: a hello of another length than its own ends the connection without a word."""

    def talk(client: socket.socket) -> None:
        command, data = request(client)
        if command != 14 or len(data) != hello:
            return
        answer(client, bytes(version) + (bytes(25) if hello else b""))
        while True:
            command, data = request(client)
            if command == 15:
                answer(client, struct.pack("<I", devices))
            elif command == 11 and data == bytes(4):
                answer(client, struct.pack("<QQ", 3 * GIB, 4 * GIB))
            else:
                return

    return talk


def asked(worker: Worker, own: Version | None = OWN, seconds: float = 0.5) -> str:
    """What is said of the worker in the end; a machine that is busy gets more time."""
    for _ in range(20):
        ready = awaited([worker], own, seconds)
        assert ready == bool(worker.answer)
        if said := worker.answer or worker.seen:
            return said
    raise AssertionError("nothing was seen")


@pytest.mark.parametrize(
    ("talk", "own", "said"),
    [
        (llama((7, 0, 0)), OWN, "RPC 7.0.0, 3.0 of 4.0 GiB free"),
        (llama((7, 0, 9)), OWN, "RPC 7.0.9, 3.0 of 4.0 GiB free"),  # the patch follows the list of operations
        (llama((7, 0, 0)), (7, 2, 0), "RPC 7.0.0, 3.0 of 4.0 GiB free"),
        (llama((7, 0, 0)), None, "RPC 7.0.0, 3.0 of 4.0 GiB free"),
        (llama((2, 0, 0), hello=0), (2, 0, 0), "RPC 2.0.0"),
        (llama((9, 1, 0), hello=0), (9, 1, 0), "RPC 9.1.0"),
        # A hello that is not known here must not stop a release that is.
        (llama((9, 1, 0), hello=40), (9, 1, 0), "listens; how RPC 9.1.0 says hello is not known here"),
    ],
)
def test_a_worker_that_is_ready(talk: Talk, own: Version | None, said: str) -> None:
    with server(talk) as worker:
        assert asked(worker, own, 5) == said
        assert worker.answer == said


@pytest.mark.parametrize(
    ("talk", "said"),
    [
        (llama((7, 1, 0)), "speaks RPC 7.1.0, and this release 7.0.0: it runs another llama.cpp"),
        (llama((8, 0, 0)), "speaks RPC 8.0.0, and this release 7.0.0"),
        (llama((2, 0, 0), hello=0), "speaks RPC 2.0.0, and this release 7.0.0"),
        (llama((7, 0, 0), devices=0), "lends 0 devices; expected: one"),
        (llama((7, 0, 0), devices=2), "lends 2 devices; expected: one"),
        (lambda client: client.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "which no RPC server does"),
        (lambda client: client.sendall(bytes(8)), "answers with 0 bytes, which no RPC server does"),
        (lambda client: answer(client, b"\7"), "less than a version"),
        (socket.socket.close, "closes the connection without a word"),
        (lambda client: client.sendall(b"\x1c\0\0"), "closes the connection without a word"),
    ],
)
def test_a_worker_that_is_none(talk: Talk, said: str) -> None:
    with server(talk) as worker:
        assert said in asked(worker)
        assert not worker.answer


@pytest.mark.parametrize(
    ("first", "said"),
    [
        (b"", "no answer: it has another client, or is frozen"),
        (struct.pack("<Q", 28) + b"\7\0", "stopped in the middle of its answer"),
    ],
)
def test_a_worker_that_says_nothing_more(first: bytes, said: str) -> None:
    done = threading.Event()

    def talk(client: socket.socket) -> None:
        client.sendall(first)
        done.wait(5)

    with server(talk) as worker:
        start = time.monotonic()
        assert said in asked(worker, OWN, 1.5)
        assert time.monotonic() - start < 4, "the time is over when it is over"
        done.set()


def test_a_busy_worker_is_waited_for_by_one_connection() -> None:
    """Another would be one more in its queue, and might kill it."""
    clients = 0
    free = threading.Event()

    def talk(client: socket.socket) -> None:
        nonlocal clients
        clients += 1
        if clients == 1:
            free.wait(5)
        llama(OWN)(client)

    with server(talk) as worker, socket.create_connection((worker.address, worker.port)) as other:
        while not clients:
            time.sleep(0.01)
        threading.Timer(1, free.set).start()
        threading.Timer(1, other.close).start()
        assert asked(worker, OWN, 10) == "RPC 7.0.0, 3.0 of 4.0 GiB free"
    assert clients == 2


def test_a_worker_that_comes_later(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
    early = Worker("halo2", "127.0.0.1", port)
    result: list[bool] = []
    thread = threading.Thread(target=lambda: result.append(awaited([early], OWN, 20)))
    thread.start()
    while not early.told:
        time.sleep(0.01)
    listener = socket.create_server(("127.0.0.1", port))
    with listener, listener.accept()[0] as client:
        client.settimeout(5)
        with pytest.raises(OSError, match="gone"):
            llama(OWN)(client)
    thread.join(10)
    assert result == [True]
    assert capsys.readouterr().out.splitlines() == [
        f"waiting for halo2 (127.0.0.1:{port}): connection refused: its RPC server does not run",
        f"halo2 (127.0.0.1:{port}): RPC 7.0.0, 3.0 of 4.0 GiB free",
    ]


def worker_program(folder: Path, script: str) -> str:
    path = folder / "ggml-rpc-server"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def test_every_missing_worker_has_its_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    program = worker_program(tmp_path, "[ \"$*\" = '--host none --device CPU' ] && echo 'Starting RPC server v7.0.0'")
    with server(llama(OWN)) as good, server(llama((8, 0, 0))) as newer:
        words = [
            f"{name}=127.0.0.1:{port}" for name, port in (("halo2", good.port), ("halo3", newer.port), ("halo4", 1))
        ]
        assert main(["--seconds", "2", "--program", program, *words]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.startswith("halo2 ") for line in lines) == 1
    assert [line.split(": ")[0] for line in lines if "is missing" in line] == [
        f"halo3 (127.0.0.1:{newer.port}) is missing after 2 s",
        "halo4 (127.0.0.1:1) is missing after 2 s",
    ]


@pytest.mark.parametrize(
    ("script", "own"),
    [
        ("echo 'Starting RPC server v7.0.0'; echo 'Invalid host address: none' >&2", (7, 0, 0)),
        ("echo nothing of that kind", None),
        ("exit 1", None),
    ],
)
def test_which_protocol_the_release_speaks(tmp_path: Path, script: str, own: Version | None) -> None:
    assert protocol(worker_program(tmp_path, script)) == own
    assert protocol(str(tmp_path / "absent")) is None
