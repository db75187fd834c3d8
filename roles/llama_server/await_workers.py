"""Runs on the controller before llama-server: waits until every worker of the serve answers the RPC hello.

    await_workers.py --seconds 60 --program .../bin/ggml-rpc-server halo2=10.44.0.1:50052 halo3=10.44.0.5:50052

llama-server aborts where a worker is missing, and does not say which. This program is placed on nodes as it is, so it
needs nothing but Python. It asks only what has no client: the controller is the only one, and its llama-server does not
run yet.

A worker serves one client; another one waits in the kernel's queue, which holds two. A connection of a server that was
killed may still be served, a computation long. So every worker is asked over one connection, which waits for its turn;
a second one would only be another in the queue. Keepalive tells when the host behind it is gone.
"""

from __future__ import annotations

import argparse
import errno
import re
import socket
import struct
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field

# ggml/src/ggml-rpc/ggml-rpc.cpp at 0c1e57098 (7.0) and, for the bare hello, at 4227c9be4 (2.0). Everything is little
# endian: a command is a byte, the size of its data, the data; an answer is its size, the data.
HELLO, DEVICE_COUNT, GET_DEVICE_MEMORY = 14, 15, 11
HELLO_SIZES = (24, 0)
"""What the client offers of RDMA, all zero: nothing. Before 4.0 there was no such thing."""
KNOWN = (7,)
"""Majors whose other commands are known; upstream promises that HELLO stays 14, and no more."""
MOST = 64
"""Bytes that an answer may have: a hello's is 28 long."""

CONNECT_SECONDS, QUIET_SECONDS, AGAIN_SECONDS, OTHER_AGAIN_SECONDS = 3.0, 2.0, 1.0, 5.0

Version = tuple[int, int, int]


class NotReadyError(Exception):
    """What was seen instead of a worker that can be used."""


class ClosedError(Exception):
    """The connection ended before the answer had begun."""


@dataclass
class Worker:
    """seen: what speaks against it now; empty where it was not asked yet. answer: what it said of itself, once it is
    ready."""

    node: str
    address: str
    port: int
    seen: str = ""
    answer: str = ""
    told: str = field(default="", repr=False)

    def __str__(self) -> str:
        return f"{self.node} ({self.address}:{self.port})"


class Client:
    """One connection to a worker, patient until `end` (of time.monotonic)."""

    def __init__(self, worker: Worker, end: float) -> None:
        self.worker, self.end = worker, end
        self.socket = socket.create_connection((worker.address, worker.port), CONNECT_SECONDS)
        for option, value in ((socket.TCP_KEEPIDLE, 2), (socket.TCP_KEEPINTVL, 2), (socket.TCP_KEEPCNT, 3)):
            self.socket.setsockopt(socket.IPPROTO_TCP, option, value)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 8000)
        self.socket.settimeout(QUIET_SECONDS)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def ask(self, command: int, data: bytes = b"") -> bytes:
        self.socket.sendall(struct.pack("<BQ", command, len(data)) + data)
        (size,) = struct.unpack("<Q", self._receive(8, "no answer: it has another client, or is frozen"))
        if not 0 < size <= MOST:
            raise NotReadyError(f"answers with {size} bytes, which no RPC server does: what listens there?")
        return self._receive(size, "stopped in the middle of its answer: frozen, or no RPC server")

    def _receive(self, size: int, quiet: str) -> bytes:
        found = b""
        while len(found) < size:
            try:
                part = self.socket.recv(size - len(found))
            except TimeoutError as error:
                if error.errno == errno.ETIMEDOUT:  # keepalive's; Python's own has no number
                    raise
                self.worker.seen = quiet
                if time.monotonic() > self.end:
                    raise NotReadyError(quiet) from None
                continue
            if not part:
                raise ClosedError
            found += part
        return found


def hello(client: Client, size: int) -> Version:
    answer = client.ask(HELLO, bytes(size))
    if len(answer) < 3:
        raise NotReadyError("answers the hello with less than a version: what listens there?")
    return answer[0], answer[1], answer[2]


