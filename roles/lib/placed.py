"""The files of a unit, and what the unit is once they are there."""

from __future__ import annotations

from collections.abc import Generator

from pyinfra.api import Host
from pyinfra.api.command import PyinfraCommand

from roles.lib import paths
from roles.lib.paths import PathStates, Wanted
from roles.lib.remote import Question, look, look_both
from roles.lib.units import UnitState, UnitStates


def placed(
    host: Host, unit: str, files: tuple[Wanted, ...], folders: tuple[str, ...] = ()
) -> Generator[PyinfraCommand, None, tuple[dict[str, UnitState], bool]]:
    """Puts them there: the unit's state by its name, and whether anything was changed. One remote command where
    nothing is. folders: patterns; what else matches is removed."""
    question = Question(PathStates, paths.asked(files, folders))
    seen, states = look_both(host, question, Question(UnitStates, {"units": (unit,)}))
    items = paths.differing(host, files, seen)
    yield from paths.changes(host, items, seen)
    # systemd says that a unit's file has changed when it is asked: after the change.
    if any(item.path.endswith(f"/{unit}") for item in items):
        states = look(host, UnitStates, units=(unit,))
    return states, bool(items)
