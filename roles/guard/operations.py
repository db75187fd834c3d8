"""The guard is there and runs; or is gone, where there is nothing to look after."""

from __future__ import annotations

from pyinfra.api import operation

from roles.endpoints.operations import removal
from roles.guard.plan import FOLDER, PROGRAMS, UNIT, UNIT_PATH, Guard, remains, unit
from roles.lib import paths
from roles.lib.paths import PathStates
from roles.lib.placed import placed
from roles.lib.remote import Commands, current, look
from roles.lib.units import changes as service_changes
from roles.llama_server import keys


@operation()
def guarding(guard: Guard | None) -> Commands:
    """After the servers' turn, whose keys it reads when it starts."""
    if guard is None:
        yield from _gone()
        return
    host = current()
    files, service = unit(guard, tuple(keys.chosen(each) or keys.local_digest(each) for each in guard.servers))
    states, changed = yield from placed(host, UNIT, files, (PROGRAMS,))
    commands = list(service_changes((service,), states))
    if not changed and not commands:
        host.noop(f"{UNIT} runs")
    yield from commands


def _gone() -> Commands:
    host = current()
    left = remains()
    seen = look(host, PathStates, **paths.asked((*left, paths.Absent(UNIT_PATH)), (PROGRAMS,)))
    if seen[UNIT_PATH].kind != "absent":
        yield removal(UNIT)
    found = paths.differing(host, left, {path: kind for path, kind in seen.items() if path != UNIT_PATH})
    yield from paths.changes(host, found, seen)
    if not found and seen[UNIT_PATH].kind == "absent":
        host.noop(f"nothing on this node to look after: no {UNIT}, nothing in {FOLDER}")
