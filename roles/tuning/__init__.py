"""tuned's profile for accelerators, with less waiting to be written, and nobody who sets another one over it."""

from __future__ import annotations

from pyinfra.api import deploy

from roles.tuning import operations
from roles.tuning.operations import profile_active
from roles.tuning.plan import Tuning


@deploy("tuning")
def tuning(plan: Tuning) -> None:
    if plan.somewhere:
        profile_active(tuning=plan, name="tuned's profile")


@deploy("tuning given back")
def given_back(plan: Tuning) -> None:
    """The profile, and the units that compete with it, as they were before halofleet; packages stay."""
    if plan.somewhere:
        operations.given_back(tuning=plan, name="as it was")
