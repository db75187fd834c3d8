"""When machines were down, as somebody beside them sees it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from tests.vm.machine import Machine

PERIOD_SECONDS = 0.5
PATIENCE_SECONDS = 5
"""For a connection: a guest that is up answers, however slow its processor is."""
SSH, CLOSED = 22, 1


@contextmanager
def sampled(*machines: Machine) -> Iterator[list[tuple[bool, ...]]]:
    """While it is open the list grows by whether each machine is up, all of them asked at once.

    One is down when its kernel no longer refuses a closed port, and until its SSH port is open again. Asking sshd all
    the time would slow an emulated guest down to a crawl, and sshd shuts out who never logs in (PerSourcePenalties).
    """
    found = [(True,) * len(machines)]
    over = threading.Event()

    def sample() -> None:
        with ThreadPoolExecutor(len(machines)) as pool:
            while not over.wait(PERIOD_SECONDS):
                found.append(tuple(pool.map(_up, machines, found[-1])))

    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        over.set()
        thread.join()


def _up(machine: Machine, before: bool) -> bool:
    try:
        socket.create_connection((machine.address, CLOSED if before else SSH), PATIENCE_SECONDS).close()
    except ConnectionRefusedError:
        return before
    except OSError:
        return False
    return True
