"""Services that were moved, renamed or taken out of the inventory."""

from __future__ import annotations

import shlex

from pyinfra.api import StringCommand, operation

from roles.endpoints.facts import FOLDER, UnitEndpoints
from roles.endpoints.plan import Endpoints
from roles.lib.remote import Commands, current, look
from roles.rpc_cache.plan import forget
from roles.rpc_server.plan import UNIT as RPC_SERVER


@operation()
def withdrawn(planned: Endpoints) -> Commands:
    """No service of ours runs, or will after a reboot, that the inventory does not have or has at another endpoint.

    Before the firewall's turn: its new rules know nothing of an old port, and must not leave it open.
    """
    host = current()
    seen = look(host, UnitEndpoints)
    for unit, endpoint in seen.items():
        if planned.get(unit) != endpoint:
            host.log(f"{unit} at {endpoint} is withdrawn; the inventory has {planned.get(unit, 'none')}")
            command = removal(unit)
            last = unit == RPC_SERVER and unit not in planned
            yield StringCommand(command, "&& {", forget(), "; }") if last else command
    host.noop(f"{len(seen)} services where they should be")


def removal(name: str) -> StringCommand:
    """Stops, disables and removes the unit. One that does not stop keeps its file, so that the next run finds it."""
    unit = shlex.quote(name)
    return StringCommand(
        f"systemctl disable --now --quiet {unit} && rm -f {FOLDER}/{unit} && systemctl daemon-reload && "
        f"{{ systemctl reset-failed {unit} 2>/dev/null || true; }}"
    )
