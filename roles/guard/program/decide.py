"""When to act. Pure: what is wrong goes in with the time, and out comes what to do now, if anything.

A complaint must last as long as its patience before anything is done: one look proves nothing. What does not help is
done again later and later, and a service that was well for a while starts with a clean slate. While it waits for its
workers or loads its model it is not well yet, however long that takes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

FIRST_WAIT, LONGEST_WAIT = 5.0, 300.0
"""Seconds between one deed and the next: doubled with each, up to the longest."""

CALM = 60.0
"""Seconds of being well after which a service has a clean slate."""

GAP = 15.0
"""Seconds without a look (the guard or the machine stood still) after which nothing that was seen before counts."""


@dataclass(frozen=True)
class Complaint:
    """kind: one word, what it is remembered by. text: what is seen. patience: seconds that it must last."""

    kind: str
    text: str
    patience: float


@dataclass(frozen=True)
class Memory:
    """Of one service. since: when each complaint began. looked: the last look. calm: since when it is well.
    deeds: how many since the slate was clean; acted: the last."""

    invocation: str = ""
    since: Mapping[str, float] = field(default_factory=dict)
    looked: float = float("-inf")
    calm: float | None = None
    deeds: int = 0
    acted: float = float("-inf")


def wait(deeds: int) -> float:
    """Seconds after the last deed during which there is no other."""
    return min(FIRST_WAIT * 2.0 ** min(deeds - 1, 30), LONGEST_WAIT) if deeds else 0.0


def step(
    memory: Memory, now: float, invocation: str, complaints: tuple[Complaint, ...], *, serves: bool = True
) -> tuple[Memory, Complaint | None]:
    """One look: the new memory, and the complaint that asks for a deed now. serves: it has come as far as that."""
    again = now - memory.looked <= GAP and invocation == memory.invocation
    since = {each.kind: memory.since.get(each.kind, now) if again else now for each in complaints}
    due = [each for each in complaints if now - since[each.kind] >= each.patience]
    calm = None if complaints or not serves else memory.calm if memory.calm is not None and again else now
    deeds = 0 if calm is not None and now - calm >= CALM else memory.deeds
    acted = memory.acted
    act = due[0] if due and now >= acted + wait(deeds) else None
    if act:
        since, deeds, acted = {}, deeds + 1, now
    return Memory(invocation, since, now, calm, deeds, acted), act
