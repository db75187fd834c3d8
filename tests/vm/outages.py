"""When machines were down, as somebody beside them sees it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tests.vm.machine import Machine

PERIOD_SECONDS = 1
PATIENCE_SECONDS = 5
"""For a connection: a guest that is up answers, however slow its processor is."""


def patient_sshd(machine: Machine) -> None:
    """sshd(8) since 9.8 shuts out who connects and does not log in, PerSourcePenalties."""
    machine.ssh("echo PerSourcePenalties no >/etc/ssh/sshd_config.d/patient.conf && systemctl reload ssh")


@contextmanager
def sampled(*machines: Machine) -> Iterator[list[tuple[bool, ...]]]:
    """While it is open the list grows by whether each machine answers on SSH's port, all of them asked at once.

    Their sshd must not mind: see patient_sshd.
    """
    found: list[tuple[bool, ...]] = []
    over = threading.Event()

    def sample() -> None:
        while not over.is_set():
            found.append(_answering(machines))
            over.wait(PERIOD_SECONDS)

    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        over.set()
        thread.join()


def _answering(machines: tuple[Machine, ...]) -> tuple[bool, ...]:
    answers = [False] * len(machines)

    def ask(number: int) -> None:
        try:
            socket.create_connection((machines[number].address, 22), PATIENCE_SECONDS).close()
            answers[number] = True
        except OSError:
            pass

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(len(machines))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return tuple(answers)
