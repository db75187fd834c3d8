"""What deploys/status.py asks of a node, and compares with. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from inventory.spec import Lab
from roles.doctor.judge import UNKNOWN, expected
from roles.doctor.look import Boxes
from roles.doctor.patient import Expected
from roles.firewall.plan import UNIT as FIREWALL
from roles.guard.facts import GuardStates
from roles.guard.plan import UNIT as GUARD
from roles.guard.plan import plan as guard_plan
from roles.lib.remote import Question
from roles.lib.units import UnitStates
from roles.link_proof.facts import Sights as Links
from roles.link_proof.plan import Proof
from roles.link_proof.plan import plan as proof_plan
from roles.llama_cpp import artifact
from roles.rpc_cache.plan import UNIT as RPC_CACHE
from roles.rpc_server.plan import UNIT as RPC
from roles.verify.facts import Sights as Programs
from roles.verify.plan import Check
from roles.verify.plan import plan as check_plan


@dataclass(frozen=True)
class Wanted:
    """Of a node. units: that should be there and run. guarded: that its guard looks after. questions: all that it is
    asked, in one remote command."""

    node: str
    check: Check
    proof: Proof
    units: tuple[str, ...]
    guarded: tuple[str, ...] = ()
    box: Expected = UNKNOWN

    @property
    def questions(self) -> tuple[Question[Any], ...]:
        serving = tuple(unit for unit in self.units if unit not in (FIREWALL, GUARD, RPC_CACHE))
        return (
            Question(UnitStates, {"units": self.units}),
            Question(Programs, {"units": serving, "releases": self.check.releases}),
            Question(Links, {"proof": self.proof}),
            Question(Boxes),
            Question(GuardStates),
        )


def plan(lab: Lab, name: str) -> Wanted:
    check = check_plan(lab, name)
    rpc = ((RPC, RPC_CACHE) if check.rpc.cache else (RPC,)) if check.rpc else ()
    serving = (*(server.unit for server in check.servers), *rpc)
    guard = guard_plan(lab, name)
    ours = (GUARD, FIREWALL) if guard else (FIREWALL,)
    guarded = guard.units if guard else ()
    return Wanted(name, check, proof_plan(lab, name), (*serving, *ours), guarded, expected(lab, name))


def comparable(check: Check) -> Check:
    """Without the releases that this machine has no artifact of: it cannot say what commit they should be."""
    return replace(check, releases=tuple(each for each in check.releases if artifact.path_of(each).is_file()))