def devices(client: Client) -> str:
    """What it lends. One device each is what the plan is made of: RPC0 is the first worker, RPC1 the second."""
    (count,) = struct.unpack("<I", client.ask(DEVICE_COUNT))
    if count != 1:
        raise NotReadyError(f"lends {count} devices; expected: one")
    free, total = struct.unpack("<QQ", client.ask(GET_DEVICE_MEMORY, struct.pack("<I", 0)))
    return f"{free / 2**30:.1f} of {total / 2**30:.1f} GiB free"


def named(version: Version) -> str:
    return ".".join(map(str, version))


def asked(worker: Worker, own: Version | None, end: float) -> str:
    """What the worker says of itself. Raises NotReadyError, OSError.

    A server of another protocol closes the connection where it does not know a hello of that length.
    """
    for size in HELLO_SIZES:
        with Client(worker, end) as client:
            try:
                version = hello(client, size)
            except (ClosedError, ConnectionResetError, BrokenPipeError):
                continue
            if own and (version[0] != own[0] or version[1] > own[1]):
                fix = "it runs another llama.cpp; cluster.py makes them one"
                raise NotReadyError(f"speaks RPC {named(version)}, and this release {named(own)}: {fix}")
            if version[0] not in KNOWN:
                return f"RPC {named(version)}"
            try:
                return f"RPC {named(version)}, {devices(client)}"
            except (ClosedError, struct.error):
                raise NotReadyError("does not tell its device: what listens there?") from None
    if own and own[0] not in KNOWN:
        return f"listens; how RPC {named(own)} says hello is not known here"
    raise NotReadyError("closes the connection without a word: another llama.cpp, or no RPC server")


def wait(worker: Worker, own: Version | None, end: float) -> None:
    """Until the worker has answered, or the time is over."""
    while not worker.answer and time.monotonic() < end:
        pause = AGAIN_SECONDS
        try:
            worker.answer = asked(worker, own, end)
        except NotReadyError as error:
            worker.seen, pause = str(error), OTHER_AGAIN_SECONDS
        except OSError as error:
            worker.seen = reason(error)
        if not worker.answer:
            time.sleep(min(pause, max(0.0, end - time.monotonic())))


def reason(error: OSError) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "connection refused: its RPC server does not run"
    if error.errno in (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EADDRNOTAVAIL):
        return f"no route to it ({error.strerror}): a link or the node is down"
    if isinstance(error, TimeoutError):
        return "no answer to a connection: the node or a link is down, or others wait for it already"
    return f"connection lost: {error.strerror or error}"


def protocol(program: str) -> Version | None:
    """Which protocol the release speaks. Its worker says so before it looks at its address, and `none` is no address,
    so it ends at once and has listened to nobody."""
    try:
        done = subprocess.run(
            [program, "--host", "none", "--device", "CPU"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r"RPC server v(\d+)\.(\d+)\.(\d+)", done.stdout)
    return (int(found[1]), int(found[2]), int(found[3])) if found else None


def awaited(workers: list[Worker], own: Version | None, seconds: float) -> bool:
    """Whether all are ready; says of each what is seen, once for each change."""
    end = time.monotonic() + seconds
    threads = [threading.Thread(target=wait, args=(worker, own, end), daemon=True) for worker in workers]
    for thread in threads:
        thread.start()
    while True:
        alive = any(thread.is_alive() for thread in threads) and time.monotonic() < end
        for worker in workers:
            now = f"{worker}: {worker.answer}" if worker.answer else f"waiting for {worker}: {worker.seen}"
            if now != worker.told and (worker.answer or worker.seen):
                worker.told = now
                print(now, flush=True)
        if not alive:
            break
        time.sleep(0.1)
    for worker in workers:
        if not worker.answer:
            print(f"{worker} is missing after {seconds:.0f} s: {worker.seen or 'no answer'}", flush=True)
    return all(worker.answer for worker in workers)


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--program", required=True)
    parser.add_argument("workers", nargs="+")
    said = parser.parse_args(words)
    workers = []
    for word in said.workers:
        node, _, end = word.partition("=")
        address, _, port = end.rpartition(":")
        workers.append(Worker(node, address, int(port)))
    return 0 if awaited(workers, protocol(said.program), said.seconds) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
