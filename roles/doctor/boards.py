"""Which product a box is, and what is known of it (inventory/boards.yml). Pure."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import yaml

from inventory.spec.boards import DATA
from roles.doctor import versions
from roles.doctor.box import Box

SMALLEST_MIB = 512
"""Of a board of which nobody has said it: AMD's advice (ROCm/rocm-docs, rdna3-5.rst)."""


@dataclass(frozen=True)
class Quirk:
    """A part of the board that misbehaves. kernel: with which kernels (a range); empty for all of them."""

    effect: str
    fix: str
    source: str
    kernel: str = ""


@dataclass(frozen=True)
class Board:
    """smallest: MiB, the least carve-out that its BIOS offers. menu: where; empty where nobody has said."""

    name: str
    smallest: int = SMALLEST_MIB
    menu: str = ""
    source: str = "no source for this board"
    quirks: tuple[Quirk, ...] = ()


@cache
def _data() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(DATA.read_text())["boards"]
    return found


def board_of(box: Box) -> Board | None:
    """By DMI's product name; None for a box that nobody has listed."""
    product = " ".join(box.dmi.get("product_name", "").split())
    for name, entry in _data().items():
        if product and entry["product"] == product:
            return board(name, box.dmi.get("bios_version", ""))
    return None


def board(name: str, bios: str = "") -> Board:
    """KeyError for an unknown one. bios: the version as DMI says it (`EVO-X2 1.12`)."""
    entry = _data()[name]
    carveout = entry.get("carveout") or {}
    fitting = [
        option["mib"]
        for option in carveout.get("smallest") or ()
        if "bios" not in option or versions.within(bios.split(" ")[-1], option["bios"], "upstream")
    ]
    return Board(
        name,
        fitting[0] if fitting else SMALLEST_MIB,
        carveout.get("menu", ""),
        "; ".join(carveout.get("sources", ())) or Board.source,
        tuple(Quirk(**quirk) for quirk in entry.get("quirks", ())),
    )
