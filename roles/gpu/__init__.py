"""The GPU stack: Mesa's RADV or AMD's ROCm, tried as the service user; and what an earlier one has left."""

from __future__ import annotations

from pyinfra.api import deploy

from roles.gpu.operations import FINDINGS, fit, installed, looked, tidied, tried
from roles.gpu.plan import Gpu
from roles.lib.allowed import allowed


@deploy("GPU stack allowed")
def asked(plan: Gpu) -> None:
    """Before the first change on any node: nothing stands against it."""
    looked(gpu=plan, name="look at every node")
    allowed(topic=FINDINGS, name="nothing against it")


@deploy("GPU stack")
def gpu(plan: Gpu) -> None:
    looked(gpu=plan, name="look at the stack")
    installed(gpu=plan, name="stack installed")
    tried(gpu=plan, name="stack tried")
    fit(name="stack fits")


@deploy("GPU stack: remains")
def tidy(plan: Gpu) -> None:
    """After the services run on what the inventory says now."""
    tidied(gpu=plan, name="remains gone")
