"""What asks the same at many places does so at some of them in every run, at all in `make test-slow`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TypeVar

Place = TypeVar("Place")

THOROUGH = os.environ.get("HALOFLEET_SLOW") == "true"


def some(places: Sequence[Place], first: int = 0, every: int = 2) -> Sequence[Place]:
    """Every second (third, ...) of them from number `first` on, or all."""
    return places if THOROUGH else places[first::every]
