"""Who may reach what: an RPC port its controller, over the link and from its address there; the API whom the inventory
says; and a node in the middle passes on what its place on the way asks for, between links.

llama.cpp's RPC server has no authentication (its SECURITY.md leaves it out), so the port must not be reachable.
Everything else is accepted: this table never touches SSH.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from inventory.spec import Lab
from inventory.spec.topology.network import Passage
from roles.lib.layout import ETC
from roles.lib.paths import File
from roles.lib.render import render
from roles.link_proof.plan import pairs, speed_port

RULES = f"{ETC}/firewall.nft"
LOADED = "/run/halofleet-firewall.loaded"
UNIT = "halofleet-firewall.service"


@dataclass(frozen=True)
class Door:
    """Who may reach a port, over which link: the controller the node's RPC server, a neighbour what measures their
    link (roles/link_proof/speed.py; nobody listens there otherwise)."""

    interface: str
    source: IPv4Address
    destination: IPv4Address
    port: int


@dataclass(frozen=True)
class Firewall:
    """ssh: the port that stays open. ports: every RPC port of the lab and the one that links are measured by, closed on
    every node but through the doors.

    api_ports: of the serves that this node controls. api_from: the networks that reach them. links: the interfaces of
    its links: nothing but the passages goes through this node from or to one of them.
    """

    ssh: int
    ports: tuple[int, ...]
    doors: tuple[Door, ...]
    api_ports: tuple[int, ...]
    api_from: tuple[IPv4Network, ...]
    passages: tuple[Passage, ...]
    links: tuple[str, ...]


def plan(lab: Lab, name: str) -> Firewall:
    serves = lab.spec.serves.values()
    way = lab.way_to(name)
    ports = [serve.rpc_port for serve in serves if name in serve.workers]
    doors = [Door(way.into.interface, way.source, way.destination, port) for port in ports if way is not None]
    speed = speed_port(lab)
    doors += [
        Door(pair.receiver.interface, IPv4Address(pair.sender.address), IPv4Address(pair.receiver.address), speed)
        for pair in pairs(lab)
        if pair.receiver.node == name
    ]
    return Firewall(
        ssh=lab.ssh(name).port,
        ports=tuple(sorted({*lab.rpc_ports, *((speed,) if lab.links else ())})),
        doors=tuple(doors),
        api_ports=tuple(sorted(serve.port for serve in serves if serve.controller == name)),
        api_from=lab.api_from,
        passages=lab.network(name).passages,
        links=tuple(sorted(end.interface for end in lab.ends(name))),  # as nft lists them
    )


def files(firewall: Firewall) -> tuple[File, ...]:
    return (
        File(RULES, render("firewall/firewall.nft.j2", firewall=firewall)),
        File(f"/etc/systemd/system/{UNIT}", render("firewall/firewall.service.j2", rules=RULES, loaded=LOADED)),
    )
