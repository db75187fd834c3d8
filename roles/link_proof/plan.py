"""What the links are to be proven of: who is at the other end, what gets there unsplit, which pairs are measured."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass

from inventory.spec import Lab
from inventory.spec.topology.links import End, Link
from roles.network.plan import Network
from roles.network.plan import plan as network_plan

SAFE_MTU = 1500
"""Bytes: what every Ethernet passes."""

SPEED_PORT = 15201
"""Where iperf3 listens for some seconds. iperf3's own 5201 may be the user's, and what is above 32767 the kernel's."""


@dataclass(frozen=True)
class Peer:
    """The end of another node."""

    node: str
    interface: str
    address: str


@dataclass(frozen=True)
class Wire:
    """A link as a node has it. link: how it is called. address: the node's own there. mtu: bytes, as planned.

    digest: of the whole link, the same on all its nodes; what was proven of another one is worth nothing. used: by a
    serve's way.
    """

    link: str
    kind: str
    interface: str
    address: str
    mtu: int
    digest: str
    used: bool
    peers: tuple[Peer, ...]


@dataclass(frozen=True)
class Far:
    """A node that is reached through others: by which interface, from and to which loopback address, in packets of what
    size (bytes, of the narrowest link)."""

    node: str
    interface: str
    source: str
    address: str
    mtu: int
    via: tuple[str, ...]


@dataclass(frozen=True)
class Proof:
    """virtual: cables are veth pairs, of which there is nothing to expect but that they work."""

    node: str
    wires: tuple[Wire, ...]
    far: tuple[Far, ...]
    virtual: bool


@dataclass(frozen=True)
class Pair:
    """Two ends that are measured: iperf3 listens at the receiver's."""

    link: str
    kind: str
    used: bool
    sender: Peer
    receiver: Peer


@dataclass(frozen=True)
class Links:
    """What is proven, what the network role makes where a link must be narrowed, what is measured, by which port."""

    proof: Proof
    network: Network
    pairs: tuple[Pair, ...]
    port: int


def links(lab: Lab, name: str) -> Links:
    return Links(plan(lab, name), network_plan(lab, name), pairs(lab), speed_port(lab))


def plan(lab: Lab, name: str) -> Proof:
    used = _used(lab)
    wires = tuple(
        Wire(
            link=called(link),
            kind=link.kind,
            interface=own.interface,
            address=str(own.address.ip),
            mtu=link.mtu,
            digest=digest(link),
            used=link.subnet in used,
            peers=tuple(_peer(end) for end in link.ends if end.node != name),
        )
        for link, own in lab.network(name).ends
    )
    far = tuple(
        Far(way.into.node, way.out.interface, str(way.source), str(way.destination), way.mtu, way.via)
        for serve, said in lab.spec.serves.items()
        if said.controller == name
        for way in lab.ways(serve)
        if way.via
    )
    return Proof(name, wires, far, virtual=lab.spec.virtual is not None)


def called(link: Link) -> str:
    """A cable by its nodes, a fabric by its name."""
    return f"{link.name} {'-'.join(end.node for end in link.ends)}" if link.kind == "usb4" else link.name


def digest(link: Link) -> str:
    ends = [(end.node, end.interface, str(end.address)) for end in link.ends]
    parts = [link.kind, link.name, str(link.subnet), link.mtu, ends]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def pairs(lab: Lab) -> tuple[Pair, ...]:
    """Of a cable its two ends; of a fabric each node with the next, so that every port sends and receives."""
    used = _used(lab)
    return tuple(
        Pair(called(link), link.kind, link.subnet in used, _peer(sender), _peer(receiver))
        for link in lab.links
        for sender, receiver in _neighbours(link.ends)
    )


def _neighbours(ends: tuple[End, ...]) -> Iterable[tuple[End, End]]:
    around = (*ends[1:], ends[0]) if len(ends) > 2 else ends[1:]
    return zip(ends, around, strict=False)


def rounds(asked: Iterable[Pair]) -> list[list[Pair]]:
    """What may be measured at the same time: no node takes part twice, so neither does a link."""
    found: list[list[Pair]] = []
    for pair in asked:
        nodes = {pair.sender.node, pair.receiver.node}
        for others in found:
            if not any(nodes & {other.sender.node, other.receiver.node} for other in others):
                others.append(pair)
                break
        else:
            found.append([pair])
    return found


def speed_port(lab: Lab) -> int:
    """SPEED_PORT, or the next that no serve has."""
    taken = {port for serve in lab.spec.serves.values() for port in (serve.port, serve.rpc_port)}
    return next(port for port in range(SPEED_PORT, SPEED_PORT + len(taken) + 1) if port not in taken)


def _peer(end: End) -> Peer:
    return Peer(end.node, end.interface, str(end.address.ip))


def _used(lab: Lab) -> set[object]:
    return {hop.link.subnet for serve in lab.spec.serves for way in lab.ways(serve) for hop in way.hops}
