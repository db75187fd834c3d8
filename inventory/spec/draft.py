"""What of a file can be understood, whole or not, so that `rules` finds its errors in the same go.

Everything here may be None: it stands in the file (or should), is broken, and `messages` has said so. What is left out
and has a default has its default.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

from inventory.spec.errors import Path as YamlPath
from inventory.spec.errors import nearest
from inventory.spec.language.file import LabFile
from inventory.spec.language.links import End, Ethernet, Usb4
from inventory.spec.language.nodes import Group, Node, Ssh, Traits
from inventory.spec.language.serves import Serve
from inventory.spec.language.sources import LlamaCpp
from inventory.spec.parts import SAMPLES, UNKNOWN, Part, Said
from inventory.spec.yaml_tree import Tree


@dataclass(frozen=True)
class NodeDraft:
    """A node that stands in the file. os, board: empty where nobody says one. gpu, reserve: both 0 where nobody says
    either."""

    id: int | None
    address: IPv4Address | None
    group: str | None
    os: str | None
    board: str | None
    kernel: str | None
    ssh_port: int | None
    ssh_user: str | None
    ssh_key: Path | None
    installed: int | None
    gpu: int | None
    reserve: int | None


@dataclass(frozen=True)
class LinkDraft:
    """A link that stands in the file. kind: `usb4`, `ethernet`, or None where that cannot be told."""

    kind: str | None
    ends: Mapping[str, End] | None
    number: int | None
    mtu: int | None
    subnet: IPv4Network | None
    name: str | None


@dataclass(frozen=True)
class ServeDraft:
    """A serve that stands in the file. bind, slots, cache: None also where nothing is said."""

    model: str | None
    controller: str | None
    workers: tuple[str, ...] | None
    port: int | None
    bind: IPv4Address | None
    rpc_port: int | None
    context: int | None
    slots: int | None
    cache: int | None


@dataclass(frozen=True)
class Draft:
    """A lab that stands in the file."""

    lab: str
    virtual: bool
    ubuntu_mirror: bool
    """`virtual:` says where Ubuntu's own packages are."""
    management: IPv4Network | None
    links_range: IPv4Network | None
    default_range: bool
    groups: frozenset[str] | None
    nodes: Mapping[str, NodeDraft] | None
    links: Sequence[LinkDraft] | None
    llama_cpp: LlamaCpp | None
    models: frozenset[str] | None
    serves: Mapping[str, ServeDraft]


_SECTIONS = ("defaults", "groups", "nodes", "links", "models", "serves")
"""Read one by one: a broken node leaves the other nodes as they are."""


def read(lab: str, tree: Tree) -> Draft:
    """The draft of a file that is a mapping."""
    data: dict[str, Any] = tree.data
    misspelt = {nearest(key, LabFile.model_fields) for key in data if key not in LabFile.model_fields}
    file = Part(LabFile, {key: value for key, value in data.items() if key not in _SECTIONS} | _FILLER)
    sections = {key: data.get(key, None if key in misspelt else empty) for key, empty in _EMPTY.items()}
    defaults = Part(Traits, sections["defaults"])
    groups = {name: Part(Group, value) for name, value in _mapping(sections["groups"]).items()}
    nodes, links, models = (sections[key] for key in ("nodes", "links", "models"))
    return Draft(
        lab=lab,
        virtual="virtual" in data or "virtual" in misspelt,
        ubuntu_mirror="ubuntu" in _mapping(data.get("virtual")),
        management=file.get("management"),
        links_range=file.get("links_range"),
        default_range="links_range" not in data,
        groups=frozenset(groups) if isinstance(sections["groups"], dict) else None,
        nodes=_nodes(nodes, groups, defaults) if isinstance(nodes, dict) else None,
        links=[_link(value) for value in links] if isinstance(links, list) else None,
        llama_cpp=file.get("llama_cpp"),
        models=frozenset(models) if isinstance(models, dict) else None,
        serves={name: _serve(value) for name, value in _mapping(sections["serves"]).items()},
    )


def is_cable(path: YamlPath) -> bool:
    """Whether the path is that of a link's two ends."""
    return len(path) == 3 and path[0] == "links" and path[2] == "usb4"


_FILLER = {key: SAMPLES[LabFile][key] for key in ("nodes", "models", "serves")}
_EMPTY: dict[str, Any] = {"defaults": {}, "groups": {}, "nodes": None, "links": [], "models": None, "serves": None}


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _nodes(values: dict[str, Any], groups: dict[str, Part], defaults: Part) -> dict[str, NodeDraft]:
    found = {}
    for name, value in values.items():
        own = Part(Node, value)
        group = own.get("group")
        between = [groups.get(group, UNKNOWN)] if group is not None or "group" in own.broken else []
        found[name] = _node(own, Said((own, *between, defaults)))
    return found


def _node(own: Part, said: Said) -> NodeDraft:
    gpu, reserve = said.either("memory", "gpu", "reserve", 0)
    return NodeDraft(
        id=own.get("id"),
        address=own.get("address"),
        group=own.get("group"),
        os=said.get("os", ""),
        board=said.get("board", ""),
        kernel=said.get("kernel", "own"),
        ssh_port=said.inner("ssh", "port", Ssh().port),
        ssh_user=said.inner("ssh", "user", Ssh().user),
        ssh_key=said.inner("ssh", "key", None),
        installed=said.inner("memory", "installed", None),
        gpu=gpu,
        reserve=reserve,
    )


def _link(value: Any) -> LinkDraft:
    kinds = [key for key in ("usb4", "ethernet") if isinstance(value, dict) and key in value]
    if len(kinds) != 1:
        return LinkDraft(None, None, None, None, None, None)
    (kind,) = kinds
    part = Part(Usb4 if kind == "usb4" else Ethernet, value)
    return LinkDraft(kind, part.get(kind), *(part.get(key) for key in ("number", "mtu", "subnet", "name")))


def _serve(value: Any) -> ServeDraft:
    part = Part(Serve, value)
    keys = ("model", "controller", "workers", "port", "bind", "rpc_port", "context", "slots", "cache")
    return ServeDraft(*(part.get(key) for key in keys))
