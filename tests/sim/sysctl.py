"""sysctl(8) of procps, and /proc/sys as far as the roles touch it; systemd-sysctl at boot."""

from __future__ import annotations

from pathlib import Path

from tests.sim.network import Network
from tests.sim.shell import Call, NotModelled, Reply

DEFAULTS = {"net.ipv4.tcp_retries2": "15"}
"""The kernel's own."""


class Sysctl:
    """Program: sysctl."""

    def __init__(self, root: Path, network: Network) -> None:
        self.root, self.network = root, network
        if not self._file("net.ipv4.tcp_retries2").exists():
            self._defaults()

    def boot(self) -> None:
        self._defaults()
        for path in sorted((self.root / "etc/sysctl.d").glob("*.conf")):
            self._apply(path)

    def sysctl(self, call: Call) -> Reply:
        match call.words:
            case ["-q", "-e", "-p", path] | ["-q", "-p", path]:
                file = self.root / path.removeprefix("/")
                if not file.exists():
                    return Reply(stderr=f'sysctl: cannot open "{path}": No such file or directory\n', status=1)
                self._apply(file)
                return Reply()
            case [*keys] if keys and set(keys) <= set(DEFAULTS):
                return Reply("".join(f"{key} = {self.value(key)}\n" for key in keys))
        raise NotModelled(call)

    def value(self, key: str) -> str:
        return self._file(key).read_text().strip()

    def set(self, key: str, value: str) -> None:
        path = self._file(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{value}\n")

    def _defaults(self) -> None:
        for key, value in DEFAULTS.items():
            self.set(key, value)

    def _file(self, key: str) -> Path:
        return self.root / "proc/sys" / key.replace(".", "/")

    def _apply(self, file: Path) -> None:
        for line in file.read_text().splitlines():
            if not line or line.startswith("#"):
                continue
            key, _, value = line.partition(" = ")
            if key in DEFAULTS:
                self.set(key, value)
                continue
            *folder, name, last = key.removeprefix("-").split("/")
            if not key.startswith("-") or (folder, last) != (["net", "ipv4", "conf"], "forwarding"):
                raise NotModelled(line)
            if name in self.network.addresses:
                self.network.set_forwarding(name, on={"1": True, "0": False}[value])
