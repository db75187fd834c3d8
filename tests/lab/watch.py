"""Hosts watched from outside, while something else works on them: whether they answer, and which boot they run."""

from __future__ import annotations

import json
import math
import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import astuple, dataclass, field
from itertools import combinations, groupby, pairwise
from pathlib import Path
from threading import Event, Thread

from paramiko import Channel, SSHClient, SSHException

from tests.lab.harness import ROOT, Lab

SECONDS = 0.1
"""Between two questions; a host was seen to be away for 0.4 s only."""
ANSWER_SECONDS = 0.3
"""The kernel of a host with a listening sshd accepts a connection long before, under load too."""
LOGIN_SECONDS = 2.0
START_SECONDS = 60


@dataclass(frozen=True)
class Sample:
    """asked, told: when, in monotonic seconds. said: empty where it did not answer."""

    asked: float
    told: float
    said: str


@dataclass
class Seen:
    """Of one host. reached: whether port 22 accepts a connection. boots: the boot id, over SSH."""

    reached: list[Sample] = field(default_factory=list)
    boots: list[Sample] = field(default_factory=list)

    @property
    def ids(self) -> list[str]:
        """The boot ids, in the order in which they ran."""
        return [said for said, _ in groupby(sample.said for sample in self.boots if sample.said)]

    @property
    def down(self) -> list[tuple[float, float]]:
        """Each time without an answer, at its longest: from the last question with an answer to the first answer after
        it; endless where none came. What the watcher itself was late with only makes it longer."""
        found: list[tuple[float, float]] = []
        for before, after in pairwise(self.reached):
            if before.said and not after.said:
                found.append((before.asked, math.inf))
            elif after.said and not before.said:
                found[-1] = (found[-1][0], after.told)
        return found


def together(seen: dict[str, Seen]) -> list[tuple[str, str]]:
    """Pairs of hosts of which neither answered, or may not have, at some moment."""
    return [
        (one, other)
        for one, other in combinations(seen, 2)
        for begin, end in seen[one].down
        for other_begin, other_end in seen[other].down
        if begin < other_end and other_begin < end
    ]


class _Port:
    """A new connection each time: sshd's sessions outlive sshd by some seconds."""

    def __init__(self, lab: Lab, host: str) -> None:
        self.address = lab.addresses[host]

    def ask(self) -> str:
        socket.create_connection((self.address, 22), ANSWER_SECONDS).close()
        return "yes"

    def close(self) -> None:
        pass


class _Boot:
    """A session that is kept as long as it lives."""

    def __init__(self, lab: Lab, host: str) -> None:
        self.lab, self.host = lab, host
        self.client: SSHClient | None = None
        self.session: Channel | None = None

    def ask(self) -> str:
        if self.session is None:
            self.client = self.lab.connect(self.host, LOGIN_SECONDS)
            transport = self.client.get_transport()
            assert transport is not None
            session = transport.open_session(timeout=LOGIN_SECONDS)
            session.settimeout(LOGIN_SECONDS)
            session.exec_command("while read -r _; do cat /proc/sys/kernel/random/boot_id; done")
            self.session = session
        self.session.sendall(b"\n")
        said = b""
        while not said.endswith(b"\n"):
            more = self.session.recv(64)
            if not more:
                raise EOFError
            said += more
        return said.decode().strip()

    def close(self) -> None:
        with suppress(OSError, EOFError, SSHException):
            if self.client is not None:
                self.client.close()
        self.client = self.session = None


class _Watcher:
    """What the process does."""

    def __init__(self, lab: Lab) -> None:
        self.seen = {host: Seen() for host in lab.addresses}
        self._asked: list[tuple[_Port | _Boot, list[Sample]]] = []
        for host, seen in self.seen.items():
            self._asked += [(_Port(lab, host), seen.reached), (_Boot(lab, host), seen.boots)]
        self._over = Event()
        self._threads = [Thread(target=self._watch, args=each, daemon=True) for each in self._asked]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()
        deadline = time.monotonic() + START_SECONDS
        while not all(any(sample.said for sample in samples) for _, samples in self._asked):
            assert time.monotonic() < deadline, f"silent from the start: {self.seen}"
            time.sleep(SECONDS)

    def stop(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _watch(self, asked: _Port | _Boot, samples: list[Sample]) -> None:
        while not self._over.is_set():
            began = time.monotonic()
            try:
                said = asked.ask()
            except (OSError, EOFError, SSHException):
                said = ""
                asked.close()
            samples.append(Sample(began, time.monotonic(), said))
            self._over.wait(max(0.0, began + SECONDS - time.monotonic()))
        asked.close()


class Watch:
    """`with Watch(lab) as watch:` goes on once every host has answered; afterwards `seen` has what was seen of each.

    A process of its own: what else this one runs or has imported (gevent's patches) does not delay it.
    """

    def __init__(self, lab: Lab) -> None:
        self.seen: dict[str, Seen] = {}
        self._words = [str(lab.folder), lab.instance, json.dumps(lab.addresses)]

    def __enter__(self) -> Watch:
        command = [sys.executable, "-m", "tests.lab.watch", *self._words]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True)
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n", "silent from the start; see above"
        return self

    def __exit__(self, *_: object) -> None:
        output = self._process.communicate(timeout=60)[0]
        for host, said in json.loads(output).items():
            self.seen[host] = Seen(*([Sample(*sample) for sample in said[key]] for key in ("reached", "boots")))


def main(folder: str, instance: str, addresses: str) -> None:
    """Says `ready`, and at the end of its input what it has seen."""
    watcher = _Watcher(Lab(Path(folder), instance, json.loads(addresses)))
    watcher.start()
    print("ready", flush=True)
    sys.stdin.read()
    watcher.stop()
    samples = {
        host: {"reached": [astuple(each) for each in seen.reached], "boots": [astuple(each) for each in seen.boots]}
        for host, seen in watcher.seen.items()
    }
    print(json.dumps(samples))


if __name__ == "__main__":
    main(*sys.argv[1:])
