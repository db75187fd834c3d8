"""Cables and fabrics: which veth pairs are pulled and which are plugged in. Pure.

A cable is a veth pair between the namespaces of two nodes. A fabric is a switch (a bridge in a namespace of its own)
and a pair from there to each member. The machine itself has no part in either, so nothing of it gets in the way: no
address, no route, and no packet filter, to which br_netfilter shows whatever the machine's own bridges pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from roles.virtual_host.facts import Link, Seen
from roles.virtual_host.wanted import MARK, End, Pair, Wanted

Command = tuple[str, ...]
Planned = Callable[[Wanted, Seen], Iterator[Command]]

BRIDGE = "switch"
"""In a switch's namespace. Its MTU follows its ports'."""


def links(wanted: Wanted, seen: Seen) -> Iterator[Command]:
    """Every pair, each end by its name in its namespace. Old ones are pulled first: they may have the names."""
    pairs = {end: pair for pair in wanted.pairs for end in pair.ends}

    def stale(end: End, link: Link) -> bool:
        ours = link.alias.startswith(MARK) or end in pairs
        return ours and not (end in pairs and _plugged(pairs[end], seen))

    yield from pull(wanted, seen, stale)
    for switch in wanted.switches:
        yield from _switch(wanted, seen, switch)
    for pair in wanted.pairs:
        yield from _plug(wanted, seen, pair)


def pull(wanted: Wanted, seen: Seen, stale: Callable[[End, Link], bool]) -> Iterator[Command]:
    """Deleting one end of a pair takes the other along."""
    gone: set[End] = set()
    for space, found in seen.spaces.items():
        for link in found.values():
            end = End(space, link.name)
            if end not in gone and stale(end, link):
                yield ("ip", "-n", wanted.instance.netns(space), "link", "delete", link.name)
                gone |= {end, *_other_end(end, link, seen)}


def _other_end(end: End, link: Link, seen: Seen) -> set[End]:
    """By the alias, which names both; an unnamed end (killed half-way) by its indexes, which others may have too."""
    words = link.alias.removeprefix(MARK).split()
    if link.alias.startswith(MARK) and len(words) == 2:
        return {End(*word.split(":", 1)) for word in words}
    return {
        End(space, other.name)
        for space, found in seen.spaces.items()
        for other in found.values()
        if other is not link and peers(link, other) and (not other.alias or str(end) in other.alias.split())
    }


def peers(one: Link | None, other: Link | None) -> bool:
    """Two ends of one pair."""
    return one is not None and other is not None and one.peer == other.index and other.peer == one.index


def _plugged(pair: Pair, seen: Seen) -> bool:
    """Both ends are there, and say that they are this pair's."""
    found = [_found(seen, end.space, end.interface) for end in pair.ends]
    return all(link is not None and link.alias == pair.alias for link in found)


def _switch(wanted: Wanted, seen: Seen, switch: str) -> Iterator[Command]:
    netns, found = wanted.instance.netns(switch), _found(seen, switch, BRIDGE)
    if found is None:
        yield ("ip", "-n", netns, "link", "add", BRIDGE, "type", "bridge")
    if found is None or not found.up:
        yield ("ip", "-n", netns, "link", "set", BRIDGE, "up")


def _plug(wanted: Wanted, seen: Seen, pair: Pair) -> Iterator[Command]:
    (a, b), netns = pair.ends, wanted.instance.netns
    plugged = _plugged(pair, seen)
    if not plugged:
        yield (
            *("ip", "link", "add", a.interface, "netns", netns(a.space), "type", "veth"),
            *("peer", "name", b.interface, "netns", netns(b.space)),
        )
    for end in pair.ends:
        master = BRIDGE if end.space in wanted.switches else ""
        link = _found(seen, end.space, end.interface) if plugged else None
        if link is None or link.mtu != pair.mtu or not link.up or (master and link.master != master):
            into = ("master", master) if master else ()
            words = ("mtu", str(pair.mtu), *into, "alias", pair.alias, "up")
            yield ("ip", "-n", netns(end.space), "link", "set", end.interface, *words)


def _found(seen: Seen, space: str, interface: str) -> Link | None:
    return seen.spaces.get(space, {}).get(interface)
