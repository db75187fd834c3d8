"""Rules about serves: who controls, who works, on which ports."""

from __future__ import annotations

from collections.abc import Iterator

from inventory.spec.draft import Draft
from inventory.spec.errors import Path, Problem, did_you_mean, quoted

MOST_WORKERS = 16
"""llama.cpp's GGML_RPC_MAX_SERVERS (ggml/include/ggml-rpc.h): a 17th endpoint aborts llama-server."""


def _known(draft: Draft) -> Iterator[Problem]:
    for name, serve in draft.whole_serves.items():
        path = ("serves", name)
        if draft.models is not None and serve.model not in draft.models:
            yield (*path, "model"), f"there is no model {quoted(serve.model)}{did_you_mean(serve.model, draft.models)}"
        used: list[tuple[Path, str]] = [((*path, "controller"), serve.controller)]
        used += [((*path, "workers", index), worker) for index, worker in enumerate(serve.workers)]
        for where, node in used:
            if draft.nodes is not None and node not in draft.nodes:
                yield where, f"there is no node {quoted(node)}{did_you_mean(node, draft.nodes)}"


def _workers(draft: Draft) -> Iterator[Problem]:
    for name, serve in draft.whole_serves.items():
        path = ("serves", name, "workers")
        if len(serve.workers) > MOST_WORKERS:
            yield path, f"has {len(serve.workers)} workers; llama.cpp takes at most {MOST_WORKERS} RPC endpoints"
        seen: set[str] = set()
        for index, worker in enumerate(serve.workers):
            if worker == serve.controller:
                yield (*path, index), f"{worker} is the controller, which uses its own backend anyway; leave it out"
            elif worker in seen:
                yield (*path, index), f"{worker} is listed twice; leave one out"
            seen.add(worker)


def _cables(draft: Draft) -> Iterator[Problem]:
    if draft.links is None or None in draft.links:
        return  # the cable in question may be the broken one
    cables = {frozenset(link.usb4) for _, link in draft.whole_links}
    for name, serve in draft.whole_serves.items():
        for index, worker in enumerate(serve.workers):
            known = draft.nodes is not None and {worker, serve.controller} <= draft.nodes.keys()
            if known and worker != serve.controller and frozenset((worker, serve.controller)) not in cables:
                text = f"{worker} has no cable to its controller {serve.controller}; add one to links"
                yield ("serves", name, "workers", index), text


def _shared(draft: Draft) -> Iterator[Problem]:
    employer: dict[str, str] = {}
    for name, serve in draft.whole_serves.items():
        for index, worker in enumerate(serve.workers):
            if (first := employer.setdefault(worker, name)) != name:
                text = f"{worker} is a worker of serve {first} already; a worker has one controller"
                yield ("serves", name, "workers", index), text


def _ports(draft: Draft) -> Iterator[Problem]:
    """Everything of ours that listens on a node needs a port of its own, on whichever address it listens."""
    taken: dict[tuple[str, int], str] = {}
    for name, box in draft.whole_nodes.items():
        ssh = box.ssh if box.ssh and "port" in box.ssh.model_fields_set else draft.ssh
        if ssh is not None:
            taken[name, ssh.port] = "SSH"
    for name, serve in draft.whole_serves.items():
        listens = [(serve.controller, "port", serve.port)]
        listens += [(worker, "rpc_port", serve.rpc_port) for worker in dict.fromkeys(serve.workers)]
        told: set[str] = set()
        for node, key, port in listens:
            who = f"{key} of serve {name}"
            holder = taken.setdefault((node, port), who)
            shared_worker = key == "rpc_port" and holder.startswith("rpc_port ")  # another rule's
            if holder != who and not shared_worker and key not in told:
                told.add(key)
                yield ("serves", name, key), f"{port} is taken on {node} by {holder}; choose another port"


RULES = (_known, _workers, _cables, _shared, _ports)
