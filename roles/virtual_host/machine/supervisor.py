"""One virtual host, kept running: `supervisor.py HOST_DIR`, in a mount namespace of its own.

Standard library only. It mounts the host's root, boots it with systemd-nspawn and boots it again when it was
rebooted from inside (exit 133); a power-off from inside ends it. Mounts live in this process's mount namespace,
and nspawn dies with this process: whatever ends it, no mount and no half-supervised host is left.

SIGTERM powers the host off, politely first. SIGHUP puts the files of HOST_DIR/seed into the running host again.
HOST_DIR/run.json says the rest; its keys are the fields of Run.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from roles.virtual_host.machine import groups
else:  # a script: its own folder is where it looks first
    import groups

REBOOT = 133
POLITE_SECONDS = 8
SHORTEST_LIFE = 3
"""A host that asks for a reboot sooner than this after its start (seconds), five times in a row, is given up."""


@dataclass(frozen=True)
class Run:
    node: str
    machine: str
    netns: str
    base: str
    """The tree below the overlay, relative to HOST_DIR."""
    cgroup: str
    """Where no systemd gave this process a control group of its own: the one to make. Else empty."""


class Supervisor:
    def __init__(self, directory: Path, run: Run) -> None:
        self.directory = directory
        self.run = run
        self.root = directory / "root"
        self.nspawn: subprocess.Popen[bytes] | None = None
        self.stopping = False
        self.groups: list[Path] = []

    def main(self) -> int:
        signal.signal(signal.SIGTERM, self._on_term)
        signal.signal(signal.SIGHUP, self._on_hup)
        # Relative paths: no colon or comma of the absolute one can get into mount's options.
        options = f"lowerdir={self.run.base},upperdir=upper,workdir=work"
        subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, "root"], check=True)
        self.groups = groups.own(self.run.cgroup)
        hasty = 0
        try:
            for group in self.groups:
                groups.enter(group / "watch")
                for controller in ("cpu", "memory", "pids"):
                    with contextlib.suppress(OSError):  # not there, or not given to this group
                        (group / "cgroup.subtree_control").write_text(f"+{controller}")
            while True:
                self.seed()
                started = time.monotonic()
                status = self.boot()
                hasty = hasty + 1 if time.monotonic() - started < SHORTEST_LIFE else 0
                if self.stopping or status != REBOOT or hasty >= 5:
                    say(f"{self.run.node} ended with status {status}")
                    return 0 if self.stopping else status
                say(f"{self.run.node} was rebooted from inside")
                self.freshen_network()
        finally:
            self.clear_groups(own=True)
            with contextlib.suppress(OSError):
                Path("/run/systemd/nspawn/propagate", self.run.machine).rmdir()

    def boot(self) -> int:
        """Run the host until it ends; its exit status."""
        self.clear_groups(own=False)
        command = [
            "systemd-nspawn", "--quiet", "--keep-unit", "--register=no", "--resolv-conf=off", "--timezone=off",
            "--link-journal=no", "--console=read-only", f"--directory={self.root}", f"--machine={self.run.machine}",
            f"--hostname={self.run.node}", f"--network-namespace-path=/run/netns/{self.run.netns}",
            # nspawn leaves this one to a host with --private-network, but not to one with a named namespace.
            "--capability=CAP_NET_ADMIN",
            # nspawn forbids this system call, which a box of its own allows to root: the guard needs it (roles/guard).
            "--system-call-filter=pidfd_getfd",
            "--boot", "systemd.show_status=1",
        ]  # fmt: skip
        environment = {"PATH": os.environ.get("PATH", os.defpath), "TERM": "dumb"}
        # A host sets up its own network: forwarding is part of it.
        environment["SYSTEMD_NSPAWN_API_VFS_WRITABLE"] = "network"
        if groups.unified() is not None:
            environment["SYSTEMD_NSPAWN_UNIFIED_HIERARCHY"] = "1"
        if self.stopping:
            return 0
        self.nspawn = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, env=environment, preexec_fn=self._before_nspawn
        )
        return self.nspawn.wait()

    def _before_nspawn(self) -> None:
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: die with the supervisor
        for group in self.groups:
            groups.enter(group / "box")

    def seed(self) -> None:
        """Put the management plane's files into the root. Chrooted: a link inside must not lead outside."""
        child = os.fork()
        if child:
            if os.waitpid(child, 0)[1]:
                say(f"{self.run.node}: the files of seed/ were not all put into place")
            return
        status = 1
        try:
            files = [
                (path.relative_to(self.directory / "seed"), path.read_bytes(), path.stat().st_mode & 0o777)
                for path in sorted((self.directory / "seed").rglob("*"))
                if path.is_file()
            ]
            os.chroot(self.root)
            for relative, content, mode in files:
                if relative == Path("etc/hosts") and added_to(Path("/") / relative, content):
                    continue
                replace(Path("/") / relative, content, mode)
            status = 0
        except OSError as error:
            say(f"{self.run.node}: {error}")
        finally:
            os._exit(status)

    def freshen_network(self) -> None:
        """A rebooted machine has forgotten its addresses and rules; the named namespace has not. Cables stay."""
        inside = ["ip", "-n", self.run.netns]
        listed = subprocess.run([*inside, "-j", "link"], capture_output=True, check=False).stdout
        for link in json.loads(listed or b"[]"):
            name = link["ifname"]
            if link.get("ifalias", "").startswith("halofleet "):
                subprocess.run([*inside, "address", "flush", "dev", name], check=False)
                subprocess.run([*inside, "link", "set", name, "mtu", "1500"], check=False)
            elif name != "lo":
                subprocess.run([*inside, "link", "delete", name], check=False)
        subprocess.run(["ip", "netns", "exec", self.run.netns, "nft", "flush", "ruleset"], check=False)

    def clear_groups(self, *, own: bool) -> None:
        """Remove the control groups that the last boot left behind, and with `own` those of this process."""
        for group in self.groups:
            groups.remove(group / "box")
            if own and self.run.cgroup:
                with contextlib.suppress(OSError):
                    hierarchy = next(up for up in group.parents if os.path.ismount(up))
                    (hierarchy / "cgroup.procs").write_text("0")
                    groups.remove(group)
                    group.parent.rmdir()  # the instance's: the last host removes it

    def _on_term(self, _signal: int, _frame: FrameType | None) -> None:
        self.stopping = True
        signal.signal(signal.SIGALRM, self._on_alarm)
        signal.alarm(POLITE_SECONDS)
        if self.nspawn:
            self.nspawn.terminate()  # nspawn asks the host's systemd to power off

    def _on_alarm(self, _signal: int, _frame: FrameType | None) -> None:
        if self.nspawn:
            self.nspawn.kill()

    def _on_hup(self, _signal: int, _frame: FrameType | None) -> None:
        self.seed()


