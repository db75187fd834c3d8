"""Kernel arguments and the GPU's ceiling: written where the box keeps them, proven by a reboot, given back."""

from __future__ import annotations

from pyinfra.api import deploy

from roles.kernel import operations
from roles.kernel.operations import FINDINGS, arguments_written, looked
from roles.kernel.plan import Kernel
from roles.kernel.reboot import rebooted
from roles.lib.allowed import allowed


@deploy("kernel")
def kernel(plan: Kernel) -> None:
    if not plan.order:  # no node of the lab has a kernel of its own
        return
    looked(kernel=plan, name="look at every node")
    allowed(topic=FINDINGS, name="nothing against it")
    arguments_written(kernel=plan, name="arguments")
    for target in plan.order:
        rebooted(kernel=plan, target=target, name=f"reboot {target}")


@deploy("kernel given back")
def given_back(plan: Kernel) -> None:
    """What it booted before halofleet, from the next boot on; nothing is rebooted."""
    if plan.own:
        operations.given_back(name="as it was")
