"""The boards that lab.yml may name: inventory/boards.yml, which carries the source of every entry."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

DATA = Path(__file__).parents[1] / "boards.yml"
USB4_PORTS = 2
"""Of a board that is not named: the chip's two USB4 host routers, one port each."""


@dataclass(frozen=True)
class Board:
    """vendor, product: DMI's sys_vendor and product_name; None where nobody has published them."""

    name: str
    vendor: str | None
    product: str | None
    usb4_ports: int


@cache
def boards() -> dict[str, Board]:
    """By name."""
    data = yaml.safe_load(DATA.read_text())["boards"]
    return {
        name: Board(name, entry["vendor"], entry["product"], entry["usb4_ports"] or USB4_PORTS)
        for name, entry in data.items()
    }


def known() -> frozenset[str]:
    """The names that lab.yml may use."""
    return frozenset(boards())


def usb4_ports(name: str | None) -> int:
    """How many USB4 cables fit into a box. KeyError for an unknown board."""
    return boards()[name].usb4_ports if name is not None else USB4_PORTS
