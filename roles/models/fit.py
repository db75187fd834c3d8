"""Whether what a serve is to run can run: memory for the model, and no more context than it was trained on. Pure.

What cannot be told stands against nobody: a model that was not fetched yet, or one that keeps less of a token than its
sizes say, or a flag of the user's own that decides where layers lie.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from inventory.spec import Lab
from roles.doctor.box import Box
from roles.doctor.gpu import GIB
from roles.doctor.gpu import RESERVE_GIB as RESERVE
from roles.doctor.patient import Expected as Wanted
from roles.lib.finding import Finding
from roles.models.head import Head
from roles.models.plan import Model, model

PLACED = re.compile(
    r"(-ngl|--n-gpu-layers|--gpu-layers|-ot|--override-tensor|-cmoe|--cpu-moe|-ncmoe|--n-cpu-moe|-nkvo|--no-kv-offload"
    r"|-lm|--load-mode|--mmap|-ctk|-ctv|--cache-type-[kv]|-fit|--fit|-dev|--device)(=|$)"
)
"""Flags by which it lies elsewhere, or in less, than what follows from the inventory."""


@dataclass(frozen=True)
class Need:
    """What a serve is to run. nodes: each with whether it computes by its GPU. shared: the memory of all of them is one
    machine's."""

    serve: str
    controller: str
    model: Model
    context: int
    nodes: tuple[tuple[str, bool], ...]
    extra: tuple[str, ...]
    shared: bool


@dataclass(frozen=True)
class Room:
    """GiB of a node; None where nobody says."""

    gpu: float | None
    all: float | None


def needs(lab: Lab, name: str) -> tuple[Need, ...]:
    """Of the serves that the node controls."""
    return tuple(
        Need(
            serve_name,
            name,
            model(lab, serve.model),
            serve.context,
            tuple((node, lab.backend(serve_name, node) != "cpu") for node in (name, *serve.workers)),
            serve.extra,
            lab.spec.virtual is not None,
        )
        for serve_name, serve in sorted(lab.spec.serves.items())
        if serve.controller == name
    )


def room(box: Box, wanted: Wanted) -> Room:
    """What the inventory says of the GPU comes first: the kernel's arguments for it may still be to come."""
    everything = box.gib or None
    if wanted.gpu:
        return Room(wanted.gpu, everything)
    if wanted.installed:
        return Room(wanted.installed - (wanted.reserve or RESERVE), everything)
    if box.gpu and box.gpu.gtt:
        return Room((box.gpu.gtt + box.gpu.vram) / GIB, everything)
    return Room(None, everything)


def context(node: str, model: Model, head: Head) -> Iterator[Finding]:
    """More tokens for a slot than the model was trained on: llama-server would give it less, and only log that."""
    for serve, tokens in model.contexts:
        if head.trained and tokens > head.trained:
            wanted = f"at most {head.trained}, on which {model.name} was trained"
            fix = (
                "write a smaller context, or more slots; flags in extra that stretch it (--rope-scaling) lift this rule"
            )
            yield Finding(f"serves.{serve}.context", "stop", node, f"{tokens} tokens for a slot", wanted, fix)


def memory(need: Need, head: Head, rooms: Mapping[str, Room]) -> Iterator[Finding]:
    """The model and what it keeps of its context, against the memory of all nodes of the serve."""
    sizes = {node: rooms[node].gpu if gpu else rooms[node].all for node, gpu in need.nodes if node in rooms}
    known = [size for size in sizes.values() if size is not None]
    placed = any(PLACED.match(word.replace("_", "-")) for word in need.extra)  # llama.cpp takes either
    if len(known) < len(need.nodes) or not head.size or placed:
        return
    there = max(known) if need.shared else sum(known)
    weights, tokens = head.size / GIB, head.memory(need.context) / GIB
    if weights + tokens > there:
        which = ", ".join(f"{node} {size:.1f}" for node, size in sizes.items())
        if need.shared:
            which = "of the machine that all virtual hosts share"
        yield Finding(
            f"serves.{need.serve}.model",
            "stop",
            need.controller,
            f"{need.model.name} has {weights:.1f} GiB, and {tokens:.1f} for {need.context} tokens of context",
            f"at most {there:.1f} GiB ({which})",
            "add workers, choose a smaller model or a smaller context",
        )
