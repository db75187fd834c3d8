"""Rules about serves: who controls, who works, on which ports."""

from __future__ import annotations

from collections.abc import Iterator

from inventory.spec.draft import Draft, LinkDraft, ServeDraft
from inventory.spec.errors import Path, Problem, did_you_mean, quoted

MOST_WORKERS = 16
"""llama.cpp's GGML_RPC_MAX_SERVERS (ggml/include/ggml-rpc.h): a 17th endpoint aborts llama-server."""


def _known(draft: Draft) -> Iterator[Problem]:
    for name, serve in draft.serves.items():
        path = ("serves", name)
        if serve.model is not None and draft.models is not None and serve.model not in draft.models:
            yield (*path, "model"), f"there is no model {quoted(serve.model)}{did_you_mean(serve.model, draft.models)}"
        used: list[tuple[Path, str]] = [((*path, "workers", i), worker) for i, worker in enumerate(serve.workers or ())]
        if serve.controller is not None:
            used.append(((*path, "controller"), serve.controller))
        for where, node in used:
            if draft.nodes is not None and node not in draft.nodes:
                yield where, f"there is no node {quoted(node)}{did_you_mean(node, draft.nodes)}"


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


def _cables(draft: Draft) -> Iterator[Problem]:
    if draft.nodes is None or draft.links is None or not all(_joins(draft, link) for link in draft.links):
        return  # the cable in question may be the broken one
    cables = {frozenset(link.usb4 or ()) for link in draft.links}
    for name, serve in draft.serves.items():
        for index, worker in enumerate(serve.workers or ()):
            known = serve.controller in draft.nodes and worker in draft.nodes
            if known and worker != serve.controller and frozenset((worker, serve.controller)) not in cables:
                text = f"{worker} has no cable to its controller {serve.controller}; add one to links"
                yield ("serves", name, "workers", index), text


def _joins(draft: Draft, link: LinkDraft) -> bool:
    """Whether the link joins two nodes that exist."""
    return link.usb4 is not None and len(link.usb4) == 2 and link.usb4.keys() <= (draft.nodes or {}).keys()


def _shared(draft: Draft) -> Iterator[Problem]:
    employer: dict[str, str] = {}
    for name, serve in draft.serves.items():
        for index, worker in enumerate(serve.workers or ()):
            if (first := employer.setdefault(worker, name)) != name:
                text = f"{worker} is a worker of serve {first} already; a worker has one controller"
                yield ("serves", name, "workers", index), text


def _ports(draft: Draft) -> Iterator[Problem]:
    """Everything of ours that listens on a node needs a port of its own, on whichever address it listens.

    An RPC port is taken on every node: the firewall closes it everywhere but on its way to the controller.
    """
    nodes = (draft.nodes or {}).items()
    taken = {(name, node.ssh_port): "SSH" for name, node in nodes if node.ssh_port is not None}
    for name, serve in draft.serves.items():
        told: set[str] = set()
        for node, key, port in _listens(serve, draft):
            who = f"{key} of serve {name}"
            holder = taken.setdefault((node, port), who)
            shared_worker = key == "rpc_port" and holder.startswith("rpc_port ")  # another rule's
            if holder != who and not shared_worker and key not in told:
                told.add(key)
                yield ("serves", name, key), f"{port} is taken on {node} by {holder}; choose another port"


def _listens(serve: ServeDraft, draft: Draft) -> Iterator[tuple[str, str, int]]:
    if serve.controller is not None and serve.port is not None:
        yield serve.controller, "port", serve.port
    if serve.workers and serve.rpc_port is not None:
        for node in draft.nodes or ():
            yield node, "rpc_port", serve.rpc_port


RULES = (_known, _workers, _cables, _shared, _ports)
