"""What forbids the lab on this machine, said before anything is changed. Pure: a line for each reason."""

from __future__ import annotations

import json
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network

from roles.virtual_host.facts import Seen
from roles.virtual_host.seed import base
from roles.virtual_host.wanted import Wanted, WantedHost

MIB = 1024 * 1024
IMAGE_FACTOR = 2.5
"""What an image needs while it is built, of what it needs afterwards: the tree, the downloads and the tarball."""
HOST_NEEDS = 512 * MIB
"""A host's own files: packages, a built llama.cpp, its models."""


def refusals(wanted: Wanted, seen: Seen) -> list[str]:
    return [*_tools(wanted, seen), *_ranges(wanted, seen), *_disk(wanted, seen), *_other_lab(wanted, seen)]


def lacking(wanted: Wanted, seen: Seen) -> list[str]:
    """Commands that this lab needs and the machine has not: dnf only for a Fedora from its mirror."""
    fedora = any(image.method == "tree_fedora.sh" for image in wanted.images)
    return [tool for tool in seen.missing if tool != "dnf" or fedora]


def _tools(wanted: Wanted, seen: Seen) -> Iterator[str]:
    missing = lacking(wanted, seen)
    if missing and not seen.package_tool:
        yield (
            f"{', '.join(missing)}: not on this machine, and there is neither apt nor dnf to install it;"
            " install systemd-container, mmdebstrap, nftables and iproute2"
        )


def _ranges(wanted: Wanted, seen: Seen) -> Iterator[str]:
    """Two labs may share their links' ranges, which live in namespaces only; a lab and its machine may not."""
    ours = wanted.instance.bridge
    taken = [(address, link.name) for link in seen.links.values() for address in link.addresses if link.name != ours]
    taken += [(route.range, route.device) for route in seen.routes if route.device != ours]
    for field, network in wanted.ranges:
        owners: dict[str, str] = {}
        for text, device in taken:
            if network.overlaps(IPv4Network(text, strict=False)):
                owners.setdefault(device, text)
        for device, text in owners.items():
            yield f"{field}: {network} is taken: {device or 'a route'} has {text}{_whose(seen, device)}"
        for server in _nameservers(seen):
            if server in network and wanted.instance.bridge not in owners:
                yield f"{field}: {network} is taken: this machine's name server is {server}"


def _whose(seen: Seen, device: str) -> str:
    link = seen.links.get(device)
    if link is None or not link.alias.startswith("halofleet "):
        return ""
    return f" (the lab {link.alias.removeprefix('halofleet ')})"


def _nameservers(seen: Seen) -> Iterator[IPv4Address]:
    for line in seen.resolver.splitlines():
        words = line.split()
        if len(words) > 1 and words[0] == "nameserver" and ":" not in words[1]:
            yield IPv4Address(words[1])


def _disk(wanted: Wanted, seen: Seen) -> Iterator[str]:
    fresh = sum(1 for host in wanted.hosts if host.node not in seen.hosts or not seen.hosts[host.node].made)
    state = fresh * HOST_NEEDS + sum(image.needs for image in wanted.images if image.name not in seen.bases)
    image = int(sum(image.needs * IMAGE_FACTOR for image in wanted.images if image.name not in seen.images))
    if seen.state_disk.device == seen.image_disk.device:
        state, image = state + image, 0
    for disk, needed in ((seen.state_disk, state), (seen.image_disk, image)):
        if needed > disk.free:
            yield (
                f"{disk.path}: {disk.free // MIB} MiB free, {needed // MIB} MiB needed for {len(wanted.hosts)} hosts;"
                " make room, or set HALOFLEET_HOME to a folder that has it"
            )


def _other_lab(wanted: Wanted, seen: Seen) -> Iterator[str]:
    name = wanted.instance.name
    others = [host.node for host in wanted.hosts if _made_of_another(host, seen)]
    if seen.lab and seen.lab != wanted.lab:
        yield (
            f"instance {name} runs the lab {seen.lab!r}, not {wanted.lab!r}:"
            " take it down first, or set HALOFLEET_LAB to another name"
        )
    elif others:
        yield f"{', '.join(others)}: built from another base system than lab.yml asks for now; take the lab down first"


def _made_of_another(host: WantedHost, seen: Seen) -> bool:
    """It has files of its own already, above another tree."""
    found = seen.hosts.get(host.node)
    return found is not None and found.made and bool(found.run) and json.loads(found.run).get("base") != base(host)


def warnings(wanted: Wanted, seen: Seen) -> Iterator[str]:
    """What will probably hurt, and cannot be known before it is tried."""
    others = [table for table in seen.dropping if table.split()[1] != wanted.instance.full]
    if others:
        yield (
            f"this machine drops forwarded packets by default ({', '.join(others)}): if the hosts cannot reach"
            f" the network, let packets from {wanted.instance.bridge} pass there"
        )
    servers = [str(server) for server in _nameservers(seen)]
    if servers and all(server.startswith("127.") for server in servers):
        yield f"this machine's name server ({servers[0]}) listens on loopback only: the hosts will not reach it"
