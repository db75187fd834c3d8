"""The key, the unit, and a server that is attached to its workers."""

from __future__ import annotations

from dataclasses import replace

from pyinfra.api import QuoteString, StringCommand, operation

from roles.lib.board import board
from roles.lib.connections import CONTROLLERS, WORKERS, ends, lost
from roles.lib.placed import placed
from roles.lib.remote import Commands, call, current, later, look
from roles.lib.units import UnitStates, changes, restart
from roles.llama_cpp import artifact
from roles.llama_server import keys
from roles.llama_server.facts import KeyState
from roles.llama_server.plan import CHECKS, WAITS, LlamaServer, unit
from roles.models.held import held


@operation()
def api_key(server: LlamaServer) -> Commands:
    """The node has a key, and this machine has the same."""
    host = current()
    key, chosen = look(host, KeyState, path=server.key_path), keys.chosen(server)
    if not key.digest or (chosen and chosen != key.digest):
        yield call(lambda host: keys.create(host, server))
        key = look(host, KeyState, path=server.key_path)
    if not key.private:
        yield StringCommand(
            "chown root:root", QuoteString(server.key_path), "&& chmod 400", QuoteString(server.key_path)
        )
    if key.digest != keys.local_digest(server) and host.state.is_executing:
        host.log(f"the API key of {server.serve} is taken over from this node")
        keys.adopt(host, server)
    if host.state.is_executing:
        keys.close(server)
    host.noop(f"{server.key_path}: the key is there, and here")


@operation()
def serving(server: LlamaServer, renew: bool = False) -> Commands:
    """The unit is as planned and runs, attached to every worker of the serve."""
    host = current()
    if not artifact.is_cached(server.release):
        host.log(f"{server.unit}: its flags depend on llama.cpp {server.release.id}, which is not built yet")
        yield later()
        return
    flags = artifact.flags(server.release, "llama-server")
    model = held(host, server.model_path)
    server = replace(server, model_path=model.file)
    key = keys.chosen(server) or keys.local_digest(server)
    file, service = unit(server, flags, key, model.identity)
    programs = (CHECKS, WAITS) if server.workers else (CHECKS,)
    state, changed = yield from placed(host, server.unit, (*programs, file))
    commands = list(changes((service,), state, renew=renew))
    gone = lost(server.workers, state[server.unit].connections, board(host.state, WORKERS))
    if gone and not commands:
        host.log(f"{server.unit} has lost {', '.join(gone)}: restarting it")
        commands = [restart(server.unit)]
    if not changed and not commands:
        host.noop(f"{server.unit} runs, attached to all its workers")
    yield from commands


@operation()
def connections_told(server: LlamaServer) -> Commands:
    """Tells the run which connections to its workers this controller has, before the workers are looked at."""
    host = current()
    state = look(host, UnitStates, units=(server.unit,))[server.unit]
    for worker in server.workers:
        board(host.state, CONTROLLERS)[worker] = ends(state.connections, worker)
    host.noop(f"{server.unit}: {len(state.connections)} connections")
    yield from ()
