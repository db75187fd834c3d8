"""NetworkManager, as its version 1.52 was seen to do it on trixie.

A reload takes up what is on disk: a profile that is gone takes its addresses and routes along, one that is new is used
at once where its interface has none, one that was changed is used when it is brought up. That clears the interface of
everything else. The MTU stays as it was set.
"""

from __future__ import annotations

import configparser
from pathlib import Path

from tests.sim.network import LO, Network, Route
from tests.sim.shell import Call, NotModelled, Reply

UNIT = "NetworkManager.service"
FOLDER = "etc/NetworkManager"
KEYS = {
    "connection": {"id", "uuid", "type", "interface-name", "autoconnect-priority", "autoconnect-retries"},
    "ethernet": {"mtu"},
    "ipv4": {"method", "address1", "never-default"},
    "ipv6": {"method"},
}
UP = "Connection successfully activated (D-Bus active path: /org/freedesktop/NetworkManager/ActiveConnection/18)\n"
UNSUITABLE = (
    "Error: Connection activation failed: No suitable device found for this connection (device host0 not available "
    "because profile is not compatible with device (mismatching interface name)).\n"
)


class NetworkManager:
    """Program: nmcli. known: profiles as it read them last, by id. used:
    interface -> the profile that it is set up by, as that was then. conf: its own files of ours, as it read them."""

    def __init__(self, root: Path, network: Network) -> None:
        self.root, self.network = root, network
        self.boot()

    def boot(self) -> None:
        self.known: dict[str, str] = {}
        self.used: dict[str, str] = {}
        self.conf: dict[str, str] = {}

    def start(self) -> None:
        self._read_conf()
        self._reload()

    def nmcli(self, call: Call) -> Reply:
        match call.words:
            case ["general", "reload", "conf"]:
                self._read_conf()
            case ["connection", "reload"]:
                self._reload()
            case ["-t", "-f", "NAME,DEVICE", "connection", "show"]:
                devices = {_value(text, "id"): name for name, text in self.used.items()}
                lines = [f"{name}:{devices.get(name, '')}\n" for name in self.known]
                return Reply("".join(["management:host0\n", *lines, "Wired connection 1:\n"]))
            case ["--wait", "10", "connection", "up", name]:
                if name not in self.known:
                    return Reply(stderr=f"Error: unknown connection '{name}'.\n", status=10)
                device = _value(self.known[name], "interface-name")
                if device not in self.network.addresses:
                    return Reply(stderr=UNSUITABLE, status=4)
                self._use(device, self.known[name])
                return Reply(UP)
            case _:
                raise NotModelled(call)
        return Reply()

    def appeared(self, name: str) -> None:
        """An interface that came, or was renamed: it is set up by the profile that waits for it."""
        for text in self.known.values():
            if _value(text, "interface-name") == name and name not in self.used:
                self._use(name, text)

    def vanished(self, name: str) -> None:
        """Its profile waits for it."""
        self.used.pop(name, None)

    def _read_conf(self) -> None:
        self.conf = {path.name: path.read_text() for path in (self.root / FOLDER / "conf.d").glob("*halofleet*")}

    def _reload(self) -> None:
        paths = sorted((self.root / FOLDER / "system-connections").glob("halofleet-*.nmconnection"))
        for path in paths:
            if path.stat().st_mode & 0o077:
                raise NotModelled(f"{path.name}: others can read it, and NetworkManager does not")
        self.known = {_value(text, "id"): text for text in (path.read_text() for path in paths)}
        for device in [name for name, text in self.used.items() if _value(text, "id") not in self.known]:
            del self.used[device]
            self._clear(device)
        for text in self.known.values():
            device = _value(text, "interface-name")
            if device in self.network.addresses and device not in self.used:
                self._use(device, text)

    def _use(self, device: str, text: str) -> None:
        profile = _parsed(text)
        self._clear(device)
        self.used[device] = text
        network = self.network
        network.down.discard(device)
        network.addresses[device] += [profile["ipv4"]["address1"]]
        if "ethernet" in profile:
            network.mtus[device] = min(int(profile["ethernet"]["mtu"]), network.most_mtu)
        for text in self.used.values():  # one that waited for its source has it now
            network.routes |= {route for route in _routes(text) if not route.source or network.has(route.source)}

    def _clear(self, device: str) -> None:
        network = self.network
        network.routes = {route for route in network.routes if route.device != device}
        for address in set(network.addresses[device]) - {LO}:
            network.drop(device, address)


def _parsed(text: str) -> configparser.ConfigParser:
    profile = configparser.ConfigParser(comment_prefixes=("#",), inline_comment_prefixes=None)
    profile.read_string(text)
    for section in profile.sections():
        keys = {key for key in profile[section] if not (section == "ipv4" and key.startswith("route"))}
        if strangers := keys - KEYS[section]:
            raise NotModelled(section, strangers)
    return profile


def _value(text: str, key: str) -> str:
    return _parsed(text)["connection"][key]


def _routes(text: str) -> set[Route]:
    profile = _parsed(text)
    found, ipv4 = set(), profile["ipv4"]
    for number in range(1, 9):
        if way := ipv4.get(f"route{number}"):
            destination, gateway = way.split(",")
            source = ipv4.get(f"route{number}_options", "").removeprefix("src=")
            device = profile["connection"]["interface-name"]
            found.add(Route(destination.removesuffix("/32"), gateway, device, source, "static"))
    return found
