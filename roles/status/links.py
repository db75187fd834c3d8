"""What status says of the links, as plain data and as lines. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from statistics import median
from typing import Any

from roles.link_proof import record
from roles.link_proof.facts import Answer, Sight
from roles.link_proof.plan import Pair, Peer, Proof, Wire
from roles.link_proof.speed import Speed


def described(
    proofs: Mapping[str, Proof], sights: Mapping[str, Sight], speeds: Mapping[Pair, Speed]
) -> Iterator[dict[str, Any]]:
    """Every pair of neighbours once, seen from the first of them that answered; then the ways through others."""
    seen: set[frozenset[tuple[str, str]]] = set()
    for node, sight in sorted(sights.items()):
        for wire in proofs[node].wires:
            for peer in wire.peers:
                ends = frozenset({(node, wire.interface), (peer.node, peer.interface)})
                if ends not in seen:
                    seen.add(ends)
                    yield _link(speeds, node, sight, wire, peer)
        for far in proofs[node].far:
            answer = sight.answers.get((far.interface, far.address), Answer())
            ends_said = {"from": f"{node} {far.source}", "to": f"{far.node} {far.address}"}
            yield {"link": f"through {', '.join(far.via)}"} | ends_said | _reached(answer)


def _link(speeds: Mapping[Pair, Speed], node: str, sight: Sight, wire: Wire, peer: Peer) -> dict[str, Any]:
    answer = sight.answers.get((wire.interface, peer.address), Answer())
    found: dict[str, Any] = {
        "link": wire.link,
        "from": f"{node} {wire.interface} {wire.address}",
        "to": f"{peer.node} {peer.interface} {peer.address}",
    }
    found |= _reached(answer)
    found["usb4"] = dict(sight.usb4.get(wire.interface, {}))
    nodes = {node, peer.node}
    for pair, speed in speeds.items():
        if pair.link == wire.link and nodes == {pair.sender.node, pair.receiver.node}:
            found["gbit"] = [round(speed.there, 2), round(speed.back, 2)]
    known = record.of(wire, node, {node: sight.proven})
    return found | {"proven_mtu": known.mtu if known else 0, "proven_gbit": known.gbit if known else 0}


def _reached(answer: Answer) -> dict[str, Any]:
    times = answer.times
    return {
        "median_ms": median(times) if times else None,
        "worst_ms": max(times) if times else None,
        "mtu_unsplit": answer.passes,
        "answers": len(times),
    }


def line(link: dict[str, Any]) -> str:
    words = [f"  {link['link']}: {link['from']} - {link['to']}"]
    if link["answers"]:
        words.append(f"{link['mtu_unsplit']} bytes unsplit")
        words.append(f"round trip {link['median_ms']:.3f} ms, worst {link['worst_ms']:.3f} of {link['answers']}")
    else:
        words.append("no answer")
    if usb4 := link.get("usb4"):
        ways = ((usb4.get(f"{way}_speed"), usb4.get(f"{way}_lanes")) for way in ("rx", "tx"))
        words.append("trained at " + " and ".join(f"{speed} x{lanes}" for speed, lanes in ways))
    if "gbit" in link:
        words.append(f"{link['gbit'][0]:.1f} Gbit/s, {link['gbit'][1]:.1f} back")
    elif link.get("proven_gbit"):
        words.append(f"{link['proven_gbit']:.1f} Gbit/s when it was proven")
    return "; ".join(words)
