"""What the node is doing, in one command."""

from __future__ import annotations

import shlex
from collections import defaultdict
from dataclasses import dataclass, field

from pyinfra.api import FactBase, StringCommand

from roles.llama_cpp import device
from roles.llama_cpp.plan import Release

KEPT = "/run/halofleet-buffers"
VERSION = r"s/^version: .*[( ]\([0-9a-f]\{{7,40\}}\)).*/commit {} \1/p"
"""sed's, of `version: 0.5.0-dev (build 0, commit 0c1e57098)`, which older ones spell `version: 6200 (4227c9be4)`."""
LAST_WORDS = 4
"""Lines, those of a backtrace not counted. ggml-rpc-server has that many for a device that it does not find."""


@dataclass(frozen=True)
class Sight:
    exes: dict[str, str] = field(default_factory=dict)
    """Unit -> the real path of its main process's program; empty where it does not run."""
    listens: tuple[str, ...] = ()
    """`ADDRESS:PORT` of every TCP listener."""
    commits: dict[str, str] = field(default_factory=dict)
    """A release -> what its `llama-server --version` says."""
    devices: dict[str, dict[str, str]] = field(default_factory=dict)
    """A release -> its devices: `Vulkan0` -> how it is called, and its memory."""
    last_words: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """A unit that systemd has started again -> the last lines of its program."""


class Sights(FactBase[Sight]):
    def command(self, units: tuple[str, ...], releases: tuple[Release, ...]) -> StringCommand:
        words = " ".join(map(shlex.quote, units))
        return StringCommand(
            f'for u in {words}; do systemctl show -p MainPID -p NRestarts --value "$u" | '
            '{ read -r pid; read -r again; echo "unit $u $(readlink /proc/$pid/exe)"; '
            '[ "$again" = 0 ] || journalctl -q -n 30 -o cat "_SYSTEMD_UNIT=$u" | grep -v "\\[0x[0-9a-f]*\\]$" '
            f'| tail -n {LAST_WORDS} | sed "s|^ *|said $u |"; }}; '
            "done; "
            "ss -ltnH | awk '{print \"listens \" $4}'; " + "; ".join(map(_asked, releases))
        )

    def process(self, output: list[str]) -> Sight:
        # A program that was replaced under its process reads `PATH (deleted)`.
        words = [line.split(" ", 2) for line in output]
        said: dict[str, tuple[str, ...]] = defaultdict(tuple)
        for word in words:
            if word[0] == "said" and word[2]:
                said[word[1]] += (word[2],)
        return Sight(
            exes={word[1]: word[2] for word in words if word[0] == "unit"},
            listens=tuple(word[1] for word in words if word[0] == "listens"),
            devices=_devices([word for word in words if word[0] == "device"]),
            commits={word[1]: word[2] for word in words if word[0] == "commit"},
            last_words=dict(said),
        )

    @staticmethod
    def default() -> Sight:
        return Sight()


def _devices(lines: list[list[str]]) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for _, release, rest in lines:
        name, _, about = rest.partition(" ")
        found[release][name] = about
    return dict(found)


def _asked(release: Release) -> str:
    """Shell: which commit it was built from, and the devices that it finds."""
    program = device.program(release)
    commit = f"{program} --version 2>&1 | sed -n '{VERSION.format(release.id)}'"
    return f"{commit}; {device.listed(release)} | sed 's/^/device {release.id} /'" if release.device else commit


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
