"""What is wrong with the links, and what to do about it. Pure: what the nodes were seen to have in, findings out."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

from roles.lib.finding import WORST_FIRST, Finding, Severity
from roles.link_proof.eyes import Eyes, about
from roles.link_proof.facts import Answer, Sight
from roles.link_proof.plan import Peer, Wire
from roles.link_proof.sizes import far_ways, mtu

SLOW_MS = 1.0
"""USB4 and 10GbE have 0.2 to 0.3 ms (beowulf-ai-cluster, OdinLink-Five): more is another network, or a port asleep."""


def judge(eyes: Eyes) -> list[Finding]:
    """Of every node that was asked, worst first."""
    found: list[Finding] = []
    for node, sight in sorted(eyes.sights.items()):
        found += _blind(node, sight)
        if "ping" not in sight.lacks:
            found += (each for wire in eyes.proofs[node].wires for each in _wire(eyes, node, sight, wire))
            found += far_ways(eyes.proofs[node], sight)
    return sorted(found, key=lambda each: WORST_FIRST.index(each.severity))


def _blind(node: str, sight: Sight) -> Iterator[Finding]:
    """What the node cannot look with."""
    for tool in sorted(sight.lacks & {"ping", "arping"}):
        severity: Severity = "stop" if tool == "ping" else "warn"
        fix = "cluster.py installs it (iputils-ping and iputils-arping, or iputils)"
        yield Finding(f"links: {tool}", severity, node, "is not there", "there", fix)


def _wire(eyes: Eyes, node: str, sight: Sight, wire: Wire) -> Iterator[Finding]:
    finding = about(wire, node)
    port, name = sight.ports.get(wire.interface), wire.interface
    if port is None:
        fix = f"plug the cable in at both ends and have the peer running; ip link on {node} shows what there is"
        yield finding("interface", f"no {name}", "there", fix)
        return
    if not port.up:
        yield finding("interface", f"{name} is down", "up", f"ip link set {name} up, or cluster.py again")
        return
    if not port.carrier:
        yield finding("no link", f"{name} is up and has no carrier", "a cable with a peer", _why_no_carrier(eyes, wire))
        return
    if wire.address not in port.addresses:
        elsewhere = [other for other, each in sight.ports.items() if wire.address in each.addresses]
        seen = (
            f"on {', '.join(elsewhere)}" if elsewhere else f"{name} has {', '.join(sorted(port.addresses)) or 'none'}"
        )
        yield finding("address", seen, f"{wire.address} on {name}", "cluster.py gives it back")
    for mac in sorted(sight.claimed.get((name, wire.address), ())):
        fix = f"take {wire.address} away from the other one; what {node} gets for it goes there"
        yield finding("address in use", f"{wire.address} is used by {eyes.who(mac)} too", "by nobody else", fix)
    yield from (each for peer in wire.peers for each in _peer(eyes, node, sight, wire, peer))
    yield from mtu(eyes, node, sight, wire, port)


def _why_no_carrier(eyes: Eyes, wire: Wire) -> str:
    down = [peer for peer in wire.peers if (port := eyes.port(peer.node, peer.interface)) is not None and not port.up]
    if down:
        return "; ".join(
            f"{peer.interface} of {peer.node} is down: ip link set {peer.interface} up there" for peer in down
        )
    ends = " and ".join(f"{peer.interface} of {peer.node}" for peer in wire.peers)
    return f"the cable is out, broken, or in another port: it belongs between here and {ends}"


def _peer(eyes: Eyes, node: str, sight: Sight, wire: Wire, peer: Peer) -> Iterator[Finding]:
    finding = about(wire, node)
    answer = sight.answers.get((wire.interface, peer.address), Answer())
    planned = f"{peer.interface} of {peer.node}"
    known = peer.node in eyes.sights
    heard = sight.heard.get(wire.interface, frozenset())
    others = sorted(mac for mac in answer.macs if not eyes.is_at(mac, peer))
    rightly = [name for name in (*answer.macs, *heard) if eyes.is_at(name, peer)]
    if known and others and rightly:
        fix = f"take {peer.address} away from it, or it from this wire"
        seen = f"{peer.address} is also {', '.join(map(eyes.who, others))}"
        yield finding("duplicate address", seen, f"{planned} alone", fix)
    elif known and (others or (heard and wire.kind == "usb4")) and not rightly:
        # at a switch everybody is heard
        there = [*others, *sorted(heard)] if wire.kind == "usb4" else others
        seen = f"at {wire.interface} is {', '.join(dict.fromkeys(map(eyes.who, there)))}"
        yield finding("wrong peer", seen, planned, _move(eyes, wire, peer, there))
        return
    if not answer.times:
        yield finding("half open", *_silence(eyes, node, sight, wire, peer, bool(rightly)))
        return
    if answer.dev and answer.dev != wire.interface:
        fix = f"ip route get {peer.address} from {wire.address}; a network with that address is somewhere else too"
        yield finding("interface", f"packets to {peer.node} go by {answer.dev}", wire.interface, fix)
    if median(answer.times) > SLOW_MS:
        fix = "look at what else runs over the link, at energy-efficient Ethernet and at the cable"
        yield finding("round trip", f"{median(answer.times):.2f} ms", f"at most {SLOW_MS:g} ms", fix, "warn")


def _move(eyes: Eyes, wire: Wire, peer: Peer, seen: list[str]) -> str:
    nodes = {node for name in seen for node, _ in eyes.owners.get(name, ())}
    if peer.node in nodes:
        return f"the cable is in the wrong port of {peer.node}: it belongs into {peer.interface}; or correct links"
    return f"plug the cable from {wire.interface} into {peer.interface} of {peer.node}, or correct links in lab.yml"


def _silence(eyes: Eyes, node: str, sight: Sight, wire: Wire, peer: Peer, there: bool) -> tuple[str, str, str]:
    """seen, expected, fix. there: he was heard otherwise."""
    expected = f"{peer.node} answers at {peer.address}"
    port, other = eyes.port(peer.node, peer.interface), eyes.sights.get(peer.node)
    if port is not None and peer.address not in port.addresses:
        return f"{peer.interface} of {peer.node} has not got {peer.address}", expected, "cluster.py gives it back"
    if there:
        fix = f"let {peer.node} answer pings on {peer.interface}: nft list ruleset there, and its own firewall"
        return f"{peer.node} is there and answers no ping", expected, fix
    here, beyond = sight.arrived.get(wire.interface, 0), other.arrived.get(peer.interface, 0) if other else 0
    fix = "plug the cable in anew at both ends, or take another; a rule that drops what comes in does the same: "
    if here and not beyond:
        seen = f"{peer.node}'s packets arrive, what {node} sends does not arrive at {peer.node}"
        return seen, expected, f"{fix}look at {peer.interface} of {peer.node}, tc filter and nft list ruleset"
    if beyond and not here:
        seen = f"what {node} sends arrives at {peer.node}, nothing comes back"
        return seen, expected, f"{fix}look at {wire.interface} of {node}, tc filter and nft list ruleset"
    return (
        f"nobody answers at {wire.interface}, which has a carrier",
        expected,
        f"{fix}look at both ends, and at what it is plugged into",
    )
