"""What of a file can be understood, whole or not, so that `rules` finds its errors in the same go."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from inventory.spec.errors import Path
from inventory.spec.fields import Network
from inventory.spec.models import LabFile, Node, Serve, Ssh, Usb4, Virtual
from inventory.spec.yaml_tree import Tree

T = TypeVar("T")

_NODE, _LINK, _SERVE = TypeAdapter(Node), TypeAdapter(Usb4), TypeAdapter(Serve)
_VIRTUAL, _SSH = TypeAdapter(Virtual), TypeAdapter(Ssh)
_NETWORK: TypeAdapter[IPv4Network] = TypeAdapter(Network)


@dataclass(frozen=True)
class Draft:
    """None is a part that stands in the file and is broken. What names it is right; what it says is not known."""

    lab: str
    nodes: Mapping[str, Node | None] | None
    links: Sequence[Usb4 | None] | None
    models: frozenset[str] | None
    serves: Mapping[str, Serve | None] = field(default_factory=dict)
    links_range: IPv4Network | None = None
    virtual: Virtual | None = None
    ssh: Ssh | None = None

    @property
    def whole_nodes(self) -> dict[str, Node]:
        """The nodes that are understood."""
        return {name: node for name, node in (self.nodes or {}).items() if node is not None}

    @property
    def whole_links(self) -> list[tuple[int, Usb4]]:
        """The links that are understood, with their place in the list."""
        return [(index, link) for index, link in enumerate(self.links or ()) if link is not None]

    @property
    def whole_serves(self) -> dict[str, Serve]:
        """The serves that are understood."""
        return {name: serve for name, serve in self.serves.items() if serve is not None}


def of(lab: str, spec: LabFile) -> Draft:
    """The draft of a file without schema errors."""
    return Draft(
        lab=lab,
        nodes=spec.nodes,
        links=spec.links,
        models=frozenset(spec.models),
        serves=spec.serves,
        links_range=spec.links_range,
        virtual=spec.virtual,
        ssh=spec.ssh,
    )


def salvage(lab: str, tree: Tree) -> Draft:
    """Every part that is valid on its own. A list or mapping that is none is None as a whole."""
    file: dict[str, Any] = tree.data
    nodes, links, models, serves = (file.get(key) for key in ("nodes", "links", "models", "serves"))
    if "links" not in file:
        links = []
    return Draft(
        lab=lab,
        nodes={name: _read(_NODE, value) for name, value in nodes.items()} if isinstance(nodes, dict) else None,
        links=[_read(_LINK, link) for link in links] if isinstance(links, list) else None,
        models=frozenset(models) if isinstance(models, dict) else None,
        serves={name: _read(_SERVE, value) for name, value in serves.items()} if isinstance(serves, dict) else {},
        links_range=_read(_NETWORK, file.get("links_range", str(LabFile.model_fields["links_range"].default))),
        virtual=_read(_VIRTUAL, file.get("virtual")),
        ssh=_read(_SSH, file.get("ssh", {})),
    )


def is_cable(path: Path) -> bool:
    """Whether the path is that of a link's two ends."""
    return len(path) == 3 and path[0] == "links" and path[2] == "usb4"


def _read(kind: TypeAdapter[T], value: Any) -> T | None:
    try:
        return kind.validate_json(json.dumps(value), strict=True)
    except ValidationError:
        return None
