"""Packages, the service user, directories, the clock."""

from __future__ import annotations

from pyinfra.api import deploy

from roles.base.operations import user_and_clock
from roles.base.plan import PACKAGES, Base, directories
from roles.lib.packages import packages
from roles.lib.paths import paths


@deploy("base")
def base(plan: Base) -> None:
    packages(table=PACKAGES, name="packages")
    user_and_clock(base=plan, name="service user and clock")
    paths(wanted=directories(plan), name="directories")
