"""End the processes of virtual hosts: `reaper.py STATE_DIR FULL_NAME [NODE...]` (no node: all that can be found).

Politely first: a supervisor powers its host off. Then by force, and only what is proved to be ours: supervisors and
nspawns by an argument that names this instance's folder or namespace, what an
interrupted run left by a mark in its environment, and all else by being in a network namespace or a control group
that has this instance's name. Standard library only; exit status 1 when something would not end.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from roles.virtual_host.machine import groups, probe, supervisor
else:  # a script: its own folder is where it looks first
    import groups
    import probe
    import supervisor

POLITE_SECONDS = supervisor.POLITE_SECONDS + 2
FORCED_SECONDS = 10


class Reaper:
    def __init__(self, state: Path, full: str, nodes: set[str]) -> None:
        self.state, self.full, self.nodes = state, full, nodes

    def ours(self, node: str) -> bool:
        return not self.nodes or node in self.nodes

    def named(self) -> dict[str, list[int]]:
        """Supervisors and nspawns."""
        found = probe.processes(self.state, self.full)
        hosts = [host for node, host in found.items() if self.ours(node)]
        return {kind: [pid for host in hosts for pid in host[kind]] for kind in ("supervisors", "nspawns")}

    def groups(self) -> list[Path]:
        top = [Path(group) for group in groups.instance(self.full)]
        return [path for group in top for path in group.iterdir() if path.is_dir() and self.ours(path.name)]

    def inside(self) -> list[int]:
        """Everything in the hosts' namespaces and control groups."""
        pids: set[int] = set()
        for space in Path("/run/netns").glob(f"{self.full}.*"):
            if self.ours(space.name.removeprefix(f"{self.full}.")):
                pids |= {int(pid) for pid in probe.run("ip", "netns", "pids", space.name).split()}
        for group in self.groups():
            for members in group.rglob("cgroup.procs"):
                with contextlib.suppress(OSError):
                    pids |= {int(pid) for pid in members.read_text().split()}
        return sorted(pids - {0, os.getpid()})

    def left(self) -> list[int]:
        named = self.named()
        working = [] if self.nodes else probe.workers(self.full)
        return [*named["supervisors"], *named["nspawns"], *self.inside(), *working]

    def main(self) -> int:
        stopping = self.named()["supervisors"]
        send(stopping, signal.SIGTERM)
        wait(lambda: not set(self.named()["supervisors"]) & set(stopping), POLITE_SECONDS)
        deadline = time.monotonic() + FORCED_SECONDS
        while left := self.left():
            if time.monotonic() > deadline:
                print(f"process {left[0]} of {self.full} does not end", file=sys.stderr)
                return 1
            send(left, signal.SIGKILL)
            time.sleep(0.1)
        wait(self.groups_gone, FORCED_SECONDS)
        self.forget_machines()
        return 0

    def groups_gone(self) -> bool:
        """A control group can be removed a moment after its last process has ended."""
        for group in self.groups():
            groups.remove(group)
        for top in groups.instance(self.full):
            with contextlib.suppress(OSError):
                Path(top).rmdir()  # the instance's, when this was its last host
        return not self.groups()

    def forget_machines(self) -> None:
        """nspawn leaves a folder in /run when it is killed."""
        head = f"hf{self.full.rsplit('.', 1)[1]}-"
        for folder in Path("/run/systemd/nspawn/propagate").glob(f"{head}*"):
            if self.ours(folder.name.removeprefix(head)):
                # Under a mount namespace that has ended there is nothing mounted any more.
                subprocess.run(["rm", "-rf", "--one-file-system", str(folder)], check=False)


def send(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def wait(done: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not done() and time.monotonic() < deadline:
        time.sleep(0.1)


def main() -> int:
    state, full, *nodes = sys.argv[1:]
    return Reaper(Path(state), full, set(nodes)).main()


if __name__ == "__main__":
    sys.exit(main())
