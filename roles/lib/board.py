"""What the hosts of one run tell each other: an operation collects on every host, a later one decides on all."""

from __future__ import annotations

from collections import defaultdict
from typing import Any
from weakref import WeakKeyDictionary

from pyinfra.api import State

MODELS = "models"
"""The board's topic: `NODE PATH` -> what the node holds of the model (roles/models/held.py)."""

GPU_REMAINS = "gpu remains"
"""The board's topic: node -> whether preflight saw anything that halofleet has put there for a GPU (roles/gpu)."""

LINKS_PROVEN = "links proven"
"""The board's topic: node -> the lines of its record of proven links, as preflight saw them (roles/link_proof)."""

QUIET = "quiet"
"""The board's topic: node -> who else may lay hands on it, as preflight saw it (roles/quiet)."""

ROOMS = "rooms"
"""The board's topic: node -> how much memory it has for models (roles/models/fit.py)."""

HEADS = "heads"
"""The board's topic: `NODE PATH` -> what a model's file says of it, where preflight could read it."""

LINKS_NARROWED = "links narrowed"
"""The board's topic: node -> interface -> the MTU (bytes) that gets through, where that is less than planned."""

_boards: WeakKeyDictionary[State, dict[str, dict[str, Any]]] = WeakKeyDictionary()


def board(state: State, topic: str) -> dict[str, Any]:
    """A dictionary per run and topic, by the host's name."""
    return _boards.setdefault(state, defaultdict(dict))[topic]
