"""systemctl and systemd-run, in the words of systemd 257."""

from __future__ import annotations

import re
from pathlib import Path

from tests.sim.shell import Call, NotModelled, Reply
from tests.sim.units import FOLDER, Manager, Unit, quoted

PUT_BACK = "halofleet-put-back-"


class Systemd(Manager):
    """Programs: systemctl, systemd-run."""

    version = 257

    def systemctl(self, call: Call) -> Reply:
        words = [word for word in call.words if word not in ("--quiet", "--")]
        match words:
            case ["--version"]:  # trixie's
                return Reply(f"systemd {self.version} ({self.version}.9-1~deb13u1)\n+PAM +AUDIT +SELINUX\n")
            case ["show", *rest]:
                return self._show(rest, call)
            case ["daemon-reload"]:
                self.daemon_reload()
                return Reply()
            case ["is-active", timer, _] if timer.startswith(PUT_BACK):
                return Reply(status=0 if timer.removesuffix(".timer") in self.timers else 3)
            case ["is-active", name]:
                unit = self.find(_full(name))
                active = unit.active if unit else "inactive"
                return Reply("" if "--quiet" in call.words else f"{active}\n", status=0 if active == "active" else 3)
            case ["get-default"]:
                return Reply("multi-user.target\n")
            case ["is-enabled", "suspend.target"]:
                return Reply("static\n")
            case ["is-enabled", name]:
                state = self._file_state(_full(name)) or "not-found"
                status = {"enabled": 0, "disabled": 1, "masked": 1, "not-found": 4}[state]
                return Reply("" if "--quiet" in call.words else f"{state}\n", status=status)
            case ["enable", *options, name]:
                return self._enable(_full(name), options)
            case ["disable", "--now", name]:
                if self.find(name) is None and name not in self.enabled:
                    return Reply(stderr=f"Failed to disable unit: Unit {name} does not exist\n", status=1)
                self.enabled.discard(name)  # done before the stop, whatever comes of it
                return self.stop(name)
            case ["stop", *names] if all(name.startswith(PUT_BACK) for name in names):
                for name in names:
                    self.timers.pop(name.removesuffix(".timer"), None)
                return Reply()
            case ["stop", name]:
                return self.stop(name)
            case ["stop", "systemd-networkd.socket", name]:
                return self.stop(name)
            case ["disable", "systemd-networkd"]:
                self.enabled.discard("systemd-networkd.service")
                return Reply()
            case ["start", name]:
                unit = self.find(name)
                return Reply() if unit and unit.active == "active" else self.start(name)
            case ["mask", "--now", name]:
                return self._mask(name)
            case ["mask", *names]:
                return next((reply for name in names if (reply := self._mask(name, stop=False)).status), Reply())
            case ["unmask", *names]:
                for name in names:
                    if self.masked(name):
                        (self.root / FOLDER / name).unlink()
                return Reply()
            case ["restart", name]:
                return self.restart(_full(name))
            case ["reload", "systemd-networkd"]:
                unit = self.find("systemd-networkd.service")
                if unit is None or unit.active != "active":
                    error = "Failed to reload systemd-networkd.service: Job type reload is not applicable"
                    return Reply(stderr=f"{error} for unit systemd-networkd.service.\n", status=1)
                self.started(unit.name)
                return Reply()
            case ["reload-or-restart", name]:
                return self.reload_or_restart(_full(name))
            case ["reset-failed", name]:
                unit = self.units.get(_full(name))
                if unit is None:
                    error = f"Failed to reset failed state of unit {name}: Unit {name} not loaded.\n"
                    return Reply(stderr=error, status=1)
                if unit.active == "failed":
                    del self.units[unit.name]
                return Reply()
        raise NotModelled(call)

    def _mask(self, name: str, *, stop: bool = True) -> Reply:
        """systemctl(1): a link to /dev/null; what `enable` has made stays."""
        if (self.root / FOLDER / name).is_file():
            error = f"Failed to mask unit: File '/{FOLDER}/{name}' already exists.\n"
            return Reply(stderr=error, status=1)
        if not self.masked(name):
            (self.root / FOLDER / name).symlink_to("/dev/null")
        return self.stop(name) if stop else Reply()

    def _enable(self, name: str, options: list[str]) -> Reply:
        if self.masked(name):
            return Reply(stderr=f"Failed to enable unit: Unit /{FOLDER}/{name} is masked\n", status=1)
        if self.file(name) is None:
            return Reply(stderr=f"Failed to enable unit: Unit {name} does not exist\n", status=1)
        self.enabled.add(name)
        self.daemon_reload()  # systemctl(1): after enabling, the manager's configuration is reloaded
        if options == ["--now"]:
            unit = self.find(name)
            return Reply() if unit and unit.active == "active" else self.start(name)
        if options:
            raise NotModelled(("systemctl enable", *options))
        return Reply()

    def _file_state(self, name: str) -> str:
        if self.masked(name):
            return "masked"
        return "" if self.file(name) is None else "enabled" if name in self.enabled else "disabled"

    def _show(self, words: list[str], call: Call) -> Reply:
        """The order is systemd's own, not that of the command (transcript: systemd 257)."""
        asked = {words[index + 1] for index, word in enumerate(words) if word == "-p"}
        name = words[-1]
        unit = self.find(name)
        text = self.file(name)
        stale = unit is not None and unit.active != "inactive" and unit.text != text
        seen = unit or Unit(name)
        values = {
            "MainPID": str(seen.pid),
            "NRestarts": "0",
            "Id": name,
            "LoadState": "masked" if self.masked(name) else "loaded" if unit else "not-found",
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
            case ["--quiet", unit, after, "--timer-property=AccuracySec=100ms", _, "/bin/sh", path] if unit.startswith(
                f"--unit={PUT_BACK}"
            ) and after.startswith("--on-active="):
                name = unit.removeprefix("--unit=")
                if name in self.timers:
                    error = f"Failed to start transient timer unit: Unit {name}.timer was already loaded"
                    return Reply(stderr=f"{error} or has a fragment file.\n", status=1)
                self.timers[name] = (int(after.removeprefix("--on-active=")), path)
                return Reply()
            case _:
                raise NotModelled(call)
        path = re.findall(r"^/bin/sh '(.*?)'", line)[0]
        moved = self.shell.work / Path(path).name
        moved.write_text(self.shell.inside((self.root / path.removeprefix("/")).read_text()))
        reply = self.shell.run(f"sh -c {quoted(line.replace(path, str(moved)))}", user="root")
        with (self.root / log.removeprefix("/")).open("a", errors="surrogateescape") as file:
            file.write(reply.stdout + reply.stderr)
        return Reply()

    def fire(self, name: str) -> Reply:
        """The timer has elapsed: its script runs, whoever is connected."""
        _, path = self.timers.pop(name)
        moved = self.shell.work / f"{name}.sh"
        moved.write_text(self.shell.inside((self.root / path.removeprefix("/")).read_text()))
        return self.shell.run(f"sh {quoted(str(moved))}", user="root")


def _full(name: str) -> str:
    return name if "." in name else f"{name}.service"
