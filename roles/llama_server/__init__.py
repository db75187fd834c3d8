"""llama-server of a controller: its key, its unit, its attachment to the workers."""

from __future__ import annotations

from pyinfra.api import deploy
from pyinfra.context import host

from roles.llama_server.operations import api_key, connections_told, serving
from roles.llama_server.plan import LlamaServer


@deploy("llama-server connections")
def connections(plan: tuple[LlamaServer, ...]) -> None:
    """Before the workers' turn: they must know which of their clients are alive."""
    for server in host.loop(plan):
        connections_told(server=server, name=f"connections of {server.serve}")


@deploy("llama-server")
def llama_server(plan: tuple[LlamaServer, ...], renew: bool = False) -> None:
    """renew: it is restarted where a library that it uses was upgraded since."""
    for server in host.loop(plan):
        api_key(server=server, name=f"API key of {server.serve}")
        serving(server=server, renew=renew, name=f"serving {server.serve}")
