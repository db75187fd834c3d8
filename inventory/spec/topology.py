"""Subnets and addresses of the cables: pure, and the same for ever.

A cable's /31 follows from the range, the ids of its two nodes and its number between them, and from nothing else: not
from the order in the file, not from other nodes or cables. So nothing is renumbered when a lab grows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from inventory.spec.models import Usb4

CABLES_PER_PAIR = 2
"""A box has two USB4 ports, so two nodes have at most two cables between them."""


@dataclass(frozen=True)
class LinkEnd:
    """A node's end of a cable."""

    node: str
    interface: str
    address: IPv4Interface
    peer: str
    peer_address: IPv4Address


@dataclass(frozen=True)
class Cable:
    """A cable between two nodes. The first end is the node with the lower id, and has the lower address."""

    number: int
    subnet: IPv4Network
    ends: tuple[LinkEnd, LinkEnd]


class RangeTooSmall(ValueError):  # noqa: N818 - it is a fact about the range, and reads as one
    """The range does not hold the cable's subnet; `prefix` is the longest one that would."""

    def __init__(self, links_range: IPv4Network, prefix: int) -> None:
        super().__init__(f"{links_range} cannot hold the subnet; a /{prefix} is enough")
        self.prefix = prefix


def cables(links_range: IPv4Network, ids: Mapping[str, int], links: Iterable[Usb4]) -> tuple[Cable, ...]:
    """Every cable, ordered by its nodes' ids and its number. The links have passed `rules`."""

    def ordered(link: Usb4) -> tuple[int, ...]:
        return (*sorted(ids[name] for name in link.usb4), link.number)

    return tuple(_cable(links_range, ids, link) for link in sorted(links, key=ordered))


def subnet(links_range: IPv4Network, one: int, other: int, number: int) -> IPv4Network:
    """The /31 of cable `number` between the nodes with these ids. Raises RangeTooSmall."""
    index = subnet_index(one, other, number)
    addresses = 2 * (index + 1)
    if addresses > links_range.num_addresses:
        raise RangeTooSmall(links_range, 32 - (addresses - 1).bit_length())
    return IPv4Network((int(links_range.network_address) + 2 * index, 31))


def subnet_index(one: int, other: int, number: int) -> int:
    """The pairs (1,2) (1,3) (2,3) (1,4) ... counted from 0: pairs of low ids need but a small range."""
    low, high = sorted((one, other))
    pair = (high - 1) * (high - 2) // 2 + (low - 1)
    return CABLES_PER_PAIR * pair + number


def _cable(links_range: IPv4Network, ids: Mapping[str, int], link: Usb4) -> Cable:
    (low, low_interface), (high, high_interface) = sorted(link.usb4.items(), key=lambda end: ids[end[0]])
    net = subnet(links_range, ids[low], ids[high], link.number)
    lower, upper = (IPv4Interface((int(net.network_address) + host, 31)) for host in (0, 1))
    return Cable(
        number=link.number,
        subnet=net,
        ends=(
            LinkEnd(low, low_interface, lower, peer=high, peer_address=upper.ip),
            LinkEnd(high, high_interface, upper, peer=low, peer_address=lower.ip),
        ),
    )
