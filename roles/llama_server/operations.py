"""The key, the unit, and a server that is attached to its workers."""

from __future__ import annotations

import shlex

from pyinfra.api import StringCommand, operation

from roles.lib.paths import paths
from roles.lib.remote import Commands, call, current, later, look
from roles.lib.units import services
from roles.llama_cpp import artifact
from roles.llama_server import keys
from roles.llama_server.facts import AttachedWorkers, KeyDigest
from roles.llama_server.plan import LlamaServer, unit


@operation()
def api_key(server: LlamaServer) -> Commands:
    """The node has a key, and this machine has the same."""
    host = current()
    digest = look(host, KeyDigest, path=server.key_path)
    if not digest:
        yield call(lambda host: keys.create(host, server))
        digest = look(host, KeyDigest, path=server.key_path)
    if digest != keys.local_digest(server) and host.state.is_executing:
        host.log(f"the API key of {server.serve} is taken over from this node")
        keys.adopt(host, server)
    host.noop(f"{server.key_path}: the key is there, and here")


@operation()
def serving(server: LlamaServer) -> Commands:
    """The unit is as planned and runs, attached to every worker of the serve."""
    host = current()
    if not artifact.is_cached(server.release):
        host.log(f"{server.unit}: its flags depend on llama.cpp {server.release.id}, which is not built yet")
        yield later()
        return
    file, service = unit(server, artifact.flags(server.release, "llama-server"), keys.local_digest(server))
    yield from paths._inner((file,))
    restarted = False
    for command in services._inner((service,)):
        restarted = True
        yield command
    if server.workers and not restarted:
        attached = look(host, AttachedWorkers, unit=server.unit)
        lost = set(server.workers) - attached
        if lost:
            host.log(f"{server.unit} has lost {', '.join(sorted(lost))}: restarting it")
            yield StringCommand("systemctl restart", shlex.quote(server.unit))
