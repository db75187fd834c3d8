"""The links, proven: who is at the other end, what size of packet gets there, how long and how fast."""

from __future__ import annotations

from pyinfra.api import deploy

from roles.link_proof.operations import addresses_asked, addresses_free, looked_at, measured, proven
from roles.link_proof.plan import Links, Proof


@deploy("addresses")
def addresses(plan: Proof, again: bool = False) -> None:
    """Before the network's turn. again: what was proven before counts for nothing."""
    addresses_asked(proof=plan, again=again, name="asked for on the wire")
    addresses_free(proof=plan, name="nobody else has them")


@deploy("links")
def links(plan: Links, again: bool = False) -> None:
    """After the network's turn."""
    looked_at(proof=plan.proof, again=again, name="look at every link")
    measured(pairs=plan.pairs, port=plan.port, name="measured")
    proven(links=plan, again=again, name="proven")
