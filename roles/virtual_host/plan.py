"""Inventory and facts in, commands out: the bridge, the namespaces, and which hosts to stop. Pure.

A command is a tuple of words. Each function answers with nothing when everything is as it should be.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping

from roles.lib.render import render
from roles.virtual_host.facts import Digest, Host, Seen
from roles.virtual_host.plan_links import Command, peers, pull
from roles.virtual_host.wanted import MARK, Wanted, WantedHost

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


# --- namespaces -------------------------------------------------------------------------------------------------------


def namespaces(wanted: Wanted, seen: Seen) -> Iterator[Command]:
    """A named network namespace for each host, with host0 on the bridge, and for each fabric's switch."""
    for host in wanted.hosts:
        yield from _space(wanted, seen, host.node)
        yield from _host0(wanted, seen, host)
    for switch in wanted.switches:
        yield from _space(wanted, seen, switch)


def _space(wanted: Wanted, seen: Seen, space: str) -> Iterator[Command]:
    name, lo = wanted.instance.netns(space), seen.spaces.get(space, {}).get("lo")
    if lo is None and space in seen.spaces:  # `ip netns add` was killed between its two steps
        yield ("ip", "netns", "delete", name)
    if lo is None:
        yield ("ip", "netns", "add", name)
    if lo is None or not lo.up:
        yield ("ip", "-n", name, "link", "set", "lo", "up")


def _host0(wanted: Wanted, seen: Seen, host: WantedHost) -> Iterator[Command]:
    name, veth = wanted.instance.netns(host.node), wanted.instance.veth(host.id)
    outer, inner = seen.links.get(veth), seen.spaces.get(host.node, {}).get("host0")
    alias = _alias(wanted, host.node)
    whole = peers(outer, inner)
    if not whole:
        if outer is not None:
            yield ("ip", "link", "delete", veth)
        if inner is not None:
            yield ("ip", "-n", name, "link", "delete", "host0")
        yield ("ip", "link", "add", veth, "type", "veth", "peer", "name", "host0", "netns", name)
    if not whole or (inner and inner.alias != alias):
        yield ("ip", "-n", name, "link", "set", "host0", "alias", alias, "up")
    if not whole or (outer and (outer.alias != alias or outer.master != wanted.instance.bridge or not outer.up)):
        yield ("ip", "link", "set", veth, "master", wanted.instance.bridge, "alias", alias, "up")


def removals(wanted: Wanted, seen: Seen, spaces: list[str]) -> Iterator[Command]:
    """Links first: a namespace takes them along, but a moment after it is gone."""
    aliases = {_alias(wanted, node) for node in spaces}
    for link in seen.links.values():
        if link.alias in aliases and link.name.startswith(wanted.instance.interfaces):
            yield ("ip", "link", "delete", link.name)
    yield from pull(wanted, seen, lambda end, link: end.space in spaces and link.alias.startswith(MARK))
    for space in spaces:
        if space in seen.spaces:
            yield ("ip", "netns", "delete", wanted.instance.netns(space))


def _alias(wanted: Wanted, node: str) -> str:
    """Of both ends of a host's link to the bridge."""
    return f"halofleet {node} of {wanted.instance.name}"


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
    """Nodes and switches that this instance has and the lab has no more."""
    names = {*(host.node for host in wanted.hosts), *wanted.switches}
    return sorted((set(seen.hosts) | set(seen.spaces)) - names)


def ready(wanted: Wanted, seen: Seen) -> bool:
    """Every host's systemd is up and its SSH server answers."""
    return all(
        host.endpoint in seen.greets and seen.hosts.get(host.node, Host()).system in ("running", "degraded")
        for host in wanted.hosts
    )
