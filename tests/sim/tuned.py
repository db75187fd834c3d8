"""tuned 2.20, 2.25 and 2.27 as far as their own code and units were read: profiles, their inheritance, /proc/sys/vm."""

from __future__ import annotations

import configparser
from pathlib import Path

from tests.sim.shell import Call, NotModelled, Reply

SERVICE, PPD, OLD_PPD = "tuned.service", "tuned-ppd.service", "power-profiles-daemon.service"
KERNEL = {"dirty_ratio": 20, "dirty_bytes": 0, "dirty_background_ratio": 10, "dirty_background_bytes": 0}
"""Linux's own: Documentation/admin-guide/sysctl/vm.rst. Of a pair, who writes one makes the other 0."""
HEAD = "#\n# tuned configuration\n#\n\n[main]\nsummary=Throughput performance\n\n[cpu]\ngovernor=performance\n\n"
DIRTY = {
    "2.20": "[sysctl]\nvm.dirty_ratio = 40\nvm.dirty_background_ratio = 10\nvm.swappiness=10\n",
    "2.25": "[vm]\ndirty_ratio = 40\ndirty_background_ratio = 10\n\n[sysctl]\nvm.swappiness=10\n",
    "2.27": "[vm]\ndirty_bytes = 40%\ndirty_background_bytes = 10%\n\n[sysctl]\nvm.swappiness=10\n",
}
"""Of accelerator-performance, in Debian's packages 2.20.0-1, 2.25.1-1 and 2.27.0-1."""


class Tuned:
    """Program: tuned-adm. version: a key of DIRTY."""

    def __init__(self, root: Path) -> None:
        self.root, self.version, self.running = root, "2.25", False
        self.original: dict[str, int] = {}
        self.broken = ""
        """What tuned-adm says instead of switching."""

    def arrives(self) -> None:
        """The package's files, and a first start: the recommended profile, in automatic mode."""
        below = "" if self.version == "2.20" else "/profiles"
        for name, text in (("accelerator-performance", HEAD + DIRTY[self.version]), ("balanced", "[main]\nsummary=\n")):
            self._write(f"usr/lib/tuned{below}/{name}/tuned.conf", text)
        for name in ("active_profile", "profile_mode"):
            self._write(f"etc/tuned/{name}", "")

    def power_on(self) -> None:
        """What a boot leaves below /proc/sys."""
        self.running, self.original = False, {}
        for name, value in KERNEL.items():
            self._write(f"proc/sys/vm/{name}", f"{value}\n")

    def started(self, unit: str) -> None:
        """The daemon applies what its files say; tuned-ppd sets its own profile whenever it starts (controller.py)."""
        if unit == SERVICE:
            self.running = True
            manual = self._read("etc/tuned/profile_mode") == "manual"
            self._switch(self._read("etc/tuned/active_profile") if manual else "balanced", manual=manual)
        elif unit == PPD:
            self._switch("balanced", manual=True)

    def stopped(self, unit: str) -> None:
        if unit == SERVICE and self.running:
            self.running = False
            self._rollback()

    def adm(self, call: Call) -> Reply:
        match call.words:
            case ["profile", name]:
                if self.broken or not self._config(name):
                    return Reply(stderr=self.broken or f"Requested profile '{name}' doesn't exist.\n", status=1)
                if not self.running:
                    raise NotModelled(call)
                self._switch(name, manual=True)
                return Reply()
            case ["active"]:
                return Reply(f"Current active profile: {self._read('etc/tuned/active_profile')}\n")
        raise NotModelled(call)

    def _switch(self, name: str, *, manual: bool) -> None:
        self._rollback()
        self._write("etc/tuned/active_profile", f"{name}\n")
        self._write("etc/tuned/profile_mode", "manual\n" if manual else "auto\n")
        for unit, options in self._units(name).items():
            for key, value in options.items():
                key = key.removeprefix("vm.") if unit == "sysctl" else key
                if unit in ("vm", "sysctl") and key in KERNEL and (unit == "sysctl" or self.version != "2.20"):
                    self._set(key.replace("bytes", "ratio") if value.endswith("%") else key, int(value.rstrip("%")))
        for file in sorted((self.root / "etc/sysctl.d").glob("*.conf")):  # reapply_sysctl
            for line in file.read_text().splitlines():
                # With a dash no such file is below /proc/sys, which tuned ignores; net.* is the model's of sysctl.
                if line[:1] in ("#", ";", "", "-") or line.startswith("net."):
                    continue
                self._set(line.partition("=")[0].strip().removeprefix("vm."), int(line.partition("=")[2]))

    def _units(self, name: str) -> dict[str, dict[str, str]]:
        """profiles/merger.py: the child's options beside the parent's, or instead of them with `replace`."""
        parser = configparser.ConfigParser(delimiters=("=",), interpolation=None)
        parser.read(self._config(name) or [])
        units = self._units(parser["main"]["include"]) if "include" in parser["main"] else {}
        for section in parser.sections():
            options = dict(parser[section])
            if options.pop("replace", "") == "1":
                units.pop(section, None)
            units.setdefault(section, {}).update(options)
        return units

    def _config(self, name: str) -> Path | None:
        below = "" if self.version == "2.20" else "/profiles"
        paths = [self.root / f"{top}/tuned{below}/{name}/tuned.conf" for top in ("etc", "usr/lib")]
        return next((path for path in paths if path.is_file()), None)

    def _set(self, key: str, value: int) -> None:
        for name in (key, key.replace("bytes", "RATIO").replace("ratio", "bytes").replace("RATIO", "ratio")):
            self.original.setdefault(name, int(self._read(f"proc/sys/vm/{name}")))
            self._write(f"proc/sys/vm/{name}", f"{value if name == key else 0}\n")

    def _rollback(self) -> None:
        for name, value in self.original.items():
            self._write(f"proc/sys/vm/{name}", f"{value}\n")
        self.original = {}

    def _read(self, path: str) -> str:
        return (self.root / path).read_text().strip()

    def _write(self, path: str, text: str) -> None:
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.is_file() or target.read_text() != text:
            target.write_text(text)
