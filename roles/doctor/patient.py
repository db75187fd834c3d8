"""A box under examination, and what is expected of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from roles.doctor.boards import Board, board_of
from roles.doctor.box import Box


@dataclass(frozen=True)
class Expected:
    """What the inventory says of a box; sizes in GiB, 0 where it says nothing. kernel: the box boots one of its own.
    tuning: its power settings are to be the fast ones. rocm: the series that it will compute by, if it will."""

    os: str = ""
    board: str = ""
    installed: int = 0
    gpu: int = 0
    reserve: int = 0
    backend: str = ""
    kernel: bool = True
    tuning: bool = True
    rocm: str = ""
    rpc_ports: tuple[int, ...] = ()
    links: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Patient:
    """kernel: the box's kernel and GPU are its own, and no container's host's."""

    box: Box
    wanted: Expected
    kernel: bool

    @property
    def board(self) -> Board | None:
        return board_of(self.box)


Said = Iterator[tuple[str, dict[str, Any]]]
Check = Callable[[Patient], Said]
"""A check: yields the name of an entry in data/findings.yml and the values for its words."""
