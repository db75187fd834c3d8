"""Inventory and facts in, commands out: the bridge, the namespaces, the cables, and which hosts to stop. Pure.

A command is a tuple of words. Each function answers with nothing when everything is as it should be.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping

from roles.lib.render import render
from roles.virtual_host.facts import Digest, Host, Link, Seen
from roles.virtual_host.wanted import Cable, End, Wanted, WantedHost

Command = tuple[str, ...]
Planned = Callable[[Wanted, Seen], Iterator[Command]]

LIVE = frozenset({"/etc/resolv.conf", "/root/.ssh/authorized_keys", "/etc/hosts"})
"""Files of seed/ that a running host takes over without a restart."""


# --- the machine's side -----------------------------------------------------------------------------------------------


def bridge(wanted: Wanted, seen: Seen) -> Iterator[Command]:
    """The bridge, by name, address and alias."""
    name = wanted.instance.bridge
    address = f"{wanted.gateway}/{wanted.management.prefixlen}"
    found = seen.links.get(name)
    if found is None:
        yield ("ip", "link", "add", name, "type", "bridge")
    if found is None or found.alias != wanted.instance.alias:
        yield ("ip", "link", "set", name, "alias", wanted.instance.alias)
    for old in found.addresses if found else ():
        if old != address:
            yield ("ip", "address", "delete", old, "dev", name)
    if found is None or address not in found.addresses:
        yield ("ip", "address", "add", address, "dev", name)
    if found is None or not found.up:
        yield ("ip", "link", "set", name, "up")


def nat(wanted: Wanted, seen: Seen) -> Iterator[Command]:
    """The way out. nft prints a rule in its own words, so a marker in it tells whether it is the one we want."""
    values = {"table": wanted.instance.full, "management": str(wanted.management), "bridge": wanted.instance.bridge}
    text = render("virtual_host/nat.nft.j2", **values, marker="")
    marker = hashlib.sha256(text.encode()).hexdigest()[:16]
    if f'comment "{marker}"' not in seen.table:
        yield ("nft", render("virtual_host/nat.nft.j2", **values, marker=marker))


# --- namespaces and cables --------------------------------------------------------------------------------------------


def namespaces(wanted: Wanted, seen: Seen) -> Iterator[Command]:
    """A named network namespace for each host, with host0 on the bridge."""
    for host in wanted.hosts:
        yield from _namespace(wanted, seen, host)


def _namespace(wanted: Wanted, seen: Seen, host: WantedHost) -> Iterator[Command]:
    name, veth = wanted.instance.netns(host.node), wanted.instance.veth(host.id)
    inside = seen.spaces.get(host.node)
    if inside is not None and "lo" not in inside:  # `ip netns add` was killed between its two steps
        yield ("ip", "netns", "delete", name)
        inside = None
    if inside is None:
        yield ("ip", "netns", "add", name)
    if inside is None or not inside["lo"].up:
        yield ("ip", "-n", name, "link", "set", "lo", "up")

    outer, inner = seen.links.get(veth), (inside or {}).get("host0")
    alias = _alias(wanted, host.node)
    whole = outer is not None and inner is not None and outer.peer == inner.index and inner.peer == outer.index
    if not whole:
        if outer is not None:
            yield ("ip", "link", "delete", veth)
        if inner is not None and not _peers(outer, inner):
            yield ("ip", "-n", name, "link", "delete", "host0")
        yield ("ip", "link", "add", veth, "type", "veth", "peer", "name", "host0", "netns", name)
    if not whole or (inner and inner.alias != alias):
        yield ("ip", "-n", name, "link", "set", "host0", "alias", alias, "up")
    if not whole or (outer and (outer.alias != alias or outer.master != wanted.instance.bridge or not outer.up)):
        yield ("ip", "link", "set", veth, "master", wanted.instance.bridge, "alias", alias, "up")


def removals(wanted: Wanted, seen: Seen, nodes: list[str]) -> Iterator[Command]:
    """The ends on the bridge first: a namespace takes its links along, but a moment after it is gone."""
    aliases = {_alias(wanted, node) for node in nodes}
    for link in seen.links.values():
        if link.alias in aliases and link.name.startswith(wanted.instance.interfaces):
            yield ("ip", "link", "delete", link.name)
    for node in nodes:
        if node in seen.spaces:
            yield ("ip", "netns", "delete", wanted.instance.netns(node))


def _alias(wanted: Wanted, node: str) -> str:
    """Of both ends of a host's link to the bridge."""
    return f"halofleet {node} of {wanted.instance.name}"


