"""What nobody should send to a ggml-rpc-server: sent over ssh to a node that may reach one, and run by its python3.

    python3 - ADDRESS PORT KIND

Sizes between a few MiB and the host's memory are left out: ggml-rpc-server believes them, and fills as much with zeros.
"""

from __future__ import annotations

import random
import socket
import struct
import sys
import time
from collections.abc import Iterator
from contextlib import suppress

ALLOC_BUFFER, SET_TENSOR, GRAPH_COMPUTE, HELLO, COMMANDS = 0, 6, 10, 14, 19
"""ggml/src/ggml-rpc/ggml-rpc.cpp at 0c1e57098."""
SIZES = (0, 1, 4, 8, 12, 16, 20, 296, 304, 312, 320, 3260, 65536)
"""Of the commands' data, and beside them."""
QUEUED, PATIENCE = 20.0, 1.0
SILENCE = 120.0


def command(number: int, data: bytes = b"", size: int | None = None) -> bytes:
    return struct.pack("<BQ", number, len(data) if size is None else size) + data


GREETING = command(HELLO, bytes(24))


def noise(rng: random.Random) -> Iterator[bytes]:
    yield b"GET / HTTP/1.1\r\nHost: worker\r\n\r\n"
    yield from (rng.randbytes(rng.choice(SIZES)) for _ in range(20))


def commands(rng: random.Random) -> Iterator[bytes]:
    """Each known by its number, with data that is none."""
    yield GREETING + command(COMMANDS + 80)
    for number in range(COMMANDS):
        yield from (GREETING + command(number, rng.randbytes(size)) for size in rng.sample(SIZES, 3))


def sizes(rng: random.Random) -> Iterator[bytes]:  # noqa: ARG001
    for size in (2**63, 2**62, 2**64 - 1):
        yield from (GREETING + command(number, size=size) for number in (SET_TENSOR, GRAPH_COMPUTE))
        yield GREETING + command(ALLOC_BUFFER, struct.pack("<IQ", 0, size))
        yield command(HELLO, size=size)


def halves(rng: random.Random) -> Iterator[bytes]:
    """The other end waits for the rest, and gets the end of the connection."""
    yield from (GREETING[:length] for length in (0, 1, 5, 9, 20))
    yield from (
        GREETING + command(number, rng.randbytes(7), 4096) for number in (ALLOC_BUFFER, SET_TENSOR, GRAPH_COMPUTE)
    )


KINDS = {"noise": noise, "commands": commands, "sizes": sizes, "halves": halves}


def throw(address: str, port: int, kind: str) -> None:
    """Whatever becomes of each: somebody else looks at the service. The first may have to wait for a server to go."""
    patience = QUEUED
    for data in KINDS[kind](random.Random(1)):  # noqa: S311
        with suppress(OSError), socket.create_connection((address, port), patience) as connection:
            connection.settimeout(patience)
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(65536):
                pass
        patience = PATIENCE
    print(f"{kind}: all thrown")


def main(address: str, port: str, kind: str) -> None:
    if kind == "silence":
        with socket.create_connection((address, int(port)), QUEUED):
            time.sleep(SILENCE)
    else:
        throw(address, int(port), kind)


if __name__ == "__main__":
    main(*sys.argv[1:])
