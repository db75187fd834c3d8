"""The RPC server runs, and serves nobody but its controller's living connections."""

from __future__ import annotations

from pyinfra.api import operation

from roles.lib.board import board
from roles.lib.connections import CONTROLLERS, WORKERS, clients, haunted
from roles.lib.remote import Commands, current, look
from roles.lib.units import Service, UnitStates, changes, restart
from roles.rpc_server.plan import RpcServer


@operation()
def lending(server: RpcServer, service: Service) -> Commands:
    """As `services`; and restarted where it waits for a controller that is gone. Tells the run who is connected."""
    host = current()
    states = look(host, UnitStates, units=(service.name,))
    seen = clients(states[service.name].connections, server.endpoint)
    commands = list(changes((service,), states))
    if not commands and haunted(server.endpoint, seen, board(host.state, CONTROLLERS)):
        host.log(f"{service.name} serves {', '.join(sorted(seen))}, which {server.controller} knows nothing of")
        commands = [restart(service.name)]
    board(host.state, WORKERS)[server.endpoint] = frozenset() if commands else seen
    if not commands:
        host.noop(f"{service.name} runs; connected: {', '.join(sorted(seen)) or 'nobody'}")
    yield from commands
