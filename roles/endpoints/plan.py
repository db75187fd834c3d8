"""Where the services of a node answer."""

from __future__ import annotations

from collections.abc import Mapping

from inventory.spec import Lab
from roles.llama_server.plan import plan as llama_servers
from roles.rpc_server.plan import UNIT
from roles.rpc_server.plan import plan as rpc_server

Endpoints = Mapping[str, str]
"""Unit -> `ADDRESS:PORT`."""


def plan(lab: Lab, name: str) -> Endpoints:
    found = {server.unit: f"{server.bind}:{server.port}" for server in llama_servers(lab, name)}
    rpc = rpc_server(lab, name)
    return found | ({UNIT: rpc.endpoint} if rpc is not None else {})
