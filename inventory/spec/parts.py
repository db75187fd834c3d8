"""Parts of a file that may be broken, read as far as they are valid."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from inventory.spec.errors import nearest
from inventory.spec.language.file import LabFile
from inventory.spec.language.links import Ethernet, Usb4
from inventory.spec.language.nodes import Group, Node, Traits
from inventory.spec.language.serves import Serve

SAMPLES: dict[type[BaseModel], dict[str, Any]] = {
    Traits: {},
    Group: {},
    Node: {"id": 1, "address": "192.0.2.1"},
    Usb4: {"usb4": {}},
    Ethernet: {"ethernet": {}, "subnet": "192.0.2.0/24"},
    Serve: {"model": "x", "controller": "x"},
    LabFile: {"management": "192.0.2.0/24", "nodes": {"x": {"id": 1, "address": "192.0.2.1"}}, "models": {}}
    | {"serves": {"x": {"model": "x", "controller": "x"}}},
}
"""The least that is valid: it takes the place of what is broken, so that the rest can be read."""


class Part:
    """One model's data, read as far as its fields are valid."""

    def __init__(self, kind: type[BaseModel], value: Any) -> None:
        self.broken: set[str] = set()
        self._model: BaseModel | None = None
        if not isinstance(value, dict):
            self.broken = set(kind.model_fields)
            return
        try:
            self._model = _strictly(kind, value)
        except ValidationError as refused:
            errors = refused.errors(include_url=False, include_input=False, include_context=False)
            self.broken = {str(error["loc"][0]) for error in errors if error["loc"]}
            # `prot: 8081` leaves the port unknown; it does not make it 8080.
            self.broken |= {near for key in self.broken if (near := nearest(key, kind.model_fields))}
            rest = {key: part for key, part in value.items() if key not in self.broken}
            self._model = _strictly(kind, SAMPLES[kind] | rest)

    def get(self, key: str) -> Any:
        return None if key in self.broken else getattr(self._model, key, None)

    def says(self, key: str) -> bool:
        return self._model is not None and key in self._model.model_fields_set


UNKNOWN = Part(Group, None)
"""A group that is not there: whatever it may have said."""


class Said:
    """What is said of one node by itself, its group and the lab: the nearest first."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self._parts = parts

    def get(self, key: str, default: Any) -> Any:
        """None where the nearest word is broken."""
        for part in self._parts:
            if key in part.broken:
                return None
            if part.says(key):
                return part.get(key)
        return default

    def inner(self, key: str, inner: str, default: Any) -> Any:
        """As `get`, for a key of a part that is joined key by key."""
        return self.either(key, inner, inner, default)[0]

    def either(self, key: str, one: str, other: str, default: Any = None) -> tuple[Any, Any]:
        """As `inner`, for two keys of which the nearer one counts."""
        for part in self._parts:
            if key in part.broken:
                return None, None
            value = part.get(key) if part.says(key) else None
            if value is not None and value.model_fields_set & {one, other}:
                return getattr(value, one), getattr(value, other)
        return default, default


def _strictly(kind: type[BaseModel], value: dict[str, Any]) -> BaseModel:
    return kind.model_validate_json(json.dumps(value), strict=True)
