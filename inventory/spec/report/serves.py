"""What each serve will run where, and which way its nodes talk."""

from __future__ import annotations

from collections.abc import Iterator

from inventory.spec import units
from inventory.spec.lab import Lab
from inventory.spec.language.serves import Serve
from inventory.spec.report.text import fill, listed, table
from inventory.spec.topology.ways import Way


def serves(lab: Lab) -> Iterator[str]:
    """By name."""
    for name, serve in sorted(lab.spec.serves.items()):
        slots = f" in {serve.slots} slot{'s' if serve.slots > 1 else ''}" if serve.slots else ""
        yield f"  {name}: {serve.model}, {serve.context} tokens{slots}"
        yield from fill(4, ["API", *_api(lab, serve)])
        yield from table(4, [("controller", serve.controller, "", "", ""), *_workers(lab, name, serve)])
        yield from _memory(lab, serve)
        yield from fill(4, ["runs", units.llama_server(name), "on", serve.controller])
        if serve.workers:
            yield from fill(4, ["runs", units.RPC_SERVER, "on", *listed(serve.workers)])
        if serve.cache:
            yield from fill(4, f"each worker keeps at most {serve.cache}GiB of the weights that it was sent".split())


def _api(lab: Lab, serve: Serve) -> list[str]:
    bind = serve.bind or lab.node(serve.controller).address
    address = lab.node(serve.controller).address if bind.is_unspecified else bind
    words = [f"http://{address}:{serve.port}/v1,", *(["on", f"{bind}:{serve.port},"] if bind.is_unspecified else [])]
    if bind.is_loopback or not lab.api_from:
        return [*words, "open", "to", serve.controller, "alone"]
    return [*words, "open", "to", *listed([str(net) for net in lab.api_from]), "and", serve.controller]


def _workers(lab: Lab, name: str, serve: Serve) -> Iterator[tuple[str, ...]]:
    for way in lab.ways(name):
        over = " + ".join(hop.link.name for hop in way.hops)
        yield "worker", way.into.node, f"{way.destination}:{serve.rpc_port}", _path(way), f"over {over}, mtu {way.mtu}"


def _path(way: Way) -> str:
    """The interface by which the controller sends, the nodes in the middle, the interface at which the worker gets."""
    return " -> ".join((way.out.interface, *way.via, way.into.interface))


def _memory(lab: Lab, serve: Serve) -> Iterator[str]:
    sizes = [lab.node(node).memory.for_models for node in (serve.controller, *serve.workers)]
    known = [size for size in sizes if size is not None]
    if len(known) == len(sizes):
        parts = f"together ({' + '.join(map(str, known))})" if len(known) > 1 else ""
        yield from fill(4, ["memory", f"{sum(known)}GiB", *parts.split()])