def added_to(path: Path, content: bytes) -> bool:
    """All of it is there, behind lines of the host's own; those are not for us to take away."""
    return not path.is_symlink() and path.is_file() and path.read_bytes().endswith(content)


def replace(path: Path, content: bytes, mode: int) -> None:
    if (
        not path.is_symlink()
        and path.is_file()
        and path.read_bytes() == content
        and path.stat().st_mode & 0o777 == mode
    ):
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.parent == Path("/root/.ssh"):
        path.parent.chmod(0o700)
    fresh = path.with_name(f".{path.name}.halofleet")
    fresh.unlink(missing_ok=True)
    fresh.touch(mode=0o600)
    fresh.write_bytes(content)
    fresh.chmod(mode)
    fresh.replace(path)


def say(line: str) -> None:
    print(f"halofleet: {line}", flush=True)


def main() -> int:
    directory = Path(sys.argv[1])
    os.chdir(directory)
    lock = (directory / "running").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        say("another supervisor has this host")
        return 0
    run = json.loads((directory / "run.json").read_text())
    shutil.rmtree("work", ignore_errors=True)  # overlayfs wants it empty after a crash
    for folder in ("upper", "work", "root"):
        Path(folder).mkdir(exist_ok=True)
    return Supervisor(directory, Run(**run)).main()


if __name__ == "__main__":
    sys.exit(main())
