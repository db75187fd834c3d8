"""Hosts watched from outside, while something else works on them: which boot each of them runs, five times a second."""

from __future__ import annotations

import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from itertools import combinations, groupby, pairwise
from threading import Event, Thread
from types import TracebackType

from paramiko import Channel, SSHClient, SSHException

from tests.lab.harness import Lab

SECONDS = 0.2
PATIENCE_SECONDS = 1.0
"""A host that has not answered by then does not answer."""


@dataclass(frozen=True)
class Sample:
    """asked, told: when, in monotonic seconds. boot: the boot id; empty where sshd did not answer."""

    asked: float
    told: float
    boot: str


class _Host:
    """A new TCP connection for each sample, and for the boot id an SSH session that is kept as long as it lives."""

    def __init__(self, lab: Lab, name: str) -> None:
        self.lab, self.name = lab, name
        self.samples: list[Sample] = []
        self._client: SSHClient | None = None
        self._session: Channel | None = None

    def sample(self) -> None:
        asked = time.monotonic()
        try:
            boot = self._boot()
        except (OSError, EOFError, SSHException):
            boot = ""
            self.close()
        self.samples.append(Sample(asked, time.monotonic(), boot))

    def _boot(self) -> str:
        # sshd's end shows here: its sessions outlive it by some seconds.
        socket.create_connection((self.lab.addresses[self.name], 22), PATIENCE_SECONDS).close()
        if self._session is None:
            self._client = self.lab.connect(self.name, PATIENCE_SECONDS)
            self._session = self._client.get_transport().open_session(timeout=PATIENCE_SECONDS)
            self._session.settimeout(PATIENCE_SECONDS)
            self._session.exec_command("while read -r _; do cat /proc/sys/kernel/random/boot_id; done")
        self._session.sendall(b"\n")
        said = b""
        while not said.endswith(b"\n"):
            more = self._session.recv(64)
            if not more:
                raise EOFError
            said += more
        return said.decode().strip()

    def close(self) -> None:
        with suppress(OSError, EOFError, SSHException):
            if self._client is not None:
                self._client.close()
        self._client = self._session = None


class Watch:
    """`with Watch(lab) as watch:` has begun once every host has answered."""

    def __init__(self, lab: Lab) -> None:
        self._hosts = [_Host(lab, name) for name in lab.addresses]
        self._ended = Event()
        self._threads = [Thread(target=self._watch, args=[host], daemon=True) for host in self._hosts]

    def __enter__(self) -> Watch:
        for host in self._hosts:
            host.sample()
            assert host.samples[0].boot, f"{host.name} does not answer"
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _watch(self, host: _Host) -> None:
        while not self._ended.is_set():
            host.sample()
            self._ended.wait(max(0, host.samples[-1].asked + SECONDS - time.monotonic()))
        host.close()

    @property
    def samples(self) -> dict[str, list[Sample]]:
        return {host.name: list(host.samples) for host in self._hosts}


def boots(samples: list[Sample]) -> list[str]:
    """The boot ids, each once, in the order in which they ran."""
    return list(dict.fromkeys(sample.boot for sample in samples if sample.boot))


def down(samples: list[Sample]) -> list[tuple[float, float]]:
    """When it did not answer: from the first question without an answer to the end of the last one."""
    found = []
    for silent, group in groupby(samples, key=lambda sample: not sample.boot):
        if silent:
            each = list(group)
            found.append((each[0].asked, each[-1].told))
    return found


def together(samples: dict[str, list[Sample]]) -> list[tuple[str, str]]:
    """Pairs of hosts of which neither answered at some moment."""
    return [
        (one, other)
        for one, other in combinations(samples, 2)
        for begin, end in down(samples[one])
        for other_begin, other_end in down(samples[other])
        if begin <= other_end and other_begin <= end
    ]


def blind(samples: list[Sample]) -> float:
    """The longest time (seconds) between two questions."""
    return max((after.asked - before.asked for before, after in pairwise(samples)), default=0.0)
