"""What tuned does on a box, and who competes with it: one command."""

from __future__ import annotations

from collections import defaultdict

from pyinfra.api import FactBase, StringCommand

from roles.lib.render import render
from roles.tuning.plan import BEFORE, DIRTY, PARENT, PROFILE, RIVALS, TUNED, Seen, Unit, recorded


class TuningStates(FactBase[Seen]):
    def command(self) -> StringCommand:
        values = {"parent": PARENT, "profile": PROFILE, "before": BEFORE}
        return StringCommand(render("tuning/look.sh.j2", **values, names=tuple(DIRTY), units=(TUNED, *RIVALS)))

    def process(self, output: list[str]) -> Seen:
        found: dict[str, list[str]] = defaultdict(list)
        for line in output:
            key, _, rest = line.partition(" ")
            found[key].append(rest.strip())

        def one(key: str) -> str:
            return found[key][0] if found[key] else ""

        return Seen(
            section=one("section"),
            profile=one("profile"),
            active=one("active"),
            mode=one("mode"),
            dirty={name: int(value) for name, value in (text.split() for text in found["dirty"])},
            units=_units(found["unit"]),
            before=recorded(found["before"]) if found["before"] else None,
        )

    @staticmethod
    def default() -> Seen:
        return Seen()


def _units(lines: list[str]) -> dict[str, Unit]:
    """`tuned.service ActiveState=active`, a line for each property."""
    values: dict[str, dict[str, str]] = {}
    for line in lines:
        name, _, pair = line.partition(" ")
        key, _, value = pair.partition("=")
        values.setdefault(name, {})[key] = value
    return {
        name: Unit(each.get("LoadState", "not-found"), each.get("UnitFileState", ""), each.get("ActiveState", ""))
        for name, each in values.items()
    }
