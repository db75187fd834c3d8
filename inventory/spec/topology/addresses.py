"""Which addresses a lab's nodes have: pure, and the same for ever.

Everything follows from a range and from ids, and from nothing else: not from the order in the file, not from other
nodes or links. So nothing is renumbered when a lab grows. In `links_range`, cables take /31s from the bottom and nodes
take loopback addresses from the top; low ids need but a small range.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Interface, IPv4Network

CABLES_PER_PAIR = 2
"""Two nodes have at most two cables between them: most boxes have two USB4 ports."""


class RangeTooSmall(ValueError):  # noqa: N818 - it is a fact about the range, and reads as one
    """The range does not hold the address; `prefix` is the longest one that would."""

    def __init__(self, net: IPv4Network, addresses: int) -> None:
        self.prefix = 32 - (addresses - 1).bit_length()
        super().__init__(f"{net} is too small; a /{self.prefix} is enough")


def subnet(links_range: IPv4Network, one: int, other: int, number: int, *, highest: int) -> IPv4Network:
    """The /31 of cable `number` between the nodes with these ids. highest: the highest id of the lab, for the loopback
    addresses at the top. Raises RangeTooSmall."""
    index = subnet_index(one, other, number)
    needed = 2 * (index + 1) + highest + 1
    if needed > links_range.num_addresses:
        raise RangeTooSmall(links_range, needed)
    return IPv4Network((int(links_range.network_address) + 2 * index, 31))


def subnet_index(one: int, other: int, number: int) -> int:
    """The pairs (1,2) (1,3) (2,3) (1,4) ... counted from 0."""
    low, high = sorted((one, other))
    pair = (high - 1) * (high - 2) // 2 + (low - 1)
    return CABLES_PER_PAIR * pair + number


def loopback(links_range: IPv4Network, node: int) -> IPv4Address:
    """The /32 of the node with this id, by which nodes without a common link reach it."""
    return IPv4Address(int(links_range.broadcast_address) - node)


def in_fabric(net: IPv4Network, node: int) -> IPv4Interface:
    """The address in an Ethernet fabric of the node with this id. Raises RangeTooSmall."""
    if node + 1 >= net.num_addresses:  # the last address is the broadcast address
        raise RangeTooSmall(net, node + 2)
    return IPv4Interface((int(net.network_address) + node, net.prefixlen))
