"""What was proven of the links and is kept on each node, and what follows for the next run. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from roles.lib.layout import LINKS_PROVEN
from roles.lib.paths import File
from roles.link_proof.plan import SAFE_MTU, Proof, Wire


@dataclass(frozen=True)
class Proven:
    """digest: of the link as it was then. mtu: bytes that get through. gbit: measured, Gbit/s; 0 where it was not."""

    digest: str
    interface: str
    mtu: int
    gbit: float = 0

    @property
    def line(self) -> str:
        return f"{self.digest} {self.interface} {self.mtu} {self.gbit:g}"


def parse(lines: Iterable[str]) -> tuple[Proven, ...]:
    """What makes no sense counts as not there: it will be proven again."""
    found = []
    for line in lines:
        try:
            digest, interface, mtu, gbit = line.split()
            found.append(Proven(digest, interface, int(mtu), float(gbit)))
        except ValueError:
            continue
    return tuple(found)


def file(proven: Iterable[Proven]) -> File:
    return File(LINKS_PROVEN, "".join(f"{each.line}\n" for each in proven))


Records = Mapping[str, tuple[Proven, ...]]
"""By node, of those in the run."""


def of(wire: Wire, node: str, records: Records) -> Proven | None:
    return next((each for each in records.get(node, ()) if each.digest == wire.digest), None)


def _ends(wire: Wire, node: str, records: Records) -> list[Proven | None]:
    """Of this node, and of all the link's others that are in the run."""
    others = [peer.node for peer in wire.peers if peer.node in records]
    return [of(wire, each, records) for each in (node, *others)]


def open_wires(proof: Proof, records: Records) -> tuple[Wire, ...]:
    """Of which an end in the run has no proof: then the link is proven anew, at all its ends."""
    return tuple(wire for wire in proof.wires if None in _ends(wire, proof.node, records))


def narrowed(proof: Proof, records: Records) -> dict[str, int]:
    """The MTU of each link that passes no more than SAFE_MTU, where all its ends agree on that."""
    found = {}
    for wire in proof.wires:
        ends = _ends(wire, proof.node, records)
        if wire.mtu > SAFE_MTU and all(end is not None and end.mtu == SAFE_MTU for end in ends):
            found[wire.interface] = SAFE_MTU
    return found
