"""How nodes reach each other: over a common link, or through nodes in the middle.

Every path is the best in one total order: fewest links first, then cables before fabrics, then the lower subnets. The
order is that of binary numbers with a bit for each link, so no two paths are equal. Hence the way back is the way
there, every part of a best path is a best path (routes by destination never contradict each other), and nothing but a
better link changes it.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address

from inventory.spec.topology.links import End, Link

Key = tuple[int, int, int]
"""A link's place in the order; the parts of a fabric are its nodes' connections to it."""

Cost = tuple[int, tuple[Key, ...]]
"""How many half links a path has, and which, the worst first."""


@dataclass(frozen=True)
class Hop:
    """From one node to the next over one link."""

    link: Link
    out: End
    into: End


@dataclass(frozen=True)
class Way:
    """From a controller to a worker. source, destination: the addresses that they use for each other, which are those
    of their common link, or their loopback addresses where there is none."""

    hops: tuple[Hop, ...]
    source: IPv4Address
    destination: IPv4Address

    @property
    def out(self) -> End:
        """The controller's end of the first link."""
        return self.hops[0].out

    @property
    def into(self) -> End:
        """The worker's end of the last link."""
        return self.hops[-1].into

    @property
    def via(self) -> tuple[str, ...]:
        """The nodes in the middle."""
        return tuple(hop.into.node for hop in self.hops[:-1])

    @property
    def mtu(self) -> int:
        """Bytes: of the narrowest link."""
        return min(hop.link.mtu for hop in self.hops)


class Ways:
    """The graph of a lab. loopbacks: of every node. A link is known by its index: a hash would cost all its ends."""

    def __init__(self, links: Iterable[Link], loopbacks: Mapping[str, IPv4Address]) -> None:
        self._links = tuple(links)
        self._loopbacks = loopbacks
        self._at: dict[str, dict[int, End]] = {}
        """Node -> its links, each with the node's end."""
        for index, link in enumerate(self._links):
            for end in link.ends:
                self._at.setdefault(end.node, {})[index] = end
        self._trees: dict[str, dict[str | int, tuple[Hop, ...]]] = {}
        """Node -> every place that it reaches, each with the best path. A controller asks for many workers."""

    def ends(self, node: str) -> tuple[tuple[Link, End], ...]:
        """The node's links, cables first, each with the node's end."""
        return tuple((self._links[index], end) for index, end in self._at.get(node, {}).items())

    def way(self, start: str, goal: str) -> Way | None:
        """None where no path is."""
        if hops := self._direct(start, goal):
            return Way(hops, hops[0].out.address.ip, hops[0].into.address.ip)
        if hops := self._through(start, goal):
            return Way(hops, self._loopbacks[start], self._loopbacks[goal])
        return None

    def _direct(self, start: str, goal: str) -> tuple[Hop, ...]:
        mine, theirs = self._at.get(start, {}), self._at.get(goal, {})
        common = mine.keys() & theirs.keys()
        if not common or start == goal:
            return ()
        index = min(common)  # the links are in the order of `_order`
        return (Hop(self._links[index], mine[index], theirs[index]),)

    def _through(self, start: str, goal: str) -> tuple[Hop, ...]:
        if start not in self._trees:
            self._trees[start] = self._tree(start)
        return self._trees[start].get(goal, ())

    def _tree(self, start: str) -> dict[str | int, tuple[Hop, ...]]:
        """Dijkstra's algorithm, to every place. A fabric (its index) is a place of its own between its nodes."""
        reached: dict[str | int, tuple[Hop, ...]] = {}
        queue: list[tuple[Cost, int, _Step]] = [((0, ()), 0, _Step(start, ()))]
        pushed = 0
        while queue:
            (length, keys), _, step = heapq.heappop(queue)
            if step.place in reached:
                continue
            reached[step.place] = step.hops
            for half, key, onward in self._onward(step):
                if onward.place not in reached:
                    pushed += 1
                    cost = (length + half, tuple(sorted((*keys, key), reverse=True)))
                    heapq.heappush(queue, (cost, pushed, onward))
        return reached

    def _onward(self, step: _Step) -> Iterator[tuple[int, Key, _Step]]:
        """Half links, key, and where that leads."""
        if step.entered is not None:
            fabric = self._links[int(step.place)]
            for end in fabric.ends:
                yield 1, _part(fabric, end), _Step(end.node, (*step.hops, Hop(fabric, step.entered, end)))
            return
        for index, end in self._at.get(str(step.place), {}).items():
            link = self._links[index]
            if link.kind == "ethernet":
                yield 1, _part(link, end), _Step(index, step.hops, end)
            else:
                other = link.ends[link.ends[0] is end]
                yield 2, _order(link), _Step(other.node, (*step.hops, Hop(link, end, other)))


@dataclass(frozen=True)
class _Step:
    """place: a node, or the index of a fabric that was `entered` by this end."""

    place: str | int
    hops: tuple[Hop, ...]
    entered: End | None = None


def _order(link: Link) -> Key:
    return (int(link.kind != "usb4"), int(link.subnet.network_address), 0)


def _part(fabric: Link, end: End) -> Key:
    return (1, int(fabric.subnet.network_address), int(end.address.ip))
