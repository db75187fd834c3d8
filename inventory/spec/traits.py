"""What a node is, of what it says itself, what its group says and what the lab says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from pydantic import BaseModel

from inventory.spec.language.file import LabFile
from inventory.spec.language.nodes import Node, Traits

JOINED = ("ssh", "memory")
"""Joined key by key; of everything else the nearest word counts."""

ALTERNATIVES = (("gpu", "reserve"),)
"""Two ways to say the same: the nearer one counts, whichever it is."""

Part = TypeVar("Part", bound=BaseModel)


def nodes(spec: LabFile) -> dict[str, Node]:
    """Every node with its traits. The file has passed `rules`."""
    return {name: _whole(spec, node) for name, node in spec.nodes.items()}


def _whole(spec: LabFile, node: Node) -> Node:
    said: list[Traits] = [spec.defaults, node]
    if node.group is not None:
        said.insert(1, spec.groups[node.group])
    traits = {key: value for each in said for key, value in _said(each).items() if key in Traits.model_fields}
    traits |= {key: _joined([getattr(each, key) for each in said]) for key in JOINED}
    return node.model_copy(update=traits)


def _joined(parts: Sequence[Part]) -> Part:
    found: dict[str, object] = {}
    for part in parts:
        said = _said(part)
        for one, other in ALTERNATIVES:
            if said.keys() & {one, other}:
                found |= {one: None, other: None}
        found |= said
    return parts[0].model_copy(update=found)


def _said(part: BaseModel) -> dict[str, object]:
    return {key: getattr(part, key) for key in part.model_fields_set}
