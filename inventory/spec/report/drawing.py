"""The topology as text.

Nodes that cables join stand on a line, in an order in which as many cables as possible join neighbours; each other
cable is an arc of its own below. A fabric is a bus with its members:

    halo1 ---- halo2 ---- halo3     ethernet ==+=======+==
      +---------------------+                halo1   halo2
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise

from inventory.spec.lab import Lab
from inventory.spec.report.text import WIDTH, fill, listed
from inventory.spec.topology.links import Link

CABLE = " ---- "
NO_CABLE = "    "
"""Between neighbours on the line that no cable joins."""

_INDENT = 2

Pair = tuple[str, str]
Peers = Mapping[str, Counter[str]]
"""Node -> the nodes at the other ends of its cables, and how many cables lead there."""


def draw(lab: Lab) -> Iterator[str]:
    """The lines, each of at most WIDTH columns."""
    order = sorted(lab.nodes, key=lambda name: lab.nodes[name].id)
    peers = _peers(order, (link for link in lab.links if link.kind == "usb4"))
    placed: set[str] = set()
    for start in order:
        if peers[start] and start not in placed:
            pieces = _pieces(_component(start, order, peers), peers)
            placed.update(*pieces)
            yield from _cabled(pieces, peers)
    fabrics = [link for link in lab.links if link.kind != "usb4"]
    for fabric in fabrics:
        placed.update(end.node for end in fabric.ends)
        yield from _bus(fabric)
    if alone := [name for name in order if name not in placed]:
        yield from fill(_INDENT, ["without", "links:", *listed(alone)])


def _peers(order: Iterable[str], cables: Iterable[Link]) -> Peers:
    found: dict[str, Counter[str]] = {name: Counter() for name in order}
    for cable in cables:
        one, other = (end.node for end in cable.ends)
        found[one][other] += 1
        found[other][one] += 1
    return found


def _component(start: str, order: Sequence[str], peers: Peers) -> list[str]:
    """All that cables join to the node, in the order of ids."""
    found, queue = {start}, [start]
    while queue:
        fresh = peers[queue.pop()].keys() - found
        found |= fresh
        queue += fresh
    return [name for name in order if name in found]


def _pieces(component: Sequence[str], peers: Peers) -> list[list[str]]:
    """Paths that cover the component. Each goes on to where it could go on least, which leaves the fewest behind."""
    left = dict.fromkeys(component)  # in the order of ids, which decides where nothing else does
    place = {name: index for index, name in enumerate(component)}

    def onward(name: str) -> tuple[int, int]:
        return sum(peer in left for peer in peers[name]), place[name]

    pieces = []
    while left:
        path = [min(left, key=onward)]
        del left[path[0]]
        while ahead := [peer for peer in peers[path[-1]] if peer in left]:
            path.append(min(ahead, key=onward))
            del left[path[-1]]
        pieces.append(path)
    return pieces


def _cabled(pieces: Sequence[Sequence[str]], peers: Peers) -> Iterator[str]:
    rest = _rest(pieces, peers)
    line = " " * _INDENT + NO_CABLE.join(CABLE.join(path) for path in pieces)
    if len(line) <= WIDTH:
        yield line
        yield from _arcs(_middles(pieces), rest)
        return
    for path in pieces:
        if len(path) > 1:
            words = [f"{name}{CABLE.rstrip()}" for name in path[:-1]]
            yield from fill(_INDENT, [*words, path[-1]])
    if rest:
        yield from fill(_INDENT, ["also:", *listed([f"{one}{CABLE}{other}" for one, other in rest])])


def _rest(pieces: Sequence[Sequence[str]], peers: Peers) -> list[Pair]:
    """The cables that do not join neighbours on the line, and second cables; each from left to right."""
    order = [name for path in pieces for name in path]
    drawn = {pair for path in pieces for pair in pairwise(path)}
    place = {name: index for index, name in enumerate(order)}
    found = []
    for one in order:
        for other in sorted((peer for peer in peers[one] if place[peer] > place[one]), key=place.__getitem__):
            found += [(one, other)] * (peers[one][other] - ((one, other) in drawn))
    return found


def _middles(pieces: Sequence[Sequence[str]]) -> dict[str, int]:
    """The column of each name's middle."""
    found, column = {}, _INDENT
    for path in pieces:
        for name in path:
            found[name] = column + len(name) // 2
            column += len(name) + len(CABLE)
        column += len(NO_CABLE) - len(CABLE)
    return found


def _arcs(middles: Mapping[str, int], cables: Iterable[Pair]) -> Iterator[str]:
    """A row for each cable, the short ones above. A line to an arc further below goes straight through."""
    arcs = sorted(((middles[one], middles[other]) for one, other in cables), key=lambda arc: (arc[1] - arc[0], arc))
    for number, (left, right) in enumerate(arcs):
        row = list(" " * left + "+" + "-" * (right - left - 1) + "+")
        for column in {column for arc in arcs[number + 1 :] for column in arc} - {left, right}:
            row += " " * (column + 1 - len(row))
            row[column] = "|"
        yield "".join(row)


def _bus(fabric: Link) -> Iterator[str]:
    """As many members below the bus as fit, and the rest below another stretch of it."""
    start = _INDENT + len(fabric.name) + 1
    row: list[str] = []
    for end in fabric.ends:
        if row and start + 2 + sum(len(name) + 3 for name in row) + len(end.node) > WIDTH:
            yield from _stretch(fabric.name, start, row)
            row = []
        row.append(end.node)
    yield from _stretch(fabric.name, start, row)


def _stretch(name: str, start: int, members: Sequence[str]) -> Iterator[str]:
    names = " " * (start + 2) + "   ".join(members)
    bus = ["="] * (len(names) - start)
    column = 2
    for member in members:
        bus[column + len(member) // 2] = "+"
        column += len(member) + 3
    yield f"{name.rjust(start - 1)} {''.join(bus).rstrip()}"
    yield names
