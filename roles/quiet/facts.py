"""Who else may lay hands on a node: one command."""

from __future__ import annotations

import base64
from collections import defaultdict

from pyinfra.api import FactBase, StringCommand

from roles.lib.paths import File
from roles.lib.render import render
from roles.quiet.plan import AUTOMATIC, BEFORE, FILES, FOLDERS, TARGETS, Seen, data, recorded


class QuietStates(FactBase[Seen]):
    def command(self) -> StringCommand:
        values = {"targets": TARGETS, "files": FILES, "folders": FOLDERS, "timers": data()["dnf"]["timers"]}
        return StringCommand(render("quiet/look.sh.j2", **values, automatic=AUTOMATIC, before=BEFORE))

    def process(self, output: list[str]) -> Seen:
        found: dict[str, list[str]] = defaultdict(list)
        for line in output:
            key, _, rest = line.partition(" ")
            found[key].append(rest)
        return Seen(
            tool=found["tool"][0] if found["tool"] else "",
            masked=frozenset(found["masked"]),
            own=frozenset(found["own"]),
            files={path: digest for path, _, digest in (line.partition(" ") for line in found["file"])},
            folders=frozenset(found["folder"]),
            timers=bool(found["timer"]),
            automatic=_file(found["automatic"][0]) if found["automatic"] else None,
            before=recorded(found["before"]) if found["recorded"] else None,
        )

    @staticmethod
    def default() -> Seen:
        return Seen()


def _file(line: str) -> File:
    mode, owner, group, text = line.split(" ")
    return File(AUTOMATIC, base64.b64decode(text).decode(errors="surrogateescape"), mode, owner, group)
