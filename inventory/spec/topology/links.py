"""Links with everything that follows from the file: subnets, addresses, interfaces."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv4Network

from inventory.spec.language.links import End as SaidEnd
from inventory.spec.language.links import Ethernet, Usb4
from inventory.spec.language.patterns import INTERFACE_NAME
from inventory.spec.topology import addresses


@dataclass(frozen=True)
class End:
    """A node's end of a link. port: what the file says of it; None where it says nothing."""

    node: str
    interface: str
    address: IPv4Interface
    port: str | None

    @property
    def named(self) -> bool:
        """The interface has to be given its name (by a systemd.link file); the kernel calls it otherwise."""
        return self.port != self.interface


@dataclass(frozen=True)
class Link:
    """A cable (`usb4`, two ends) or a fabric (`ethernet`, two or more). The ends are ordered by their nodes' ids.

    name: what /etc/hosts adds to a node's name; number: of a cable between its two nodes, 0 for a fabric; mtu: bytes.
    """

    kind: str
    name: str
    number: int
    subnet: IPv4Network
    mtu: int
    ends: tuple[End, ...]

    def end(self, node: str) -> End:
        """The node's end. KeyError when it has none."""
        for end in self.ends:
            if end.node == node:
                return end
        raise KeyError(f"{node} has no end of {self.name} {self.subnet}")


def links(links_range: IPv4Network, ids: Mapping[str, int], said: Iterable[Usb4 | Ethernet]) -> tuple[Link, ...]:
    """Every link, cables first, by their subnets. What was said has passed `rules`."""
    made = [_cable(links_range, ids, link) if isinstance(link, Usb4) else _fabric(ids, link) for link in said]
    return tuple(sorted(made, key=lambda link: (link.kind != "usb4", link.subnet)))


def interface(said: SaidEnd, otherwise: str) -> str:
    """The name that the end's interface has, or is given."""
    return said.port if said.port is not None and INTERFACE_NAME.fullmatch(said.port) else otherwise


def cable_interface(peer: int, number: int) -> str:
    """The name of a cable's interface on the other end than the node with the id `peer`."""
    return f"usb4-{peer}-{number}" if number else f"usb4-{peer}"


def cable_name(number: int) -> str:
    """Of the first or second cable between two nodes."""
    return f"usb4-{number}" if number else "usb4"


def _cable(links_range: IPv4Network, ids: Mapping[str, int], link: Usb4) -> Link:
    low, high = sorted(link.usb4, key=lambda node: ids[node])
    net = addresses.subnet(links_range, ids[low], ids[high], link.number, highest=max(ids.values()))
    first = int(net.network_address)
    ends = tuple(
        End(
            node,
            interface(link.usb4[node], cable_interface(ids[peer], link.number)),
            IPv4Interface((first + host, 31)),
            link.usb4[node].port,
        )
        for host, (node, peer) in enumerate(((low, high), (high, low)))
    )
    return Link("usb4", cable_name(link.number), link.number, net, link.mtu, ends)


def _fabric(ids: Mapping[str, int], link: Ethernet) -> Link:
    ends = tuple(
        End(
            node,
            interface(link.ethernet[node], link.name),
            addresses.in_fabric(link.subnet, ids[node]),
            link.ethernet[node].port,
        )
        for node in sorted(link.ethernet, key=lambda node: ids[node])
    )
    return Link("ethernet", link.name, 0, link.subnet, link.mtu, ends)
