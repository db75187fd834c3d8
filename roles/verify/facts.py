"""What the node is doing, in one command."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field

from pyinfra.api import FactBase, StringCommand

KEPT = "/run/halofleet-buffers"


@dataclass(frozen=True)
class Sight:
    exes: dict[str, str] = field(default_factory=dict)
    """Unit -> the real path of its main process's program; empty where it does not run."""
    listens: tuple[str, ...] = ()
    """`ADDRESS:PORT` of every TCP listener."""
    commits: dict[str, str] = field(default_factory=dict)
    """A release's folder -> what its `llama-server --version` says."""


class Sights(FactBase[Sight]):
    def command(self, units: tuple[str, ...], releases: tuple[str, ...]) -> StringCommand:
        words = " ".join(map(shlex.quote, units))
        return StringCommand(
            f'for u in {words}; do pid=$(systemctl show -p MainPID --value "$u"); '
            'echo "unit $u $(readlink /proc/$pid/exe)"; done; '
            "ss -ltnH | awk '{print \"listens \" $4}'; "
            f"for r in {' '.join(map(shlex.quote, releases))}; do "
            '"$r/bin/llama-server" --version 2>&1 | sed -n "s|.*commit \\([0-9a-f]*\\).*|commit $r \\1|p"; done'
        )

    def process(self, output: list[str]) -> Sight:
        # A program that was replaced under its process reads `PATH (deleted)`.
        words = [line.split(" ", 2) for line in output]
        return Sight(
            exes={word[1]: word[2] for word in words if word[0] == "unit"},
            listens=tuple(word[1] for word in words if word[0] == "listens"),
            commits={word[1]: word[2] for word in words if word[0] == "commit"},
        )

    @staticmethod
    def default() -> Sight:
        return Sight()


class WorkerBuffers(FactBase[frozenset[str]]):
    """`ADDRESS:PORT` of every worker that the unit's present run put a model buffer on, from its journal.

    The journal forgets in time, so what was seen once is kept in /run, which lasts as long as the process can.
    """

    def command(self, unit: str) -> StringCommand:
        return StringCommand(
            f"id=$(systemctl show -p InvocationID --value {shlex.quote(unit)}); seen={KEPT}-{unit}-$id; "
            f'for f in {KEPT}-{unit}-*; do [ "$f" = "$seen" ] || rm -f "$f"; done; '
            '[ -s "$seen" ] || journalctl -q -o cat "_SYSTEMD_INVOCATION_ID=$id" '
            "| sed -n 's/.*RPC[0-9]*\\[\\([0-9.:]*\\)\\] model buffer size = *[1-9].*/\\1/p' | sort -u >\"$seen\"; "
            'cat "$seen"'
        )

    def process(self, output: list[str]) -> frozenset[str]:
        return frozenset(output)

    @staticmethod
    def default() -> frozenset[str]:
        return frozenset()


class UnitTrouble(FactBase[tuple[int, str]]):
    """How often systemd has restarted the unit, and the last lines of its journal."""

    def command(self, unit: str) -> StringCommand:
        quoted = shlex.quote(unit)
        return StringCommand(f"systemctl show -p NRestarts --value {quoted}; journalctl -q -n 15 -o cat -u {quoted}")

    def process(self, output: list[str]) -> tuple[int, str]:
        return int(output[0] or 0), "\n".join(output[1:])

    @staticmethod
    def default() -> tuple[int, str]:
        return 0, ""
