"""What is wrong with a llama-server, and when to ask it for a completion of our own. Pure.

A long prompt and full slots are not death: it counts only that there is something to do and that nothing gets done, on
no slot and no connection. A worker that died or froze is its own node's matter; this server's is that it has lost it.
"""

from __future__ import annotations

from collections.abc import Iterator

from .decide import Complaint
from .life import SMALL, Life
from .seen import Server, Sight, Slot
from .service import DEAF, MUTE, STRANGE, judged, strange, unwell

LOST, DEVICE = 3.0, 3.0
"""Patience in seconds: a llama-server that aborts over it, as most do, is quicker."""

SICK = 3
"""Canaries in a row that came back as the server's own error, where others were answered before."""

IDLE, AGAIN = 30.0, 5.0
"""Seconds without a sign of work after which the server is asked for a completion of one token; after a sick one."""

FORGOTTEN = 900.0
"""Seconds after which a user's cached prompt may be lost to a canary, where no other slot is free for one."""


def complaints(server: Server, sight: Sight, life: Life, now: float) -> Iterator[Complaint]:
    yield from unwell(sight)
    if not judged(server, sight):
        return
    if sight.device_lost and sight.canary.sick:
        yield Complaint("device", f"it has lost its device: {sight.device_lost}", DEVICE)
    if sight.canary.sick >= SICK and sight.canary.answered:
        yield Complaint("sick", f"{sight.canary.sick} completions in a row came back as its own error", 0)
    if life.ready and (lost := unattached(server, sight)):
        yield Complaint("lost", f"alive, but not connected to {', '.join(lost)} any more", LOST)
    if sight.api.state == "refused":
        yield Complaint("deaf", f"it runs, but does not listen at {server.host}:{server.port}", DEAF)
    yield from _idle_hands(server, sight, life, now)


def _idle_hands(server: Server, sight: Sight, life: Life, now: float) -> Iterator[Complaint]:
    """There is something to do, and nothing is done."""
    if (todo := task(sight)) and life.worked < now:
        if life.moved < now:
            quiet = MUTE if sight.api.state == "loading" else server.quiet
            yield Complaint("stuck", f"alive, but nothing moves: {todo}", quiet)
        if sight.api.state != "loading":
            mute = MUTE if _ours_alone(sight) else server.mute
            yield Complaint("mute", f"busy, but nothing comes of it: {todo}", mute)


def task(sight: Sight) -> str:
    """What it should be at; empty where it may rest."""
    if sight.api.state == "loading":
        return "it loads its model"
    if sight.api.state == "silent":
        return "its API accepts connections and answers nothing"
    if busy := [slot for slot in sight.api.slots if slot.busy]:
        return f"{len(busy)} of {len(sight.api.slots)} slots are at work"
    return "a completion of one token is not answered" if sight.canary.running else ""


def _ours_alone(sight: Sight) -> bool:
    """It has nothing to do but our completion of one token."""
    return sight.canary.running and {slot.number for slot in sight.api.slots if slot.busy} <= {sight.canary.slot}


def unattached(server: Server, sight: Sight) -> list[str]:
    """The workers that it has no connection to."""
    there = {socket.peer for socket in sight.owned("ESTAB")}
    return [worker for worker in server.workers if worker not in there]


def canary(server: Server, sight: Sight, life: Life, now: float) -> int | None:
    """The slot to send a completion of one token to, now; None for not now.

    It loses what the slot has cached, so it goes to one with nothing of a user's, and leaves them another such. Where
    the cache of all is full, llama-server would make room by emptying one of theirs. A line of the journal that says
    that the device is lost is looked into at once, whoever asks for what meanwhile: a user can have such a line written
    (a grammar that cannot be parsed is logged as it is), and where it is true their requests fail one after another.
    """
    since, pause = max(life.worked, sight.canary.asked), AGAIN if sight.canary.sick else IDLE
    if sight.device_lost:
        since, pause = sight.canary.asked, AGAIN
    if not sight.api.slots or task(sight) or unattached(server, sight) or now - since < pause:
        return None
    spare = [slot for slot in sight.api.slots if slot.tokens <= SMALL]
    full = sum(slot.tokens + SMALL for slot in sight.api.slots) > max(slot.context for slot in sight.api.slots)
    if (len(spare) < 2 or full) and not sight.device_lost and now - life.users < FORGOTTEN:
        return None
    return min(spare or sight.api.slots, key=_used_before).number


def _used_before(slot: Slot) -> tuple[bool, int]:
    return slot.task is None, slot.number


def note(server: Server, sight: Sight) -> str:
    """What keeps the guard from seeing; empty where nothing does."""
    if sight.unit.active != "active":
        return ""
    if strange(server, sight):
        return STRANGE
    if sight.api.state == "closed":
        return "its API does not show its slots (another key, or --no-slots): a server that hangs is not noticed"
    if sight.api.state == "cut":
        return "its API takes a connection and gives no answer (TLS?): a server that hangs is not noticed"
    return ""
