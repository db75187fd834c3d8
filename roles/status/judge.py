"""Whether a node runs what the inventory says. Pure; the links are judged by roles/link_proof, and what its guard says
by roles/guard."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath

from roles.doctor.box import Box
from roles.doctor.checks import upgraded
from roles.doctor.judge import say
from roles.doctor.patient import Patient
from roles.guard.facts import Sight as Guarded
from roles.guard.judge import judge as judge_guard
from roles.guard.plan import UNIT as GUARD
from roles.lib.finding import WORST_FIRST, Finding, Severity
from roles.lib.units import UnitState
from roles.status.plan import Wanted, comparable
from roles.verify.facts import Sight
from roles.verify.operations import judge as verify

NAMED = 3
"""How many of several libraries a message names."""


def judge(
    wanted: Wanted,
    units: Mapping[str, UnitState],
    programs: Sight,
    health: Mapping[str, int | None],
    box: Box,
    guard: Guarded,
) -> list[Finding]:
    """health: by serve, the status of its API's /health; None where nobody answers."""
    patient = Patient(box, wanted.box, wanted.box.kernel and not box.container)
    found = [say(rule, wanted.node, values) for rule, values in upgraded(patient)]
    for name in wanted.units:
        unit = units.get(name, UnitState())
        if unit.active != "active":
            seen = "not there" if unit.load == "not-found" else f"{unit.active} ({unit.sub})"
            fix = f"cluster.py starts it; journalctl -u {name} says why it ended"
            found.append(Finding(name, "stop", wanted.node, seen, "active", fix))
        elif unit.file != "enabled":
            found.append(Finding(name, "warn", wanted.node, unit.file, "enabled", "cluster.py enables it"))
        if unit.outdated:
            fix = "cluster.py --data renew=yes restarts what needs it, workers first"
            found.append(Finding(f"libraries of {name}", "warn", wanted.node, _upgraded(unit.outdated), "none", fix))
    found += verify(comparable(wanted.check), programs)
    for server in wanted.check.servers:
        status = health.get(server.serve)
        if status != 200:
            seen = {None: "nobody answers", 503: "loads its model"}.get(status, f"/health says {status}")
            fix = f"wait where it loads; else journalctl -u {server.unit}"
            severity: Severity = "warn" if status == 503 else "stop"
            found.append(Finding(f"API of {server.serve}", severity, wanted.node, seen, "ready", fix))
    # One that does not run has been named above, and what it said before is not so any more.
    if units.get(GUARD, UnitState()).active == "active":
        found += judge_guard(wanted.node, wanted.guarded, guard)
    return found


def _upgraded(files: tuple[str, ...]) -> str:
    names = [PurePosixPath(file).name for file in files]
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"upgraded since it started: {', '.join(names[:NAMED])}{more}"


def unreachable(node: str) -> Finding:
    fix = "is it up? ssh says why not; --exclude leaves it out"
    return Finding("unreachable", "stop", node, "no answer to what it was asked", "an answer", fix)


def worst_first(findings: Iterable[Finding]) -> list[Finding]:
    return sorted(findings, key=lambda each: (WORST_FIRST.index(each.severity), each.node, each.rule))
