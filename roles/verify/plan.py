"""What a node must be seen doing when cluster.py is done."""

from __future__ import annotations

from dataclasses import dataclass

from inventory.spec import Lab
from roles.llama_cpp.plan import Release
from roles.llama_cpp.plan import plan as release_plan
from roles.llama_server.plan import LlamaServer
from roles.llama_server.plan import plan as servers_plan
from roles.rpc_server.plan import RpcServer
from roles.rpc_server.plan import plan as rpc_plan


@dataclass(frozen=True)
class Check:
    node: str
    releases: tuple[Release, ...]
    rpc: RpcServer | None
    servers: tuple[LlamaServer, ...]
    rpc_ports: tuple[int, ...]
    """Every RPC port of the lab: none of them may listen anywhere but on a link."""


def plan(lab: Lab, name: str) -> Check:
    return Check(name, release_plan(lab, name), rpc_plan(lab, name), servers_plan(lab, name), lab.rpc_ports)
