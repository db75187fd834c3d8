"""AMD's ROCm as lab.yml may name it: inventory/rocm.yml, which carries the source of every entry."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import yaml

DATA = Path(__file__).parents[1] / "rocm.yml"


@cache
def data() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(DATA.read_text())
    return found


def known() -> tuple[str, ...]:
    """The series that lab.yml may name."""
    return tuple(data()["versions"])
