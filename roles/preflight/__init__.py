"""What would stop the run, on every node, before the first change on any."""

from __future__ import annotations

from pyinfra.api import deploy

from roles.lib.allowed import allowed
from roles.preflight.operations import TOPIC, collected, fitting, taken
from roles.preflight.plan import Expected


@deploy("preflight")
def preflight(plan: Expected) -> None:
    collected(expected=plan, name="look at every node")
    fitting(expected=plan, name="models fit")
    allowed(topic=TOPIC, name="nothing against it")


@deploy("lock")
def lock(plan: Expected) -> None:
    """Keeps other runs out, and asks nothing else of the node."""
    taken(expected=plan, name="nobody else works on it")
    allowed(topic=TOPIC, name="on no node")
