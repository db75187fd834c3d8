"""Services of ours that a node no longer has: a serve that was renamed or moved must not go on answering."""

from __future__ import annotations

import shlex

from pyinfra.api import FactBase, StringCommand, operation

from roles.lib.remote import Commands, current, look

FOLDER = "/etc/systemd/system"


class OurUnits(FactBase[tuple[str, ...]]):
    """Names of the unit files that match a pattern (`halofleet-server-*.service`)."""

    def command(self, pattern: str) -> StringCommand:
        return StringCommand(f'for p in {FOLDER}/{pattern}; do [ ! -e "$p" ] || basename "$p"; done')

    def process(self, output: list[str]) -> tuple[str, ...]:
        return tuple(output)

    @staticmethod
    def default() -> tuple[str, ...]:
        return ()


@operation()
def retired(pattern: str, keep: tuple[str, ...]) -> Commands:
    """Stops, disables and removes every unit that matches the pattern and is not to be kept."""
    host = current()
    stray = [name for name in look(host, OurUnits, pattern=pattern) if name not in keep]
    if not stray:
        host.noop(f"no {pattern} but those of the inventory")
    for name in stray:
        yield removal(name)


def removal(name: str) -> StringCommand:
    """Stops, disables and removes the unit. One that does not stop keeps its file, so that the next run finds it."""
    unit = shlex.quote(name)
    return StringCommand(
        f"systemctl disable --now --quiet {unit} && rm -f {FOLDER}/{unit} && systemctl daemon-reload && "
        f"{{ systemctl reset-failed {unit} 2>/dev/null || true; }}"
    )
