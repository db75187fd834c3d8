"""What of a file can be understood, whole or not, so that `rules` finds its errors in the same go.

Everything here may be None: it stands in the file (or should), is broken, and `messages` has said so. What is left out
and has a default has its default.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from pydantic import BaseModel, ValidationError

from inventory.spec.errors import Path, nearest
from inventory.spec.models import LabFile, Node, Serve, Usb4
from inventory.spec.yaml_tree import Tree


@dataclass(frozen=True)
class NodeDraft:
    """A node that stands in the file."""

    id: int | None
    address: IPv4Address | None
    kernel: str | None
    ssh_port: int | None


@dataclass(frozen=True)
class LinkDraft:
    """A link that stands in the file."""

    usb4: Mapping[str, str] | None
    number: int | None


@dataclass(frozen=True)
class ServeDraft:
    """A serve that stands in the file."""

    model: str | None
    controller: str | None
    workers: tuple[str, ...] | None
    port: int | None
    rpc_port: int | None


@dataclass(frozen=True)
class Draft:
    """A lab that stands in the file."""

    lab: str
    nodes: Mapping[str, NodeDraft] | None
    links: Sequence[LinkDraft] | None
    models: frozenset[str] | None
    serves: Mapping[str, ServeDraft]
    links_range: IPv4Network | None
    management: IPv4Network | None
    """None also when the lab is not virtual."""


_NODE = {"id": 1, "address": "192.0.2.1", "os": "debian-13"}
_LINK: dict[str, Any] = {"usb4": {}}
_SERVE = {"model": "x", "controller": "x"}
_FILE = {
    "nodes": {"x": _NODE},
    "llama_cpp": {"source": {"git": "x", "ref": "x"}},
    "models": {},
    "serves": {"x": _SERVE},
}
"""The least that is valid: it takes the place of what is broken, so that the rest can be read."""


def read(lab: str, tree: Tree) -> Draft:
    """The draft of a file that is a mapping."""
    data: dict[str, Any] = tree.data
    # Whole sections are read one by one below: a broken node leaves the other nodes as they are.
    sections = {key: data[key] for key in ("nodes", "links", "models", "serves") if key in data}
    file = _Part(LabFile, {key: value for key, value in data.items() if key not in sections} | _FILE, _FILE)
    misspelt = {nearest(key, LabFile.model_fields) for key in data if key not in LabFile.model_fields}
    nodes, models, serves = (sections.get(key) for key in ("nodes", "models", "serves"))
    links = sections.get("links", None if "links" in misspelt else [])
    ssh, virtual = file.get("ssh"), file.get("virtual")
    ssh_port = ssh.port if ssh else None
    return Draft(
        lab=lab,
        nodes={name: _node(value, ssh_port) for name, value in nodes.items()} if isinstance(nodes, dict) else None,
        links=[_link(value) for value in links] if isinstance(links, list) else None,
        models=frozenset(models) if isinstance(models, dict) else None,
        serves={name: _serve(value) for name, value in serves.items()} if isinstance(serves, dict) else {},
        links_range=file.get("links_range"),
        management=virtual.management if virtual else None,
    )


def is_cable(path: Path) -> bool:
    """Whether the path is that of a link's two ends."""
    return len(path) == 3 and path[0] == "links" and path[2] == "usb4"


def _node(value: Any, lab_ssh_port: int | None) -> NodeDraft:
    part = _Part(Node, value, _NODE)
    ssh = part.get("ssh")
    own_port = ssh is not None and "port" in ssh.model_fields_set
    ssh_port = None if "ssh" in part.broken else ssh.port if own_port else lab_ssh_port
    return NodeDraft(part.get("id"), part.get("address"), part.get("kernel"), ssh_port)


def _link(value: Any) -> LinkDraft:
    part = _Part(Usb4, value, _LINK)
    return LinkDraft(part.get("usb4"), part.get("number"))


def _serve(value: Any) -> ServeDraft:
    part = _Part(Serve, value, _SERVE)
    return ServeDraft(*(part.get(key) for key in ("model", "controller", "workers", "port", "rpc_port")))


class _Part:
    """One model's data, read as far as its fields are valid."""

    def __init__(self, kind: type[BaseModel], value: Any, sample: dict[str, Any]) -> None:
        self.broken: set[str] = set()
        self._model: BaseModel | None = None
        if not isinstance(value, dict):
            return
        try:
            self._model = _strictly(kind, value)
        except ValidationError as refused:
            errors = refused.errors(include_url=False, include_input=False, include_context=False)
            self.broken = {str(error["loc"][0]) for error in errors}
            # `prot: 8081` leaves the port unknown; it does not make it 8080.
            self.broken |= {near for key in self.broken if (near := nearest(key, kind.model_fields))}
            self._model = _strictly(kind, sample | {key: v for key, v in value.items() if key not in self.broken})

    def get(self, key: str) -> Any:
        return None if key in self.broken else getattr(self._model, key, None)


def _strictly(kind: type[BaseModel], value: dict[str, Any]) -> BaseModel:
    return kind.model_validate_json(json.dumps(value), strict=True)
