"""Signs of life between one look and the next. Pure.

Two kinds. Work is done: bytes went over an RPC connection, a slot got on, a completion of our own came back. Or the
process does something, nobody knows what: it used the processor or a disk. A batch of a prompt (2048 tokens) moves
no counter of llama-server until it is done; measured on llama.cpp 0c1e57098, its RPC connections move with every 512 of
them, and at a frozen worker they stop within a second while /health, /slots and /metrics answer as ever.
"""

from __future__ import annotations

from dataclasses import dataclass

from .seen import Canary, Sight, Slot

BUSY = 0.03
"""Of one core: less is what answering our own questions costs."""

SMALL = 16
"""Tokens in a slot's cache that are a canary's, or so few that losing them costs nobody anything."""

NEVER = float("-inf")


@dataclass(frozen=True)
class Life:
    """Of one process (invocation). ready: it has served. worked, moved: when work was last done, when anything was.
    users: when somebody else than we last had work for it."""

    invocation: str = ""
    at: float = NEVER
    ready: bool = False
    work: tuple[object, ...] = ()
    cpu: float = 0
    disk: int = 0
    theirs: tuple[object, ...] = ()
    worked: float = NEVER
    moved: float = NEVER
    users: float = NEVER


def live(life: Life, now: float, sight: Sight) -> Life:
    """What is known of the process after this look."""
    process = sight.process
    work = (
        tuple((socket.local, socket.peer, socket.taken, socket.given) for socket in sight.owned("ESTAB")),
        sight.api.slots,
        sight.canary.answered,
    )
    cpu, disk = (process.cpu, process.disk) if process else (0.0, 0)
    theirs = _theirs(sight.api.slots, sight.canary)
    if life.invocation != sight.unit.invocation:
        life = Life(sight.unit.invocation, now, work=work, cpu=cpu, disk=disk, moved=now)
    worked = now if work != life.work else life.worked
    busy = cpu - life.cpu > BUSY * (now - life.at) or disk != life.disk
    return Life(
        life.invocation,
        now,
        life.ready or sight.api.state in ("ready", "closed"),
        work,
        cpu,
        disk,
        theirs if sight.api.state == "ready" else life.theirs,
        worked,
        now if busy or worked == now else life.moved,
        now if sight.api.state == "ready" and theirs != life.theirs else life.users,
    )


def _theirs(slots: tuple[Slot, ...], canary: Canary) -> tuple[object, ...]:
    """What others do with the slots, and have left there."""
    used = (slot for slot in slots if slot.busy or slot.tokens > SMALL)
    return tuple(slot for slot in used if slot.number != canary.slot or slot.tokens > SMALL)
