"""A worker lends its backend to one controller over their link: ggml-rpc-server on the link's address."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address

from inventory.spec import Lab, units
from roles.lib import layout
from roles.lib.paths import File
from roles.lib.render import render
from roles.lib.units import Service, revision
from roles.llama_cpp.plan import Release, of_serve
from roles.rpc_cache import plan as rpc_cache

UNIT = units.RPC_SERVER
PATH = f"/etc/systemd/system/{UNIT}"


@dataclass(frozen=True)
class RpcServer:
    """serve: whose worker this is. controller_address: whence it is reached. address, port: where it listens, which is
    on its way from the controller. cache: GiB that it may keep of what it was sent; 0: nothing."""

    serve: str
    controller: str
    controller_address: IPv4Address
    address: IPv4Address
    port: int
    release: Release
    cache: int = 0

    @property
    def endpoint(self) -> str:
        return f"{self.address}:{self.port}"

    @property
    def cache_folder(self) -> str:
        return layout.CACHE

    @property
    def check(self) -> str:
        """The command that looks through the cache before the server starts."""
        return rpc_cache.command("check", self.cache, self.release)


def plan(lab: Lab, name: str) -> RpcServer | None:
    """None where the node is nobody's worker."""
    way = lab.way_to(name)
    for serve_name, serve in lab.spec.serves.items():
        if way is not None and name in serve.workers:
            release = of_serve(lab, serve_name, name)
            keeps = serve.cache or 0
            return RpcServer(serve_name, serve.controller, way.source, way.destination, serve.rpc_port, release, keeps)
    return None


def unit(server: RpcServer) -> tuple[File, Service]:
    """The unit's file, and the service that should run from it."""
    values = {"server": server, "binary": f"{server.release.link}/bin/ggml-rpc-server", "user": layout.USER}
    digest = revision(server.release.id, render("rpc_server/rpc-server.service.j2", revision="", **values))
    return (
        File(PATH, render("rpc_server/rpc-server.service.j2", revision=digest, **values)),
        Service(UNIT, digest),
    )
