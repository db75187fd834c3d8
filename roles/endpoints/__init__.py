"""Nothing of ours answers where the inventory says nothing."""

from __future__ import annotations

from pyinfra.api import deploy

from roles.endpoints.operations import withdrawn
from roles.endpoints.plan import Endpoints


@deploy("endpoints")
def endpoints(plan: Endpoints) -> None:
    """Before the firewall's turn."""
    withdrawn(planned=plan, name="none but the inventory's")
