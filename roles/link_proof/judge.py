"""What is wrong with the links, and what to do about it. Pure: what the nodes were seen to have in, findings out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from statistics import median

from roles.lib.finding import WORST_FIRST, Finding, Severity
from roles.link_proof.facts import Answer, Port, Sight
from roles.link_proof.plan import SAFE_MTU, Peer, Proof, Wire

PATH_MTU = "path MTU"
"""Large packets do not get through, small ones do: cluster.py takes the small ones then."""

SLOW_MS = 1.0
"""USB4 and 10GbE have 0.2 to 0.3 ms (beowulf-ai-cluster, OdinLink-Five): more is another network, or a port asleep."""

DOCS = "Documentation/admin-guide/thunderbolt.rst"


@dataclass(frozen=True)
class Eyes:
    """All that was seen. sights: of the nodes that were asked; of others nothing is known. narrowed: node -> interface
    -> the MTU that it should have instead of the planned one (record.narrowed)."""

    proofs: Mapping[str, Proof]
    sights: Mapping[str, Sight]
    narrowed: Mapping[str, Mapping[str, int]]

    @cached_property
    def owners(self) -> dict[str, list[tuple[str, str]]]:
        """MAC and link-local address -> whose: node and interface."""
        found: dict[str, list[tuple[str, str]]] = {}
        for node, sight in self.sights.items():
            for interface, port in sight.ports.items():
                for name in {port.mac, *port.local} - {"", "00:00:00:00:00:00"}:
                    found.setdefault(name, []).append((node, interface))
        return found

    def port(self, node: str, interface: str) -> Port | None:
        """None where the node was not asked, or has no such interface."""
        sight = self.sights.get(node)
        return sight.ports.get(interface) if sight else None

    def who(self, name: str) -> str:
        """For people. name: a MAC or a link-local address."""
        whose = [f"{interface} of {node}" for node, interface in self.owners.get(name, ())]
        return " or ".join(whose) or f"{name}, which no node of this run has"

    def is_at(self, name: str, end: Peer) -> bool:
        return (end.node, end.interface) in self.owners.get(name, ())


def judge(eyes: Eyes) -> list[Finding]:
    """Of every node that was asked, worst first."""
    found = [
        finding
        for node, sight in sorted(eyes.sights.items())
        for wire in eyes.proofs[node].wires
        for finding in _wire(eyes, node, sight, wire)
    ]
    for node, sight in sorted(eyes.sights.items()):
        found += _far(eyes.proofs[node], sight)
    return sorted(found, key=lambda each: WORST_FIRST.index(each.severity))


def rule(wire: Wire, what: str) -> str:
    return f"{wire.link}: {what}"


def _wire(eyes: Eyes, node: str, sight: Sight, wire: Wire) -> Iterator[Finding]:
    def finding(what: str, seen: str, expected: str, fix: str, severity: Severity = "stop") -> Finding:
        return Finding(rule(wire, what), severity, node, seen, expected, fix)

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
    yield from _mtu(eyes, node, sight, wire, port)


def _why_no_carrier(eyes: Eyes, wire: Wire) -> str:
    down = [peer for peer in wire.peers if (port := eyes.port(peer.node, peer.interface)) is not None and not port.up]
    if down:
        return "; ".join(
            f"{peer.interface} of {peer.node} is down: ip link set {peer.interface} up there" for peer in down
        )
    ends = " and ".join(f"{peer.interface} of {peer.node}" for peer in wire.peers)
    return f"the cable is out, broken, or in another port: it belongs between here and {ends}"


def _peer(eyes: Eyes, node: str, sight: Sight, wire: Wire, peer: Peer) -> Iterator[Finding]:
    def finding(what: str, seen: str, expected: str, fix: str, severity: Severity = "stop") -> Finding:
        return Finding(rule(wire, what), severity, node, seen, expected, fix)

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
        seen = f"at {wire.interface} is {', '.join(dict.fromkeys(map(eyes.who, (*others, *sorted(heard)))))}"
        yield finding("wrong peer", seen, planned, _move(eyes, wire, peer, others or sorted(heard)))
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
    return f"nobody answers at {wire.interface}, which has a carrier", expected, f"{fix}look at both ends"


def _mtu(eyes: Eyes, node: str, sight: Sight, wire: Wire, port: Port) -> Iterator[Finding]:
    def finding(what: str, seen: str, expected: str, fix: str, severity: Severity = "stop") -> Finding:
        return Finding(rule(wire, what), severity, node, seen, expected, fix)

    wanted = eyes.narrowed.get(node, {}).get(wire.interface, wire.mtu)
    if wanted < wire.mtu:
        fix = f"{look_at(wire)}; then cluster.py --data prove=yes tries {wire.mtu} again"
        yield finding("MTU", f"{wanted}: larger packets did not get through", f"{wire.mtu}", fix, "warn")
    if port.mtu != wanted:
        fix = f"cluster.py sets it again; what has changed it on {node}?"
        yield finding("MTU of an end", f"{port.mtu} on {wire.interface}", str(wanted), fix)
        return
    for peer in wire.peers:
        answer = sight.answers.get((wire.interface, peer.address), Answer())
        other = eyes.port(peer.node, peer.interface)
        asked = peer.node in eyes.sights
        if asked and answer.macs and not any(eyes.is_at(mac, peer) for mac in answer.macs):
            continue  # it is another one who answers, and that is said
        if answer.times and answer.passes < wanted and (other is None or other.mtu == wanted):
            small = f", of {answer.passes} they do" if answer.passes else ""
            seen = f"packets of {wanted} bytes do not get to {peer.node}{small}"
            yield finding(PATH_MTU if small else "packets", seen, f"{wanted} bytes unsplit", look_at(wire))


def look_at(wire: Wire) -> str:
    if wire.kind == "usb4":
        return f"both ends of the cable must take packets of {wire.mtu} bytes: look at their drivers, or write less"
    return f"look at the switch: its ports, and the fabric's VLAN, must pass {wire.mtu} bytes and their headers"


def _far(proof: Proof, sight: Sight) -> Iterator[Finding]:
    """The ways through others. Their links are judged one by one; this is the way as a whole."""
    for far in proof.far:
        answer, via = sight.answers.get((far.interface, far.address), Answer()), ", ".join(far.via)
        what = f"way to {far.node}"

        def finding(seen: str, expected: str, fix: str, what: str = what) -> Finding:
            return Finding(what, "stop", proof.node, seen, expected, fix)

        if not answer.times:
            fix = f"look at the links on the way; ip route get {far.address}; nft list table inet halofleet on {via}"
            yield finding("no answer", f"{far.node} answers at {far.address}, through {via}", fix)
        elif answer.dev and answer.dev != far.interface:
            yield finding(f"goes by {answer.dev}", far.interface, "cluster.py sets the route again")
        elif answer.passes < min(far.mtu, SAFE_MTU):
            seen = f"packets of {min(far.mtu, SAFE_MTU)} bytes do not get there"
            yield finding(seen, f"through {via}, unsplit", "look at the MTU of the links on the way")
