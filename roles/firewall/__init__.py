"""Nothing but its controller reaches an RPC port, and the API whom the inventory says."""

from __future__ import annotations

from pyinfra.api import deploy

from roles.firewall.operations import rules_loaded
from roles.firewall.plan import Firewall


@deploy("firewall")
def firewall(plan: Firewall) -> None:
    rules_loaded(firewall=plan, name="rules loaded")
