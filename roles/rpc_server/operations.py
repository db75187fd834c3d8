"""The RPC server runs, and serves nobody but its controller's living connections."""

from __future__ import annotations

from pyinfra.api import operation

from roles.lib.board import board
from roles.lib.connections import CONTROLLERS, WORKERS, clients, haunted
from roles.lib.layout import CACHE
from roles.lib.paths import PathStates
from roles.lib.remote import Commands, Question, current, look_both
from roles.lib.units import Service, UnitStates, changes, restart
from roles.rpc_cache import plan as rpc_cache
from roles.rpc_server.plan import UNIT, RpcServer


@operation()
def lending(server: RpcServer, services: tuple[Service, ...], renew: bool = False) -> Commands:
    """As `services`, the server last; and it is restarted where it waits for a controller that is gone. Tells the run
    who is connected. A cache that it may not have any more goes, once it does without."""
    host = current()
    units = Question(UnitStates, {"units": tuple(service.name for service in services)})
    states, places = look_both(host, units, Question(PathStates, {"paths": (CACHE, rpc_cache.PATH)}))
    seen = clients(states[UNIT].connections, server.endpoint)
    own = list(changes(services[-1:], states, renew=renew))
    if not own and haunted(server.endpoint, seen, board(host.state, CONTROLLERS)):
        host.log(f"{UNIT} serves {', '.join(sorted(seen))}, which {server.controller} knows nothing of")
        own = [restart(UNIT)]
    board(host.state, WORKERS)[server.endpoint] = frozenset() if own else seen
    commands = [*own, *changes(services[:-1], states)]
    if not server.cache and any(seen_there.kind != "absent" for seen_there in places.values()):
        commands.append(rpc_cache.forget())
    if not commands:
        host.noop(f"{UNIT} runs; connected: {', '.join(sorted(seen)) or 'nobody'}")
    yield from commands
