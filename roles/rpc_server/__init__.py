"""The RPC server of a worker."""

from __future__ import annotations

from pyinfra.api import deploy

from roles.lib.paths import paths
from roles.lib.retired import retired
from roles.rpc_server.operations import lending
from roles.rpc_server.plan import UNIT, RpcServer, unit


@deploy("RPC server")
def rpc_server(plan: RpcServer | None) -> None:
    if plan is None:
        retired(pattern=UNIT, keep=(), name="no RPC server here")
        return
    file, service = unit(plan)
    paths(wanted=(file,), name="unit")
    lending(server=plan, service=service, name="running")
