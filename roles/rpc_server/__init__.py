"""The RPC server of a worker."""

from __future__ import annotations

from pyinfra.api import deploy

from roles.lib.paths import paths
from roles.rpc_server.operations import lending, withdrawn
from roles.rpc_server.plan import RpcServer, unit


@deploy("RPC server, withdrawn")
def rpc_server_withdrawn(plan: RpcServer | None) -> None:
    """Before the firewall's turn."""
    withdrawn(server=plan, name="none but the inventory's")


@deploy("RPC server")
def rpc_server(plan: RpcServer | None) -> None:
    if plan is not None:
        file, service = unit(plan)
        paths(wanted=(file,), name="unit")
        lending(server=plan, service=service, name="running")