def _peers(one: Link | None, other: Link) -> bool:
    """Deleting one end of a pair takes the other along."""
    return one is not None and one.peer == other.index and other.peer == one.index


def cables(wanted: Wanted, seen: Seen) -> Iterator[Command]:
    """One veth pair for each cable, each end by its name in its node's namespace; old ones are pulled first."""
    ends = {end: cable for cable in wanted.cables for end in (cable.a, cable.b)}
    gone: set[End] = set()
    for node, links in seen.spaces.items():
        for link in links.values():
            end = End(node, link.name)
            ours = link.alias.startswith("halofleet link ")
            in_place = end in ends and _plugged(ends[end], seen)
            if (ours or end in ends) and not in_place and end not in gone:
                yield ("ip", "-n", wanted.instance.netns(node), "link", "delete", link.name)
                gone |= {end, *_other_end(link, seen)}
    for cable in wanted.cables:
        yield from _cable(wanted, seen, cable)


def _cable(wanted: Wanted, seen: Seen, cable: Cable) -> Iterator[Command]:
    (a, b), netns = (cable.a, cable.b), wanted.instance.netns
    plugged = _plugged(cable, seen)
    if not plugged:
        yield (
            *("ip", "link", "add", a.interface, "netns", netns(a.node), "type", "veth"),
            *("peer", "name", b.interface, "netns", netns(b.node)),
        )
    for end in (a, b):
        if not plugged or not seen.spaces[end.node][end.interface].up:
            yield ("ip", "-n", netns(end.node), "link", "set", end.interface, "alias", cable.alias, "up")


def _plugged(cable: Cable, seen: Seen) -> bool:
    """Both ends are there, and say that they are this cable's."""
    found = [seen.spaces.get(end.node, {}).get(end.interface) for end in (cable.a, cable.b)]
    return all(link is not None and link.alias == cable.alias for link in found)


def _other_end(link: Link, seen: Seen) -> set[End]:
    """By the alias, which names both; an unnamed pair (killed half-way) by its indexes."""
    words = link.alias.removeprefix("halofleet link ").split()
    if link.alias.startswith("halofleet link ") and len(words) == 2:
        return {End(*word.split(":", 1)) for word in words}
    return {
        End(node, other.name)
        for node, links in seen.spaces.items()
        for other in links.values()
        if other is not link and _peers(link, other)
    }


# --- hosts ------------------------------------------------------------------------------------------------------------


def alive(host: Host) -> bool:
    """One supervisor, and what it runs is in the right namespace. Between two boots there is no nspawn for a moment."""
    return len(host.supervisors) == 1 and (not host.nspawns or (len(host.nspawns) == 1 and host.in_namespace))


def to_stop(
    wanted: Wanted, seen: Seen, runs: Mapping[str, str], seeds: Mapping[str, Mapping[str, Digest]]
) -> list[str]:
    """Hosts whose processes are not what they should be, and hosts that the lab has no more."""
    names = {host.node for host in wanted.hosts}
    return [
        node
        for node, host in seen.hosts.items()
        if (host.supervisors or host.nspawns)
        and (node not in names or not alive(host) or host.run != runs[node] or _cold(seeds[node], host.seed))
    ]


def _cold(seed: Mapping[str, Digest], found: Mapping[str, Digest]) -> bool:
    """Does the difference need a restart?"""
    return any(seed.get(path) != found.get(path) for path in (set(seed) | set(found)) - LIVE)


def leftovers(wanted: Wanted, seen: Seen) -> list[str]:
    """Nodes that this instance has and the lab has no more."""
    names = {host.node for host in wanted.hosts}
    return sorted((set(seen.hosts) | set(seen.spaces)) - names)


def ready(wanted: Wanted, seen: Seen) -> bool:
    """Every host's systemd is up and its SSH server answers."""
    return all(
        host.endpoint in seen.greets and seen.hosts.get(host.node, Host()).system in ("running", "degraded")
        for host in wanted.hosts
    )
