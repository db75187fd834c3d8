"""systemd's units: as it has loaded them, which is not always what their files say."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.sim.shell import NotModelled, Reply, Shell

FOLDER = "etc/systemd/system"
DELETED = " (deleted)"
HELD = "held"
"""Beside `exe`: a hard link that keeps the program's inode, as its process does."""


@dataclass
class Unit:
    """text: the file as it was loaded, empty for the distribution's; runs: the text that it was started with."""

    name: str
    text: str = ""
    active: str = "inactive"
    sub: str = "dead"
    pid: int = 0
    invocation: str = ""
    runs: str = ""
    immortal: bool = False
    """It does not let itself be stopped."""

    def values(self, key: str) -> list[str]:
        """What the file says of the key."""
        joined = self.text.replace("\\\n", " ")
        return [" ".join(value.split()) for value in re.findall(rf"^{key}=(.*)$", joined, re.M)]


class Manager:
    """What systemd knows and does. started, stopped: told of every unit of the distribution that does; started also of
    one that is reloaded."""

    def __init__(
        self, root: Path, shell: Shell, started: Callable[[str], None], stopped: Callable[[str], None]
    ) -> None:
        self.root, self.shell, self.started, self.stopped = root, shell, started, stopped
        self.vendor: set[str] = set()
        self.enabled: set[str] = set()
        self.units: dict[str, Unit] = {}
        """In memory: what runs, or has failed."""
        self.timers: dict[str, tuple[int, str]] = {}
        """Transient ones that run: their seconds and their script, by the unit's name."""
        self.counter = 9_000_000

    def install(self, enabled: frozenset[str], disabled: frozenset[str]) -> None:
        """A package brings units; Debian starts what it enables, and so does an image."""
        self.vendor |= enabled | disabled
        self.enabled |= enabled
        for name in enabled:
            self.start(name)

    def file(self, name: str) -> str | None:
        path = self.root / FOLDER / name
        return path.read_text() if path.is_file() else "" if name in self.vendor else None

    def find(self, name: str) -> Unit | None:
        """The unit in memory, or read from its file; None where there is neither."""
        text = self.file(name)
        return self.units.get(name) or (None if text is None else Unit(name, text))

    def stale(self) -> list[str]:
        """Units that run something else than their file says."""
        active = [unit for unit in self.units.values() if unit.active == "active"]
        return [unit.name for unit in active if not unit.runs == unit.text == self.file(unit.name)]

    # --- starting and stopping

    def masked(self, name: str) -> bool:
        path = self.root / FOLDER / name
        return path.is_symlink() and str(path.readlink()) == "/dev/null"

    def start(self, name: str) -> Reply:
        if self.masked(name):
            return Reply(stderr=f"Failed to start {name}: Unit {name} is masked.\n", status=1)
        unit = self.find(name)
        if unit is None:
            return Reply(stderr=f"Failed to start {name}: Unit {name} not found.\n", status=5)
        for other in unit.values("Requires"):
            if (needed := self.find(other)) is None or needed.active != "active":
                reply = self.start(other)
                if reply.status:
                    return reply
        self.units[name] = unit
        self._leave(unit)
        self.counter += 1
        unit.invocation = f"{self.counter:032x}"
        failure = self._execute(unit)
        if failure:
            again = "always" in unit.values("Restart")
            unit.active, unit.sub = ("activating", "auto-restart") if again else ("failed", "failed")
            error = f'Job for {name} failed because {failure}.\nSee "systemctl status {name}" for details.\n'
            return Reply(stderr=error, status=1)
        return Reply()

    def _execute(self, unit: Unit) -> str:
        """Runs what the unit says; returns why it failed, or nothing."""
        unit.active, unit.sub, unit.runs = "active", "running", unit.text
        if unknown := set(re.findall(r"^Exec\w+", unit.text, re.M)) - {"ExecStart", "ExecStartPre", "ExecReload"}:
            raise NotModelled(unit.name, unknown)
        if not unit.text:
            unit.pid = self.counter
            self.started(unit.name)
            return ""
        if unit.values("Type") == ["oneshot"]:
            unit.sub = "exited"
            return self._control(unit.values("ExecStart"))
        users = (self.root / "etc/passwd").read_text()
        credentials = [line.partition(":")[2] for line in unit.values("LoadCredential")]
        binary = (self.root / unit.values("ExecStart")[0].split()[0].removeprefix("/")).resolve()
        if any(f"{user}:" not in users for user in unit.values("User")):
            return "the control process exited with error code (status=217/USER)"
        if not all((self.root / path.removeprefix("/")).is_file() for path in credentials):
            return "the control process exited with error code (status=243/CREDENTIALS)"
        for line in unit.values("ExecStartPre"):  # of a program that waits for others, whom nobody simulates here
            interpreter, isolated, program, *_ = line.split()
            if (interpreter, isolated) != ("/usr/bin/python3", "-I"):
                raise NotModelled(unit.name, line)
            if not (self.root / program.removeprefix("/")).is_file():
                return "the control process exited with error code (status=2/INVALIDARGUMENT)"
        if not binary.is_file():
            return "the control process exited with error code (status=203/EXEC)"
        before = [
            word for line in unit.values("ExecStartPre") for word in line.split() if word[:5] in ("/usr/", "/opt/")
        ]
        if not all((self.root / word.removeprefix("/")).is_file() for word in before):
            return "the control process exited with error code (status=203/EXEC)"
        unit.pid = self.counter
        entry = self.root / f"proc/{unit.pid}"
        entry.mkdir()
        (entry / "environ").write_text("".join(f"{line}\0" for line in ("LANG=C.UTF-8", *unit.values("Environment"))))
        (entry / "exe").symlink_to(self.shell.outside(str(binary)))
        (entry / HELD).hardlink_to(binary)
        return ""

    def _control(self, lines: list[str]) -> str:
        """Control processes, one after the other; the first that fails is the last."""
        if any(self.shell.run(f"sh -c {quoted(line)}", user="root").status for line in lines):
            return "the control process exited with error code"
        return ""

    def notice_replaced(self) -> None:
        """A process keeps the program that it was started from; the kernel tells where that has no name any more."""
        for entry in self._processes():
            exe = entry / "exe"
            program = self.root / str(exe.readlink()).removeprefix("/")
            if not str(program).endswith(DELETED) and not (program.is_file() and program.samefile(entry / HELD)):
                exe.unlink()
                exe.symlink_to(f"/{program.relative_to(self.root)}{DELETED}")

    def _processes(self) -> list[Path]:
        folders = [self.root / f"proc/{unit.pid}" for unit in self.units.values() if unit.pid]
        return [folder for folder in folders if (folder / HELD).is_file()]

    def _leave(self, unit: Unit) -> None:
        if unit.active == "active" and not unit.text:
            self.stopped(unit.name)
        entry = self.root / f"proc/{unit.pid}"
        if unit.pid and entry.is_dir():
            for file in entry.iterdir():
                file.unlink()
            entry.rmdir()
        unit.active, unit.sub, unit.pid = "inactive", "dead", 0
        unit.invocation = unit.runs = ""

    def restart(self, name: str) -> Reply:
        """Units that require this one are restarted with it (systemd.unit(5), Requires=)."""
        if (unit := self.units.get(name)) is not None:
            self._leave(unit)
        reply = self.start(name)
        for other in list(self.units.values()):
            if other.active == "active" and name in other.values("Requires") and not reply.status:
                self.start(other.name)
        return reply

    def reload_or_restart(self, name: str) -> Reply:
        """A reload leaves those that require this one alone, and a reload that fails leaves it active."""
        unit = self.units.get(name)
        if unit is None or unit.active != "active" or not unit.values("ExecReload"):
            return self.restart(name)
        if self._control(unit.values("ExecReload")):
            return Reply(stderr=f'Job for {name} failed.\nSee "systemctl status {name}" for details.\n', status=1)
        return Reply()

    def stop(self, name: str) -> Reply:
        for unit in [unit for unit in self.units.values() if unit.name == name or name in unit.values("Requires")]:
            if unit.immortal:
                return Reply(stderr=f"Failed to stop {name}: Connection timed out\n", status=1)
            self._leave(unit)
            del self.units[unit.name]
        return Reply()

    def shut_down(self) -> None:
        for unit in self.units.values():
            self._leave(unit)
        self.units.clear()
        self.timers.clear()

    def boot(self) -> None:
        """What is enabled starts; networkd and the firewall, which others are ordered after, come first."""
        enabled = [name for name in self.enabled if not self.masked(name)]
        for name in sorted(enabled, key=lambda name: ("networkd" not in name, "firewall" not in name, name)):
            unit = self.find(name)
            if unit is not None and unit.active != "active":
                self.start(name)

    def daemon_reload(self) -> None:
        self.enabled = {name for name in self.enabled if self.masked(name) or self.file(name) is not None}
        for unit in list(self.units.values()):
            text = self.file(unit.name)
            if text is not None:
                unit.text = text
            elif unit.active != "active":
                del self.units[unit.name]


def quoted(line: str) -> str:
    return "'" + line.replace("'", "'\\''") + "'"
