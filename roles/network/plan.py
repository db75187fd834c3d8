"""Addresses on the dedicated links, as systemd-networkd files (systemd.network(5))."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network

from inventory.spec import Lab, LinkEnd
from roles.lib.paths import File
from roles.lib.render import render

PREFIX = "/etc/systemd/network/30-halofleet-"
MARKER = "/run/halofleet-network.loaded"
"""Touched when networkd was told to read our files."""


@dataclass(frozen=True)
class Network:
    """links_range: the lab's; an address of it that no link of this node has any more is taken away."""

    ends: tuple[LinkEnd, ...]
    links_range: IPv4Network


def plan(lab: Lab, name: str) -> Network:
    return Network(lab.ends(name), lab.spec.links_range)


def files(network: Network) -> tuple[File, ...]:
    return tuple(
        File(f"{PREFIX}{end.interface}.network", render("network/link.network.j2", end=end)) for end in network.ends
    )
