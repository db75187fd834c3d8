"""The RPC server of a worker."""

from __future__ import annotations

from pyinfra.api import deploy

from roles.lib.paths import paths
from roles.rpc_cache.plan import keeping
from roles.rpc_server.operations import lending
from roles.rpc_server.plan import RpcServer, unit


@deploy("RPC server")
def rpc_server(plan: RpcServer | None, renew: bool = False) -> None:
    """renew: it is restarted where a library that it uses was upgraded since."""
    if plan is not None:
        file, service = unit(plan)
        kept, keepers = keeping(plan.cache, plan.release)
        paths(wanted=(*kept, file), name="unit")
        lending(server=plan, services=(*keepers, service), renew=renew, name="running")
