"""What the guard of a node has seen and done, as findings. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from roles.guard.facts import FRESH, OTHER, Complaint, Sight, Watched
from roles.guard.plan import STATE, UNIT
from roles.guard.program.watch import KEPT
from roles.lib.finding import Finding

RECENT = 3600.0
"""Seconds during which a restart is told."""

BUSY, BREATH = ("stuck", "mute"), 10.0
"""Complaints that a long prompt and full slots raise too, for 7 s at most where it was measured
(tests/unit/guard_seen): in these first seconds they are no finding."""


def judge(node: str, units: tuple[str, ...], sight: Sight) -> Iterator[Finding]:
    """units: that it should look after; none where the node has no guard. Only of a guard whose unit runs."""
    if not units:
        return
    if not sight.fresh or sight.state is None:
        yield _stale(node, sight)
    else:
        if sight.state.trouble:
            fix = f"journalctl -u {UNIT} has more; what cannot be judged is not restarted"
            yield Finding("guard", "warn", node, sight.state.trouble, "every service judged", fix)
        for each in sight.state.units:
            yield from _now(node, each)
        for name in sorted(set(units) - {each.unit for each in sight.state.units}):
            fix = "cluster.py tells the guard what there is to look after"
            yield Finding(f"guard of {name}", "warn", node, "not looked after", "looked after", fix)
    for each in sight.state.units if sight.state else ():
        yield from _restarts(node, each, sight.now)


def _stale(node: str, sight: Sight) -> Finding:
    fix = f"journalctl -u {UNIT} says what keeps it; nobody restarts what hangs on this node meanwhile"
    if sight.age is None:
        seen = f"{STATE} {sight.why}"
        fix = fix if sight.why != OTHER else f"cluster.py brings this version's guard; {fix}"
    elif sight.age >= 0:
        seen = f"{STATE} was written {sight.age:.0f} s ago"
    else:
        seen = f"{STATE} was written {-sight.age:.0f} s from now, by the node's clock"
    return Finding("state of the guard", "warn", node, seen, f"written in the last {FRESH:.0f} s", fix)


def _now(node: str, each: Watched) -> Iterator[Finding]:
    rule = f"guard of {each.unit}"
    told = [said for said in each.complaints if not (said.kind in BUSY and said.seconds < BREATH)]
    if told:
        fix = f"the guard restarts it where this lasts; journalctl -u {UNIT} -u {each.unit}"
        yield Finding(rule, "warn", node, f"{each.state}: {'; '.join(map(_lasting, told))}", "well", fix)
    if each.note:
        fix = f"it is for a person to mend, and restarting does not; journalctl -u {each.unit}"
        yield Finding(rule, "warn", node, each.note, "nothing in its way", fix)


def _lasting(said: Complaint) -> str:
    return f"{said.seen}, for {said.seconds:.0f} s"


def _restarts(node: str, each: Watched, now: float) -> Iterator[Finding]:
    recent = [deed for deed in each.deeds if now - deed.time <= RECENT]
    if not recent:
        return
    last = max(recent, key=lambda deed: deed.time)
    many = f"{'at least ' if len(recent) >= KEPT else ''}{len(recent)}"
    at = datetime.fromtimestamp(last.time, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    seen = f"{many} by the guard in the last hour, {each.restarts} since boot; {at}: {last.seen}: {last.done}"
    fix = f"journalctl -u {each.unit} says what was wrong before, journalctl -u {UNIT} what was done about it"
    yield Finding(f"restarts of {each.unit}", "warn", node, seen, "none", fix)
