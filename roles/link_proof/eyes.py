"""All that the nodes were seen to have, put together: whose is what. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from roles.lib.finding import Finding, Severity
from roles.link_proof.facts import Port, Sight
from roles.link_proof.plan import Peer, Proof, Wire


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


class About(Protocol):
    def __call__(self, what: str, seen: str, expected: str, fix: str, severity: Severity = "stop") -> Finding: ...


def about(wire: Wire, node: str) -> About:
    """Makes findings of the link as the node has it. The link's name is the first part of their rule."""

    def finding(what: str, seen: str, expected: str, fix: str, severity: Severity = "stop") -> Finding:
        return Finding(f"{wire.link}: {what}", severity, node, seen, expected, fix)

    return finding
