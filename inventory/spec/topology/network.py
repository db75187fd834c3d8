"""What a node's network must have: its ends, its loopback address, its routes, and what it passes on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address
from itertools import pairwise

from inventory.spec.topology.links import End, Link
from inventory.spec.topology.ways import Way


@dataclass(frozen=True)
class Route:
    """To a loopback address (/32). source: the node's own loopback address; None on a node that is only in the
    middle."""

    destination: IPv4Address
    via: IPv4Address
    interface: str
    source: IPv4Address | None


@dataclass(frozen=True)
class Passage:
    """What a node in the middle passes on, in this direction."""

    into: str
    out: str
    source: IPv4Address
    destination: IPv4Address


@dataclass(frozen=True)
class Network:
    """ends: with their links, cables first. loopback: None where no other node needs it."""

    ends: tuple[tuple[Link, End], ...]
    loopback: IPv4Address | None
    routes: tuple[Route, ...]
    passages: tuple[Passage, ...]


class Routes:
    """Everything that follows from the ways that lead through nodes in the middle."""

    def __init__(self, ways: Iterable[Way]) -> None:
        self.loopbacks: dict[str, IPv4Address] = {}
        self._routes: dict[str, dict[IPv4Address, Route]] = defaultdict(dict)
        self._passages: dict[str, set[Passage]] = defaultdict(set)
        self._peers: dict[str, set[tuple[IPv4Address, str]]] = defaultdict(set)
        for way in ways:
            if way.via:
                self._add(way)

    def routes(self, node: str) -> tuple[Route, ...]:
        """By destination."""
        return tuple(sorted(self._routes.get(node, {}).values(), key=lambda route: route.destination))

    def passages(self, node: str) -> tuple[Passage, ...]:
        """By source and destination."""
        return tuple(sorted(self._passages.get(node, ()), key=lambda passage: (passage.source, passage.destination)))

    def names(self, node: str) -> tuple[tuple[IPv4Address, str], ...]:
        """Nodes without a common link, by their loopback addresses: `halo3-routed`."""
        return tuple(sorted(self._peers.get(node, ())))

    def _add(self, way: Way) -> None:
        start, goal = way.out.node, way.into.node
        self.loopbacks |= {start: way.source, goal: way.destination}
        self._peers[start].add((way.destination, f"{goal}-routed"))
        self._peers[goal].add((way.source, f"{start}-routed"))
        for hop in way.hops:
            there = way.source if hop.out.node == start else None
            back = way.destination if hop.into.node == goal else None
            self._route(hop.out.node, Route(way.destination, hop.into.address.ip, hop.out.interface, there))
            self._route(hop.into.node, Route(way.source, hop.out.address.ip, hop.into.interface, back))
        for before, after in pairwise(way.hops):
            into, out = before.into.interface, after.out.interface
            middle = self._passages[before.into.node]
            middle.add(Passage(into, out, way.source, way.destination))
            middle.add(Passage(out, into, way.destination, way.source))

    def _route(self, node: str, route: Route) -> None:
        """One for each destination: a node that is in the middle of one way may be an end of another."""
        known = self._routes[node].setdefault(route.destination, route)
        if known.source is None:
            self._routes[node][route.destination] = route


def link_names(node: str, ends: Iterable[tuple[Link, End]]) -> Iterable[tuple[IPv4Address, str]]:
    """The other nodes of the node's links: `halo2-usb4`."""
    for link, _ in ends:
        for end in link.ends:
            if end.node != node:
                yield end.address.ip, f"{end.node}-{link.name}"
