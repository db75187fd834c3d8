"""tuned's profile made active, and given back."""

from __future__ import annotations

import base64
import shlex

from pyinfra.api import StringCommand, operation

from roles.lib.jobs import job
from roles.lib.packages import packages
from roles.lib.paths import File, write
from roles.lib.remote import Commands, current, look
from roles.lib.render import render
from roles.tuning.facts import TuningStates
from roles.tuning.plan import (
    BEFORE,
    DIRTY,
    PACKAGES,
    PARENT,
    PROFILE,
    SECTIONS,
    TUNED,
    Before,
    Seen,
    Tuning,
    Unit,
    differing,
    profile,
    record,
    rivals,
)


@operation()
def profile_active(tuning: Tuning) -> Commands:
    """The profile is written, active and proven so; where lab.yml wants none, what we did is taken back."""
    host = current()
    if not tuning.own:
        host.noop("its kernel is not its own")
        return
    seen = look(host, TuningStates)
    if not tuning.wanted:
        yield from _back(seen)
        return
    changes = differing(seen)
    if not changes:
        host.noop(f"tuned's profile {PROFILE} is active")
        return
    host.log(", ".join(changes))
    if seen.before is None:  # before the package: it brings tuned enabled, active and with a profile
        yield StringCommand("mkdir -p -m 755", BEFORE.rpartition("/")[0])
        yield write(File(BEFORE, record(seen)))
    if not seen.section:
        yield from packages._inner(PACKAGES)
    yield job("tuning", on(seen))


@operation()
def given_back(tuning: Tuning) -> Commands:
    if tuning.own:
        yield from _back(look(current(), TuningStates))
    else:
        current().noop("its kernel is not its own")


def _back(seen: Seen) -> Commands:
    if seen.before is None:
        current().noop("nothing of ours")
        return
    current().log(f"tuned's profile {PROFILE} goes; then: {seen.before.active or 'none that somebody chose'}")
    yield job("tuning", off(seen, seen.before))


def on(seen: Seen) -> str:
    """What makes the profile active: a script. Which section it needs is known once tuned is installed."""
    texts = [(section, base64.b64encode(profile(section).encode()).decode()) for section in SECTIONS]
    names = {"parent": PARENT, "profile": PROFILE, "tuned": TUNED}
    return render("tuning/on.sh.j2", **names, texts=texts, rivals=rivals(seen), values=DIRTY)


def off(seen: Seen, before: Before) -> str:
    """What gives it back."""
    tuned = before.units.get(TUNED, Unit())
    others = {name: before.units.get(name, Unit()) for name in seen.units if name != TUNED}
    return render(
        "tuning/off.sh.j2",
        profile=PROFILE,
        tuned=TUNED,
        active=shlex.quote(before.active) if before.active else "",
        mode=shlex.quote(before.mode) if before.mode else "",
        unmask=[name for name, unit in others.items() if unit.load != "masked" and seen.units[name].load == "masked"],
        start=[name for name, unit in others.items() if unit.active == "active"],
        enabled=tuned.file == "enabled",
        runs=tuned.active == "active",
        keep=BEFORE.rpartition("/")[0],
    )
