"""What size of packet gets through a link, and a way. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from roles.lib.finding import Finding
from roles.link_proof.eyes import Eyes, about
from roles.link_proof.facts import Answer, Port, Sight
from roles.link_proof.plan import SAFE_MTU, Proof, Wire

PATH_MTU = "path MTU"
"""Large packets do not get through, small ones do: cluster.py takes the small ones then."""


def mtu(eyes: Eyes, node: str, sight: Sight, wire: Wire, port: Port) -> Iterator[Finding]:
    finding = about(wire, node)
    wanted = eyes.narrowed.get(node, {}).get(wire.interface, wire.mtu)
    if wanted < wire.mtu:
        fix = f"{look_at(wire)}; then cluster.py --data prove=yes tries {wire.mtu} again"
        yield finding("MTU", f"{wanted}: larger packets did not get through", f"{wire.mtu}", fix, "warn")
    if port.mtu != wanted:
        fix = f"cluster.py sets it again; what has changed it on {node}?"
        yield finding("MTU of an end", f"{port.mtu} on {wire.interface}", str(wanted), fix)
        return
    if (wire.interface, wire.address) in sight.claimed:
        return  # what comes back goes to another one, and that is said
    for peer in wire.peers:
        answer = sight.answers.get((wire.interface, peer.address), Answer())
        other = eyes.port(peer.node, peer.interface)
        asked = peer.node in eyes.sights
        if asked and not all(eyes.is_at(mac, peer) for mac in answer.macs):
            continue  # another one answers, and that is said
        if answer.times and answer.passes < wanted and (other is None or other.mtu == wanted):
            small = f", of {answer.passes} they do" if answer.passes else ""
            seen = f"packets of {wanted} bytes do not get to {peer.node}{small}"
            yield finding(PATH_MTU if small else "packets", seen, f"{wanted} bytes unsplit", look_at(wire))


def look_at(wire: Wire) -> str:
    if wire.kind == "usb4":
        return f"both ends of the cable must take packets of {wire.mtu} bytes: look at their drivers, or write less"
    return f"look at the switch: its ports, and the fabric's VLAN, must pass {wire.mtu} bytes and their headers"


def far_ways(proof: Proof, sight: Sight) -> Iterator[Finding]:
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
