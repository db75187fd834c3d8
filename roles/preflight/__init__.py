"""What would stop the run, on every node, before the first change on any."""

from __future__ import annotations

from pyinfra.api import deploy

from roles.preflight.operations import allowed, collected
from roles.preflight.plan import Expected


@deploy("preflight")
def preflight(plan: Expected) -> None:
    collected(expected=plan, name="look at every node")
    allowed(name="nothing against it")
