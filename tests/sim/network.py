"""The kernel's side of the network: interfaces, addresses, routes, forwarding, as iproute2 shows them.

The outputs are those of iproute2 6.1 (bookworm) and 6.15 (trixie), recorded in network namespaces.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path
from typing import Any

from tests.sim.shell import Call, NotModelled, Reply

FOREVER = 4294967295
FOREVER_WORDS = r"\       valid_lft forever preferred_lft forever"
LO = "127.0.0.1/8"


@dataclass(frozen=True)
class Route:
    """destination: as `ip` prints it, so a /32 without its length. protocol: empty for what a person added."""

    destination: str
    gateway: str
    device: str
    source: str = ""
    protocol: str = ""

    @property
    def network(self) -> IPv4Network:
        return IPv4Network("0.0.0.0/0" if self.destination == "default" else self.destination)

    def __str__(self) -> str:
        protocol = f"proto {self.protocol} " if self.protocol else ""
        source = f"src {self.source} " if self.source else ""
        return f"{self.destination} via {self.gateway} dev {self.device} {protocol}{source}\n"

    def json(self) -> dict[str, Any]:
        values = {"dst": self.destination, "gateway": self.gateway, "dev": self.device}
        values |= {"protocol": self.protocol} if self.protocol else {}
        return values | ({"prefsrc": self.source} if self.source else {}) | {"flags": []}


class Network:
    """Program: ip. addresses: interface -> its addresses with prefix lengths. mtus: bytes, by interface. routes: with
    a gateway; the others follow from the addresses."""

    def __init__(self, root: Path, interfaces: tuple[str, ...], management: str) -> None:
        self.root = root
        self.management = IPv4Interface(f"{management}/24")
        self.interfaces = ("lo", "host0", *interfaces)
        self.most_mtu = 9216
        """What the interfaces take."""
        self.unplugged: set[str] = set()
        """Up, and nobody at the other end."""
        self.boot(keep=(root / "proc/sys/net").exists())

    def boot(self, *, keep: bool = False) -> None:
        """As after the boot, before networkd has started. keep: what /proc/sys says stays (a copied tree)."""
        self.addresses: dict[str, list[str]] = {name: [] for name in self.interfaces}
        self.addresses |= {"lo": [LO], "host0": [str(self.management)]}
        self.down: set[str] = set()
        self.macs: dict[str, str] = {}
        self.mtus = {name: 65536 if name == "lo" else 1500 for name in self.interfaces}
        gateway = str(self.management.network.network_address + 1)
        self.routes = {Route("default", gateway, "host0", protocol="static")}
        for name in () if keep else ("all", "default", *self.interfaces):
            self.set_forwarding(name, on=False)

    # --- what changes it

    def forwarding(self, name: str) -> bool:
        return self._forwarding(name).read_text() == "1\n"

    def set_forwarding(self, name: str, *, on: bool) -> None:
        path = self._forwarding(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{on:d}\n")

    def _forwarding(self, name: str) -> Path:
        return self.root / f"proc/sys/net/ipv4/conf/{name}/forwarding"

    def has(self, address: str) -> bool:
        """Whether any interface has it; without a prefix length."""
        return any(own.split("/")[0] == address for owns in self.addresses.values() for own in owns)

    def drop(self, name: str, address: str) -> None:
        """Routes that name the address as their source go with it, and with an interface's last one all of its."""
        self.addresses[name].remove(address)
        self.routes = {
            route
            for route in self.routes
            if (not route.source or self.has(route.source)) and (self.addresses[name] or route.device != name)
        }

    def appear(self, name: str, mac: str) -> None:
        """Hardware that comes; it is up as soon as somebody sets it up."""
        self.addresses[name], self.mtus[name], self.macs[name] = [], 1500, mac
        self.down.add(name)
        self.set_forwarding(name, on=self.forwarding("default"))

    def vanish(self, name: str) -> None:
        """With all that it had."""
        self.routes = {route for route in self.routes if route.device != name}
        del self.addresses[name], self.mtus[name], self.macs[name]
        self.down.discard(name)
        self._forwarding(name).unlink()
        self._forwarding(name).parent.rmdir()

    def rename(self, name: str, new: str) -> None:
        """It keeps what it has."""
        on = self.forwarding(name)
        self.routes = {replace(route, device=new) if route.device == name else route for route in self.routes}
        self.addresses[new], self.mtus[new] = self.addresses.pop(name), self.mtus.pop(name)
        self.macs[new] = self.macs.pop(name)
        self.down = {new if other == name else other for other in self.down}
        self._forwarding(name).unlink()
        self._forwarding(name).parent.rmdir()
        self.set_forwarding(new, on=on)

    # --- iproute2

    def ip(self, call: Call) -> Reply:
        match call.words:
            case ["-j", "-4", "address", "show"]:
                # Every interface without an IPv4 address is an empty object, but for the last ones (trixie leaves
                # them out, bookworm does not).
                return _json([self._json(number, name) for number, name in enumerate(self.addresses, 1)])
            case ["-j", "address", "show"]:
                return _json([self._json(number, name, whole=True) for number, name in enumerate(self.addresses, 1)])
            case ["-j", "-4", "route", "get", to, "from", source]:
                return self._get(to, source)
            case ["-j", "-4", "route", "show"]:
                connected = [(network, values) for network, values in self._connected()]
                routes = [(route.network, route.json()) for route in self.routes]
                return _json([values for _, values in sorted([*connected, *routes], key=lambda each: each[0])])
            case ["-4", "route", "show", "default"]:
                return Reply("".join(str(route) for route in self.routes if route.destination == "default"))
            case ["-4", "route", "show", destination] if destination[0].isdigit() and "/" not in destination:
                return Reply("".join(str(route) for route in self.routes if route.destination == destination))
            case ["-4", "route", "get", address]:
                return Reply(self._way(address))
            case ["-4", "route", "show", *selector]:  # a whole line, as it is shown, without its metric
                lines = [line for line in self._route_lines() if not selector or line.split() == selector]
                return Reply("".join(lines))
            case ["-4", "route", "add", destination, "via", gateway, "dev", name, *rest]:
                return self._add_route(destination, gateway, name, rest)
            case ["-4", "route", "add", network, "dev", _, "proto", "kernel", *_]:
                if any(str(known) == network for known, _ in self._connected()):
                    return Reply(stderr="RTNETLINK answers: File exists\n", status=2)
                raise NotModelled(call)
            case ["address", "add", address, "dev", name] if address not in self.addresses[name]:
                self.addresses[name].append(address)
                return Reply()
            case ["route", "delete", destination, "via", gateway, "dev", name]:
                return self._delete_route(destination, gateway, name)
            case ["-o", "route", "show", "default"]:
                return self.ip(replace(call, words=("-4", "route", "show", "default")))
            case ["-o", "-4", "address"] | ["-o", "address", "show"]:  # no IPv6 in here
                return Reply("".join(line for name in self.addresses for line in self._lines(name)))
            case ["-4", "-o", "address", "show", "dev", name]:
                if name not in self.addresses:
                    return Reply(stderr=f'Device "{name}" does not exist.\n', status=1)
                return Reply("".join(self._lines(name)))
            case ["address", "delete", address, "dev", name]:
                if name not in self.addresses:
                    return Reply(stderr=f'Cannot find device "{name}"\n', status=1)
                if address not in self.addresses[name]:
                    return Reply(stderr="Error: ipv4: Address not found.\n", status=2)
                self.drop(name, address)
                return Reply()
            case ["-o", "link", "show", "dev", name]:
                if name not in self.addresses:
                    return Reply(stderr=f'Device "{name}" does not exist.\n', status=1)
                return Reply(self._link(list(self.addresses).index(name) + 1, name))
            case ["-o", "link"]:
                return Reply("".join(self._link(number, name) for number, name in enumerate(self.addresses, 1)))
        raise NotModelled(call)

    def _delete_route(self, destination: str, gateway: str, name: str) -> Reply:
        if name not in self.addresses:
            return Reply(stderr=f'Cannot find device "{name}"\n', status=1)
        wanted = (destination, gateway, name)
        found = {route for route in self.routes if (route.destination, route.gateway, route.device) == wanted}
        if not found:
            return Reply(stderr="RTNETLINK answers: No such process\n", status=2)
        self.routes -= found
        return Reply()

    def _way(self, address: str) -> str:
        """Transcript: iproute2 6.1. The longest prefix wins."""
        known = [(network, values["dev"], "") for network, values in self._connected()]
        known += [(route.network, route.device, f"via {route.gateway} ") for route in self.routes]
        found = [each for each in known if IPv4Address(address) in each[0]]
        _, device, via = max(found, key=lambda each: each[0].prefixlen)
        source = self.addresses[device][0].split("/")[0]
        return f"{address} {via}dev {device} src {source} uid 0 \n    cache \n"

    def _add_route(self, destination: str, gateway: str, name: str, rest: list[str]) -> Reply:
        values = dict(zip(rest[::2], rest[1::2], strict=True))
        route = Route(destination, gateway, name, values.pop("src", ""), values.pop("proto", ""))
        assert not values
        if any(known.destination == destination for known in self.routes):
            return Reply(stderr="RTNETLINK answers: File exists\n", status=2)
        self.routes.add(route)
        return Reply()

    def _connected(self) -> Iterator[tuple[IPv4Network, dict[str, Any]]]:
        """The routes that the kernel makes of addresses."""
        for name, owns in self.addresses.items():
            for own in map(IPv4Interface, owns if name != "lo" else ()):
                values = {"dst": str(own.network), "dev": name, "protocol": "kernel", "scope": "link"}
                yield own.network, values | {"prefsrc": str(own.ip), "flags": []}

    def _lines(self, name: str) -> Iterator[str]:
        number = list(self.addresses).index(name) + 1
        for own in self.addresses[name]:
            broadcast = f" brd {own_broadcast}" if (own_broadcast := _broadcast(own)) else ""
            yield f"{number}: {name}    inet {own}{broadcast} scope {_scope(own)} {name}{FOREVER_WORDS}\n"

    def _route_lines(self) -> Iterator[str]:
        yield from map(str, self.routes)
        for _, values in self._connected():
            yield f"{values['dst']} dev {values['dev']} proto kernel scope link src {values['prefsrc']}\n"

    def _link(self, number: int, name: str) -> str:
        tail = r"qdisc noqueue state UP mode DEFAULT group default qlen 1000\    link/ether "
        tail += f"{self._mac(number, name)} brd ff:ff:ff:ff:ff:ff"
        peer = "@if9" if name != "lo" else ""
        flags = "NO-CARRIER,BROADCAST,MULTICAST,UP" if name in self.unplugged else "BROADCAST,UP,LOWER_UP"
        return f"{number}: {name}{peer}: <{flags}> mtu {self.mtus[name]} {tail}\n"

    def _mac(self, number: int, name: str) -> str:
        return self.macs.get(name, f"02:00:00:00:00:{number:02x}")

    def _get(self, to: str, source: str) -> Reply:
        """As recorded: with `from`, the source is said by that word and prefsrc is left out."""
        if not self.has(source):
            return Reply("[]", "RTNETLINK answers: Invalid argument\n", 2)
        routes = [(route.network, route.device) for route in self.routes]
        routes += [(network, values["dev"]) for network, values in self._connected()]
        _, device = max((each for each in routes if IPv4Address(to) in each[0]), key=lambda each: each[0].prefixlen)
        return _json([{"dst": to, "from": source, "dev": device, "flags": [], "uid": 0, "cache": []}])

    def _json(self, number: int, name: str, *, whole: bool = False) -> dict[str, Any]:
        """whole: an interface without an address too, and with its MAC."""
        if not self.addresses[name] and not whole:
            return {}
        infos = []
        for own in self.addresses[name]:
            local, length = own.split("/")
            info = {"family": "inet", "local": local, "prefixlen": int(length)}
            info |= {"broadcast": own_broadcast} if (own_broadcast := _broadcast(own)) else {}
            info |= {"scope": _scope(own), "label": name}
            infos.append(info | {"valid_life_time": FOREVER, "preferred_life_time": FOREVER})
        flags = ["BROADCAST", "MULTICAST", "UP", "LOWER_UP"]
        found = {"ifindex": number, "ifname": name, "flags": flags, "mtu": self.mtus[name]}
        return found | {"address": self._mac(number, name), "addr_info": infos}


def _json(items: list[dict[str, Any]]) -> Reply:
    return Reply(json.dumps(items, separators=(",", ":")) + "\n")


def _scope(address: str) -> str:
    return "host" if address == LO else "global"


def _broadcast(address: str) -> str:
    """As networkd sets it; empty for loopback and point-to-point."""
    own = IPv4Interface(address)
    return "" if address == LO or own.network.prefixlen > 30 else str(own.network.broadcast_address)
