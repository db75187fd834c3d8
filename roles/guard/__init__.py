"""A node restarts its llama.cpp servers by itself where they are dead and do not say so."""

from __future__ import annotations

from pyinfra.api import deploy

from roles.guard.operations import guarding
from roles.guard.plan import Guard


@deploy("guard")
def guard(plan: Guard | None) -> None:
    guarding(guard=plan, name="looks after the servers")
