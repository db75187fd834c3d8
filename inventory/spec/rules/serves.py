"""Rules about serves: who controls, who works, on which ports."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address

from inventory.spec.draft import Draft, LinkDraft
from inventory.spec.errors import Path, Problem, did_you_mean, quoted

MOST_WORKERS = 16
"""llama.cpp's GGML_RPC_MAX_SERVERS (ggml/include/ggml-rpc.h): a 17th endpoint aborts llama-server."""

LEAST_CONTEXT = 256
"""Tokens for a request, as `context` for all of them."""


def _known(draft: Draft) -> Iterator[Problem]:
    for name, serve in draft.serves.items():
        path = ("serves", name)
        if serve.model is not None and draft.models is not None and serve.model not in draft.models:
            hint = did_you_mean(serve.model, draft.models) or "; add it to models"
            yield (*path, "model"), f"there is no model {quoted(serve.model)}{hint}"
        used: list[tuple[Path, str]] = [((*path, "workers", i), worker) for i, worker in enumerate(serve.workers or ())]
        if serve.controller is not None:
            used.append(((*path, "controller"), serve.controller))
        for where, node in used:
            if draft.nodes is not None and node not in draft.nodes:
                hint = did_you_mean(node, draft.nodes) or "; add it to nodes"
                yield where, f"there is no node {quoted(node)}{hint}"


def _workers(draft: Draft) -> Iterator[Problem]:
    for name, serve in draft.serves.items():
        path, workers = ("serves", name, "workers"), serve.workers or ()
        if len(workers) > MOST_WORKERS:
            yield path, f"has {len(workers)} workers; llama.cpp takes at most {MOST_WORKERS} RPC endpoints"
        seen: set[str] = set()
        for index, worker in enumerate(workers):
            if worker == serve.controller:
                yield (*path, index), f"{worker} is the controller, which uses its own backend anyway; leave it out"
            elif worker in seen:
                yield (*path, index), f"{worker} is listed twice; leave one out"
            seen.add(worker)


def _reachable(draft: Draft) -> Iterator[Problem]:
    if draft.nodes is None or draft.links is None or not all(_whole(draft, link) for link in draft.links):
        return  # the link in question may be the broken one
    islands = _islands(draft.links)
    for name, serve in draft.serves.items():
        for index, worker in enumerate(serve.workers or ()):
            known = serve.controller in draft.nodes and worker in draft.nodes
            if known and islands.get(worker, worker) != islands.get(str(serve.controller), serve.controller):
                text = f"no link leads from the controller {serve.controller} to {worker}; add one to links"
                yield ("serves", name, "workers", index), text


def _whole(draft: Draft, link: LinkDraft) -> bool:
    """Whether the link joins nodes that exist."""
    return link.ends is not None and len(link.ends) > 1 and link.ends.keys() <= (draft.nodes or {}).keys()


def _islands(links: Iterable[LinkDraft]) -> dict[str, str]:
    """Node -> a node that stands for all that it can reach (union-find)."""
    parent: dict[str, str] = {}

    def root(node: str) -> str:
        parent.setdefault(node, node)
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    for link in links:
        first = root(next(iter(link.ends or ())))
        for node in link.ends or ():
            parent[root(node)] = first
    return {node: root(node) for node in list(parent)}


def _shared(draft: Draft) -> Iterator[Problem]:
    employer: dict[str, str] = {}
    for name, serve in draft.serves.items():
        for index, worker in enumerate(serve.workers or ()):
            if worker == serve.controller or worker not in (draft.nodes or {}):
                continue
            if (first := employer.setdefault(worker, name)) != name:
                text = f"{worker} is a worker of serve {first} already; a worker has one controller"
                yield ("serves", name, "workers", index), text


def _ports(draft: Draft) -> Iterator[Problem]:
    """Everything of ours that listens on a node needs a port of its own, on whichever address it listens.

    An RPC port is taken on every node: the firewall closes it everywhere but on its way to the controller.
    """
    rpc: dict[int, str] = {}
    ssh = {node.ssh_port: name for name, node in reversed(list((draft.nodes or {}).items()))}
    for name, serve in draft.serves.items():
        if serve.workers and serve.rpc_port is not None:
            rpc.setdefault(serve.rpc_port, name)
            path = ("serves", name, "rpc_port")
            if serve.rpc_port in ssh:
                yield path, f"{serve.rpc_port} is taken on {ssh[serve.rpc_port]} by SSH; choose another port"
    api: dict[tuple[str, int], str] = {}
    for name, serve in draft.serves.items():
        if serve.controller is None or serve.port is None:
            continue
        node = (draft.nodes or {}).get(serve.controller)
        holder = api.setdefault((serve.controller, serve.port), name)
        taken = f"port of serve {holder}" if holder != name else ""
        if serve.port in rpc:
            taken = f"rpc_port of serve {rpc[serve.port]}"
        if node is not None and serve.port == node.ssh_port:
            taken = "SSH"
        if taken:
            text = f"{serve.port} is taken on {serve.controller} by {taken}; choose another port"
            yield ("serves", name, "port"), text


def _binds(draft: Draft) -> Iterator[Problem]:
    anywhere = {IPv4Address("0.0.0.0"), IPv4Address("127.0.0.1")}  # noqa: S104  # a user's own choice
    for name, serve in draft.serves.items():
        node = (draft.nodes or {}).get(serve.controller or "")
        if serve.bind is None or serve.bind in anywhere or node is None or node.address is None:
            continue
        if serve.bind != node.address:
            text = f"{serve.bind} is not where {serve.controller} can listen; it is {node.address} (the default), "
            yield ("serves", name, "bind"), f"{text}127.0.0.1 or 0.0.0.0"


def _slots(draft: Draft) -> Iterator[Problem]:
    for name, serve in draft.serves.items():
        if serve.slots and serve.context and serve.context // serve.slots < LEAST_CONTEXT:
            each = f"{serve.context} tokens of context for {serve.slots} slots are {serve.context // serve.slots} each"
            yield (
                ("serves", name, "slots"),
                f"{each}, at least {LEAST_CONTEXT} are needed: fewer slots, or more context",
            )


def _caches(draft: Draft) -> Iterator[Problem]:
    for name, serve in draft.serves.items():
        if serve.cache and serve.workers == ():
            yield ("serves", name, "cache"), f"{serve.cache}GiB is for workers, and there are none; leave it out"


RULES = (_known, _workers, _reachable, _shared, _ports, _binds, _slots, _caches)
