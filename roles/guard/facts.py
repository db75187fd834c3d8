"""What the guard of a node says of its services: the state that its program writes, and the node's clock."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from pyinfra.api import FactBase, StringCommand

from roles.guard.plan import STATE

FRESH = 30.0
"""Seconds. It writes every 2 s, and a look takes longer where systemctl or an API does not answer; a guard whose look
takes longer than this is ended by systemd (WatchdogSec in guard.service.j2)."""

OTHER = "is not as this version's guard writes it"

LATEST = 1e11
"""No time, no count and no length of time is more; as a time it is the year 5138."""


@dataclass(frozen=True)
class Complaint:
    """seen: what is wrong; seconds: for how long."""

    kind: str
    seen: str
    seconds: float


@dataclass(frozen=True)
class Deed:
    """time: of the node's clock. seen: what was wrong; done: what was done about it."""

    time: float
    seen: str
    done: str


@dataclass(frozen=True)
class Watched:
    """A unit under the guard's eyes. state: `well`, `suspect`, `starting` or `down`. note: what restarting does not
    mend. deeds: the latest; restarts: how many there were since the node was booted."""

    unit: str
    state: str
    complaints: tuple[Complaint, ...] = ()
    note: str = ""
    deeds: tuple[Deed, ...] = ()
    restarts: int = 0


@dataclass(frozen=True)
class State:
    """time: when it was written, by the node's clock. trouble: what kept the guard from judging."""

    time: float
    trouble: str
    units: tuple[Watched, ...]


@dataclass(frozen=True)
class Sight:
    """now: the node's clock. why: what is the matter with the file, where there is no state to be had from it."""

    now: float = 0
    state: State | None = None
    why: str = "was not asked for"

    @property
    def age(self) -> float | None:
        """Seconds since the state was written; below zero where the clock went back since."""
        return self.now - self.state.time if self.state else None

    @property
    def fresh(self) -> bool:
        return self.age is not None and abs(self.age) <= FRESH


class GuardStates(FactBase[Sight]):
    def command(self) -> StringCommand:
        # The file before the clock, so that what was just written is not of the future.
        return StringCommand(f"cat {STATE} 2>/dev/null || [ -e {STATE} ] || echo missing; echo; date +%s")

    def process(self, output: list[str]) -> Sight:
        *lines, now = output
        text = "\n".join(lines).strip()
        if text in ("", "missing"):
            return Sight(float(now), None, "is not there" if text else "is empty, or cannot be read")
        try:
            return Sight(float(now), parse(text), "")
        except (ValueError, KeyError, TypeError, RecursionError):
            return Sight(float(now), None, OTHER)

    @staticmethod
    def default() -> Sight:
        return Sight()


def parse(text: str) -> State:
    """Raises ValueError, KeyError, TypeError or RecursionError where it is of another shape."""
    document = json.loads(text)
    units = tuple(map(_watched, document["units"]))
    return State(_number(document["time"]), _text(document["trouble"]), units)


def _watched(each: dict[str, Any]) -> Watched:
    return Watched(
        unit=_text(each["unit"]),
        state=_text(each["state"]),
        complaints=tuple(
            Complaint(_text(said["kind"]), _text(said["seen"]), _number(said["seconds"])) for said in each["complaints"]
        ),
        note=_text(each["note"]),
        deeds=tuple(Deed(_number(deed["time"]), _text(deed["seen"]), _text(deed["done"])) for deed in each["deeds"]),
        restarts=int(_number(each["restarts"])),
    )


def _text(value: object) -> str:
    """For a terminal: a line of a journal and the name of a process may have anything in them."""
    if not isinstance(value, str):
        raise TypeError(value)
    return "".join(filter(str.isprintable, value))


def _number(value: object) -> float:
    if not isinstance(value, int | float):
        raise TypeError(value)
    if not 0 <= value < LATEST:
        raise ValueError(value)
    return float(value)
