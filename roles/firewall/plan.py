"""Who may reach an RPC port: the controller's link address, over the link, and nobody else.

llama.cpp's RPC server has no authentication (its SECURITY.md leaves it out), so the port must not be reachable.
Everything else is accepted: this table closes RPC ports and never touches SSH.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address

from inventory.spec import Lab
from roles.lib.layout import ETC
from roles.lib.paths import File
from roles.lib.render import render

RULES = f"{ETC}/firewall.nft"
LOADED = "/run/halofleet-firewall.loaded"
UNIT = "halofleet-firewall.service"


@dataclass(frozen=True)
class Door:
    """The controller's way to this node's RPC server."""

    interface: str
    source: IPv4Address
    destination: IPv4Address
    port: int


@dataclass(frozen=True)
class Firewall:
    """ports: every RPC port of the lab, closed on every node but through the doors. ssh: the port that stays open."""

    ssh: int
    ports: tuple[int, ...]
    doors: tuple[Door, ...]


def plan(lab: Lab, name: str) -> Firewall:
    serves = lab.spec.serves.values()
    doors = []
    for serve in serves:
        end = lab.link_end(name, serve.controller) if name in serve.workers else None
        if end is not None:
            doors.append(Door(end.interface, end.peer_address, end.address.ip, serve.rpc_port))
    return Firewall(lab.ssh(name).port, lab.rpc_ports, tuple(doors))


def files(firewall: Firewall) -> tuple[File, ...]:
    return (
        File(RULES, render("firewall/firewall.nft.j2", firewall=firewall)),
        File(f"/etc/systemd/system/{UNIT}", render("firewall/firewall.service.j2", rules=RULES, loaded=LOADED)),
    )
