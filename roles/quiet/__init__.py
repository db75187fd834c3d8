"""Nothing outside us restarts a node's services, sleeps the node, or changes what its GPU computes with."""

from __future__ import annotations

from pyinfra.api import deploy

from roles.quiet import operations
from roles.quiet.operations import undisturbed
from roles.quiet.plan import Quiet


@deploy("quiet")
def quiet(plan: Quiet) -> None:
    undisturbed(plan=plan, name="nobody else's hand")


@deploy("quiet given back")
def given_back(plan: Quiet) -> None:
    """Sleep, needrestart and automatic upgrades as they were before halofleet."""
    operations.given_back(plan=plan, name="as it was")
