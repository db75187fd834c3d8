"""systemd-networkd, as its version 257 was seen to do it on trixie.

A file that is new, changed or gone is taken up by a reload. What an interface has of others' (addresses and routes)
goes when it is configured, and stays when its file goes; MTU and forwarding stay as they were set.
"""

from __future__ import annotations

import re
from pathlib import Path

from tests.sim.network import LO, Network, Route
from tests.sim.shell import NotModelled

KEYS = frozenset(
    re.findall(
        r"\w+",
        "Name RequiredForOnline MTUBytes Address IPv6AcceptRA ConfigureWithoutCarrier IgnoreCarrierLoss "
        "IPv4Forwarding Destination Gateway PreferredSource",
    )
)
SECTIONS = frozenset({"Match", "Link", "Network", "Route"})


class Networkd:
    """known: its files as it read them last, interface -> text."""

    def __init__(self, root: Path, network: Network) -> None:
        self.root, self.network = root, network
        self.boot()

    def boot(self) -> None:
        self.known: dict[str, str] = {}
        self.times: dict[str, int] = {}
        """When the files that it knows were written, in ns."""
        self.own: dict[str, list[str]] = {}
        """The addresses that it has configured, by interface."""
        self.waiting: set[Route] = set()
        """Routes whose source no interface has yet."""

    def reload(self) -> None:
        """networkctl(1): interfaces whose file is new, changed or gone are configured again; the time tells, too."""
        files: dict[str, str] = {}
        times: dict[str, int] = {}
        for path in sorted((self.root / "etc/systemd/network").glob("*.network"), reverse=True):
            text = path.read_text()
            name = _values(text, "Name")[0]
            files[name], times[name] = text, path.stat().st_mtime_ns
        changed = {
            name
            for name in {*files, *self.known}
            if (files.get(name), times.get(name)) != (self.known.get(name), self.times.get(name))
        }
        self.known, self.times = files, times
        for name in sorted(changed & set(self.network.addresses)):
            self._configure(name)

    def appeared(self, name: str) -> None:
        """An interface that came, or was renamed."""
        if name in self.known:
            self._configure(name)

    def vanished(self, name: str) -> None:
        """Its routes wait no longer."""
        self.own.pop(name, None)
        self.waiting = {route for route in self.waiting if route.device != name}

    def _configure(self, name: str) -> None:
        text = self.known.get(name)
        self.waiting = {route for route in self.waiting if route.device != name}
        if text is None:
            self._release(name)
            return
        if strangers := set(re.findall(r"^(\w+)=", text, re.M)) - KEYS | set(_sections(text)) - SECTIONS:
            raise NotModelled(name, strangers)
        network, wanted = self.network, _values(text, "Address")
        network.down.discard(name)
        routes = set(_routes(name, text))
        network.routes = {route for route in network.routes if route.device != name or route in routes}
        for address in wanted:
            if address not in network.addresses[name]:
                network.addresses[name].append(address)
        for address in set(network.addresses[name]) - {*wanted, LO}:
            network.drop(name, address)
        self.own[name] = wanted
        for mtu in _values(text, "MTUBytes"):
            network.mtus[name] = min(int(mtu), network.most_mtu)  # which it says in its journal only
        for word in _values(text, "IPv4Forwarding"):
            network.set_forwarding(name, on={"yes": True, "no": False}[word])
        self.waiting |= routes
        ready = {route for route in self.waiting if not route.source or network.has(route.source)}
        self.waiting -= ready
        network.routes |= ready

    def _release(self, name: str) -> None:
        """Its file is gone: what networkd itself has configured goes too."""
        for address in self.own.pop(name, []):
            if address in self.network.addresses[name]:
                self.network.drop(name, address)
        self.network.routes = {
            route for route in self.network.routes if route.device != name or route.protocol != "static"
        }


def _sections(text: str) -> list[str]:
    return re.findall(r"^\[(\w+)\]$", text, re.M)


def _values(text: str, key: str) -> list[str]:
    return re.findall(rf"^{key}=(.*)$", text, re.M)


def _routes(name: str, text: str) -> list[Route]:
    found = []
    for section in text.split("[Route]\n")[1:]:
        (destination,), (gateway,), source = (
            _values(section, key) for key in ("Destination", "Gateway", "PreferredSource")
        )
        found.append(Route(destination.removesuffix("/32"), gateway, name, "".join(source), "static"))
    return found
