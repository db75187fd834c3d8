"""What a simulated host is, to be compared."""

from __future__ import annotations

import os
import re
from pathlib import Path

from tests.sim.files import Files, inodes
from tests.sim.neighbours import Firewalld
from tests.sim.network import Network
from tests.sim.network_manager import NetworkManager
from tests.sim.networkd import Networkd
from tests.sim.nftables import Nftables
from tests.sim.packages import Packages
from tests.sim.sysctl import Sysctl
from tests.sim.systemd import Systemd
from tests.sim.udev import Udev

VOLATILE = re.compile(
    r"/proc/|/run/halofleet\.lock|/run/halofleet-put-back-|/run/halofleet-buffers-|/var/lib/halofleet/jobs/|"
    r"/var/lib/halofleet/put-back|/dev/"
)
"""Not part of what a run leads to: processes, locks, caches of this boot, the logs of jobs, what was put back."""


class State:
    """The part of a host that looks at the whole of it."""

    root: Path
    files: Files
    network: Network
    networkd: Networkd
    network_manager: NetworkManager
    nftables: Nftables
    firewalld: Firewalld
    systemd: Systemd
    sysctl: Sysctl
    udev: Udev
    packages: Packages

    def fingerprint(self) -> object:
        """Differs whenever anything was changed, even if to the same."""
        tree = {path: _identity(seen) for path, seen in inodes(self.root) if "/tree/proc/" not in f"{path}/"}
        units = [(unit.name, unit.text, unit.active, unit.invocation) for unit in self.systemd.units.values()]
        return tree, dict(self.files.owners), self._model(), units

    def state(self) -> object:
        """What the host is: two ways that lead to the same place have equal states."""
        tree = {name: self._seen(path) for path in self.root.rglob("*") if not VOLATILE.match(name := self._name(path))}
        units = {unit.name: (unit.active, unit.sub, unit.text, unit.runs) for unit in self.systemd.units.values()}
        return tree, units, self._model()

    def _model(self) -> object:
        network = self.network
        addresses = {name: tuple(own) for name, own in network.addresses.items()}
        return (
            sorted(self.packages.installed),
            sorted(self.systemd.enabled),
            dict(self.systemd.timers),
            addresses,
            dict(network.mtus),
            frozenset(network.routes),
            {name: network.forwarding(name) for name in addresses},
            frozenset(network.down),
            self.sysctl.value("net.ipv4.tcp_retries2"),
            [repr(card) for card in self.udev.cards],
            dict(self.nftables.tables),
            dict(self.firewalld.runs),
            dict(self.networkd.known),
            dict(self.network_manager.used),
            dict(self.network_manager.conf),
        )

    def _name(self, path: Path) -> str:
        return f"/{path.relative_to(self.root)}"

    def _seen(self, path: Path) -> tuple[str, ...]:
        if path.is_symlink():
            return "link", str(path.readlink())
        mode = f"{path.stat().st_mode & 0o7777:o}"
        if path.is_socket():
            return ("socket",)
        if path.is_dir():
            return "directory", mode, self.files.owner(path)
        if path.suffixes[-2:] == [".tar", ".gz"]:
            return "file", mode, self.files.owner(path)  # the times in it differ
        content = path.read_bytes()
        assert str(self.root).encode() not in content, f"{path} tells of the simulation"
        text = content.decode(errors="replace")
        if path.name.endswith(".sha256"):
            text = re.sub(r"-\d+$", "-TIME", text.strip())
        return "file", mode, self.files.owner(path), text


def _identity(seen: os.stat_result) -> tuple[int, ...]:
    return seen.st_ino, seen.st_mode, seen.st_size, seen.st_mtime_ns
