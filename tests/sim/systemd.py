"""systemd: units as it has loaded them, which is not always what their files say."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.sim.shell import Call, NotModelled, Reply, Shell

FOLDER = "etc/systemd/system"


@dataclass
class Unit:
    """text: the file as it was loaded; empty for a unit of the distribution."""

    name: str
    text: str = ""
    active: str = "inactive"
    sub: str = "dead"
    pid: int = 0
    invocation: str = ""

    def values(self, key: str) -> list[str]:
        joined = self.text.replace("\\\n", " ")
        return [" ".join(value.split()) for value in re.findall(rf"^{key}=(.*)$", joined, re.M)]


class Systemd:
    """Programs: systemctl, systemd-run. started: told of every unit of the distribution that starts."""

    def __init__(self, root: Path, shell: Shell, started: Callable[[str], None]) -> None:
        self.root, self.shell, self.started = root, shell, started
        self.vendor: set[str] = set()
        self.enabled: set[str] = set()
        self.units: dict[str, Unit] = {}
        """In memory: what runs, or has failed."""
        self.counter = 9_000_000

    def install(self, enabled: frozenset[str], disabled: frozenset[str]) -> None:
        """A package brings units; Debian starts what it enables, and so does an image."""
        self.vendor |= enabled | disabled
        self.enabled |= enabled
        for name in enabled:
            self._start(name)

    def _file(self, name: str) -> str | None:
        path = self.root / FOLDER / name
        return path.read_text() if path.is_file() else "" if name in self.vendor else None

    def _find(self, name: str) -> Unit | None:
        """The unit in memory, or read from its file; None where there is neither."""
        text = self._file(name)
        return self.units.get(name) or (None if text is None else Unit(name, text))

    # --- starting and stopping

    def _start(self, name: str) -> Reply:
        unit = self._find(name)
        if unit is None:
            return Reply(stderr=f"Failed to start {name}: Unit {name} not found.\n", status=5)
        for other in unit.values("Requires"):
            if (needed := self._find(other)) is None or needed.active != "active":
                reply = self._start(other)
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
        unit.active, unit.sub = "active", "running"
        if not unit.text:
            unit.pid = self.counter
            self.started(unit.name)
            return ""
        if unit.values("Type") == ["oneshot"]:
            unit.sub = "exited"
            for line in (*unit.values("ExecStart"), *unit.values("ExecStartPost")):
                if self.shell.run(f"sh -c {_quoted(line)}", user="root").status:
                    return "the control process exited with error code"
            return ""
        users = (self.root / "etc/passwd").read_text()
        credentials = [line.partition(":")[2] for line in unit.values("LoadCredential")]
        binary = (self.root / unit.values("ExecStart")[0].split()[0].removeprefix("/")).resolve()
        if any(f"{user}:" not in users for user in unit.values("User")):
            return "the control process exited with error code (status=217/USER)"
        if not all((self.root / path.removeprefix("/")).is_file() for path in credentials):
            return "the control process exited with error code (status=243/CREDENTIALS)"
        if not binary.is_file():
            return "the control process exited with error code (status=203/EXEC)"
        unit.pid = self.counter
        entry = self.root / f"proc/{unit.pid}"
        entry.mkdir()
        (entry / "environ").write_text("".join(f"{line}\0" for line in ("LANG=C.UTF-8", *unit.values("Environment"))))
        (entry / "exe").symlink_to(self.shell.outside(str(binary)))
        return ""

    def _leave(self, unit: Unit) -> None:
        entry = self.root / f"proc/{unit.pid}"
        if unit.pid and entry.is_dir():
            for file in entry.iterdir():
                file.unlink()
            entry.rmdir()
        unit.active, unit.sub, unit.pid, unit.invocation = "inactive", "dead", 0, ""

    def restart(self, name: str) -> Reply:
        """Units that require this one are restarted with it (systemd.unit(5), Requires=)."""
        if (unit := self.units.get(name)) is not None:
            self._leave(unit)
        reply = self._start(name)
        for other in list(self.units.values()):
            if other.active == "active" and name in other.values("Requires") and not reply.status:
                self._start(other.name)
        return reply

    def stop(self, name: str) -> None:
        for unit in [unit for unit in self.units.values() if unit.name == name or name in unit.values("Requires")]:
            self._leave(unit)
            del self.units[unit.name]

    def daemon_reload(self) -> None:
        for unit in list(self.units.values()):
            text = self._file(unit.name)
            if text is not None:
                unit.text = text
            elif unit.active != "active":
                del self.units[unit.name]

    # --- programs

    def systemctl(self, call: Call) -> Reply:
        words = [word for word in call.words if word not in ("--quiet", "--")]
        match words:
            case ["show", *rest]:
                return self._show(rest, call)
            case ["daemon-reload"]:
                self.daemon_reload()
                return Reply()
            case ["is-active", name]:
                unit = self._find(_full(name))
                active = unit.active if unit else "inactive"
                return Reply("" if "--quiet" in call.words else f"{active}\n", status=0 if active == "active" else 3)
            case ["is-enabled", name]:
                state = self._file_state(_full(name)) or "not-found"
                status = {"enabled": 0, "disabled": 1, "not-found": 4}[state]
                return Reply("" if "--quiet" in call.words else f"{state}\n", status=status)
            case ["enable", *options, name]:
                return self._enable(_full(name), options)
            case ["disable", "--now", name]:
                if self._find(name) is None and name not in self.enabled:
                    return Reply(stderr=f"Failed to disable unit: Unit {name} does not exist\n", status=1)
                self.enabled.discard(name)
                self.stop(name)
                return Reply()
            case ["restart", name]:
                return self.restart(_full(name))
            case ["reset-failed", name]:
                unit = self.units.get(_full(name))
                if unit is None:
                    error = f"Failed to reset failed state of unit {name}: Unit {name} not loaded.\n"
                    return Reply(stderr=error, status=1)
                if unit.active == "failed":
                    del self.units[unit.name]
                return Reply()
        raise NotModelled(call)

    def _enable(self, name: str, options: list[str]) -> Reply:
        if self._file(name) is None:
            return Reply(stderr=f"Failed to enable unit: Unit {name} does not exist\n", status=1)
        self.enabled.add(name)
        self.daemon_reload()  # systemctl(1): after enabling, the manager's configuration is reloaded
        if options == ["--now"]:
            unit = self._find(name)
            return Reply() if unit and unit.active == "active" else self._start(name)
        if options:
            raise NotModelled(("systemctl enable", *options))
        return Reply()

    def _file_state(self, name: str) -> str:
        return "" if self._file(name) is None else "enabled" if name in self.enabled else "disabled"

    def _show(self, words: list[str], call: Call) -> Reply:
        """The order is systemd's own, not that of the command (transcript: systemd 257)."""
        asked = {words[index + 1] for index, word in enumerate(words) if word == "-p"}
        name = words[-1]
        unit = self._find(name)
        text = self._file(name)
        stale = unit is not None and unit.active != "inactive" and unit.text != text
        seen = unit or Unit(name)
        values = {
            "MainPID": str(seen.pid),
            "NRestarts": "0",
            "Id": name,
            "LoadState": "loaded" if unit else "not-found",
            "ActiveState": seen.active,
            "SubState": seen.sub,
            "UnitFileState": self._file_state(name),
            "NeedDaemonReload": "yes" if stale else "no",
            "InvocationID": seen.invocation,
        }
        if not asked <= set(values):
            raise NotModelled(call)
        bare = "--value" in words
        return Reply(
            "".join(f"{value if bare else f'{key}={value}'}\n" for key, value in values.items() if key in asked)
        )

    def systemd_run(self, call: Call) -> Reply:
        """The job is done at once; its output goes where the unit's properties say."""
        match call.words:
            case ["--quiet", unit, "--service-type=exec", description, "-p", out, "-p", err, "/bin/sh", "-c", line] if (
                unit.startswith("--unit=halofleet-") and description.startswith("--description=") and out and err
            ):
                log = out.removeprefix("StandardOutput=append:")
            case _:
                raise NotModelled(call)
        path = re.findall(r"^/bin/sh '(.*?)'", line)[0]
        moved = self.shell.work / Path(path).name
        moved.write_text(self.shell.inside((self.root / path.removeprefix("/")).read_text()))
        reply = self.shell.run(f"sh -c {_quoted(line.replace(path, str(moved)))}", user="root")
        with (self.root / log.removeprefix("/")).open("a") as file:
            file.write(reply.stdout + reply.stderr)
        return Reply()


def _full(name: str) -> str:
    return name if "." in name else f"{name}.service"


def _quoted(line: str) -> str:
    return "'" + line.replace("'", "'\\''") + "'"
