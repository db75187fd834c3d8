"""Addresses, routes and MTUs on the dedicated links, whoever keeps them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Network

from inventory.spec import Lab
from inventory.spec.topology.network import Route
from roles.network.ports import purpose


@dataclass(frozen=True)
class Interface:
    """address: with its prefix length. mtu: bytes; None where it is not ours to set. forwards: packets that come in
    here may leave by another link."""

    name: str
    purpose: str
    address: str
    mtu: int | None
    routes: tuple[Route, ...]
    forwards: bool


@dataclass(frozen=True)
class Network:
    """links_range: the lab's; an address or a route of ours there that this node should not have is taken away.
    management: where SSH reaches the node."""

    interfaces: tuple[Interface, ...]
    links_range: IPv4Network
    management: IPv4Address


def plan(lab: Lab, name: str) -> Network:
    network = lab.network(name)
    passing = {passage.into for passage in network.passages}
    found = [
        Interface(
            name=end.interface,
            purpose=purpose(link, name),
            address=str(end.address),
            mtu=link.mtu,
            routes=tuple(route for route in network.routes if route.interface == end.interface),
            forwards=end.interface in passing,
        )
        for link, end in network.ends
    ]
    if network.loopback is not None:  # first: the routes name it as their source
        why = "this node's address for nodes that have no link to it"
        found.insert(0, Interface("lo", why, f"{network.loopback}/32", None, (), forwards=False))
    return Network(tuple(found), lab.spec.links_range, lab.node(name).address)


def narrowed(network: Network, mtus: Mapping[str, int]) -> Network:
    """The same with what gets through the links (roles/link_proof). mtus: by interface, where that is less than
    planned."""
    found = (replace(each, mtu=mtus.get(each.name, each.mtu)) for each in network.interfaces)
    return replace(network, interfaces=tuple(found))
