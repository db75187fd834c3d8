"""Addresses on the dedicated links, as systemd-networkd files (systemd.network(5))."""

from __future__ import annotations

from dataclasses import dataclass

from inventory.spec import Lab, LinkEnd
from roles.lib.paths import File
from roles.lib.render import render

PREFIX = "/etc/systemd/network/30-halofleet-"


@dataclass(frozen=True)
class Network:
    ends: tuple[LinkEnd, ...]


def plan(lab: Lab, name: str) -> Network:
    return Network(lab.ends(name))


def files(network: Network) -> tuple[File, ...]:
    return tuple(
        File(f"{PREFIX}{end.interface}.network", render("network/link.network.j2", end=end)) for end in network.ends
    )
