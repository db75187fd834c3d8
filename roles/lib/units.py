"""systemd services: what runs, compared with what should run.

Whether to restart is decided by the running process, not by what this run changed: every unit of ours carries
`Environment=HALOFLEET_REVISION=...`, a digest of all that it is made of, and the process's own environment tells
which revision it runs. An interrupted run heals on the next one.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from pyinfra.api import FactBase, QuoteString, StringCommand

from roles.lib.paths import File

STOPS = File(
    "/etc/systemd/system/halofleet-.service.d/90-halofleet.conf",
    """\
# halofleet: a service that does not stop in time is killed. Fedora's service.d/10-timeout-abort.conf, which wins over
# the unit's own file, would have it dump its core; of drop-ins the last by name wins.
[Service]
TimeoutStopFailureMode=kill
""",
)
"""A drop-in of every unit of ours (systemd.unit(5): the folder's name ends at a dash)."""

PROPERTIES = (
    "Id",
    "LoadState",
    "ActiveState",
    "SubState",
    "UnitFileState",
    "NeedDaemonReload",
    "MainPID",
    "InvocationID",
)


PACKAGED = "usr|lib|lib64|opt"
"""Below which packages put libraries. Everything else that is mapped and gone is the program's own."""


@dataclass(frozen=True)
class Connection:
    """An established TCP connection, both ends as `ADDRESS:PORT`."""

    local: str
    peer: str


@dataclass(frozen=True)
class UnitState:
    """systemctl(1) show, and what /proc says of the main process."""

    load: str = "not-found"
    active: str = "inactive"
    sub: str = "dead"
    file: str = ""
    needs_reload: bool = False
    pid: int = 0
    invocation: str = ""
    revision: str = ""
    """HALOFLEET_REVISION of the main process; empty where it has none."""
    exe: str = ""
    """/proc/PID/exe: the real path of what runs."""
    connections: tuple[Connection, ...] = ()
    """Of the main process."""
    outdated: tuple[str, ...] = ()
    """Files of packages that its main process has mapped, and that an upgrade has replaced since it started."""


@dataclass(frozen=True)
class Service:
    """A unit that should be enabled and run.

    revision: what its process must carry; None where any running process will do (a unit that is not ours).
    """

    name: str
    revision: str | None = None


def revision(*parts: str) -> str:
    """A digest of all that a service is made of."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


class UnitStates(FactBase[dict[str, UnitState]]):
    """All the units in one command."""

    def command(self, units: tuple[str, ...]) -> StringCommand:
        show = f"systemctl show {' '.join(f'-p {name}' for name in PROPERTIES)}"
        script = (
            f'for u in {{units}}; do echo "Unit=$u"; {show} -- "$u"; pid=$(systemctl show -p MainPID --value -- "$u"); '
            'if [ "${{pid:-0}}" -gt 0 ]; then tr "\\0" "\\n" </proc/$pid/environ | grep ^HALOFLEET_REVISION= || true; '
            'echo "Exe=$(readlink /proc/$pid/exe)"; '
            f"sed -nE 's#.* (/({PACKAGED})/.*) [(]deleted[)]$#Outdated=\\1#p' /proc/$pid/maps 2>/dev/null | sort -u; "
            'ss -tnpH state established | grep -F "pid=$pid," '
            "| awk '{{print \"Connection=\" $3, $4}}'; fi; done"
        )
        words = StringCommand(*(QuoteString(unit) for unit in units)).get_raw_value()
        return StringCommand(script.format(units=words))

    def process(self, output: list[str]) -> dict[str, UnitState]:
        blocks: dict[str, dict[str, str]] = {}
        connections: dict[str, list[Connection]] = {}
        outdated: dict[str, list[str]] = defaultdict(list)
        values: dict[str, str] = {}
        unit = ""
        for line in output:
            key, _, value = line.partition("=")
            if key == "Unit":
                values = blocks.setdefault(value, {})
                connections[value] = []
                unit = value
            elif key == "Connection":
                connections[unit].append(Connection(*value.split(" ")))
            elif key == "Outdated":
                outdated[unit].append(value)
            else:
                values[key] = value
        return {
            unit: _state(values, tuple(connections[unit]), tuple(outdated[unit])) for unit, values in blocks.items()
        }

    @staticmethod
    def default() -> dict[str, UnitState]:
        return {}


def _state(values: dict[str, str], connections: tuple[Connection, ...], outdated: tuple[str, ...]) -> UnitState:
    return UnitState(
        load=values.get("LoadState", "not-found"),
        active=values.get("ActiveState", "inactive"),
        sub=values.get("SubState", "dead"),
        file=values.get("UnitFileState", ""),
        needs_reload=values.get("NeedDaemonReload") == "yes",
        pid=int(values.get("MainPID") or 0),
        invocation=values.get("InvocationID", ""),
        revision=values.get("HALOFLEET_REVISION", ""),
        exe=values.get("Exe", ""),
        connections=connections,
        outdated=outdated,
    )


def runs(service: Service, state: UnitState, *, renew: bool = False) -> bool:
    """Whether what runs is what should run. renew: what runs with a library that was upgraded since is not."""
    replaced = state.exe.endswith(" (deleted)")  # the file was replaced under its process
    current = not (replaced or (renew and state.outdated))
    return state.active == "active" and current and service.revision in (None, state.revision)


def changes(
    wanted: tuple[Service, ...], states: dict[str, UnitState], *, renew: bool = False
) -> Iterator[StringCommand]:
    """Pure: the systemctl commands that lead from the states to the wanted services."""
    # Also where systemd could not load the unit, as when it looked while the file was being replaced.
    if any(states[service.name].needs_reload or states[service.name].load != "loaded" for service in wanted):
        yield StringCommand("systemctl daemon-reload")
    for service in wanted:
        state, unit = states[service.name], QuoteString(service.name)
        if state.file not in ("enabled", "static", "alias", "indirect"):
            yield StringCommand("systemctl enable --quiet", unit)
        if not runs(service, state, renew=renew):
            yield restart(service.name)


def restart(name: str) -> StringCommand:
    """reset-failed: a unit that systemd gave up on would refuse to start. One that does not start is asked why."""
    unit, its = QuoteString(name), QuoteString(f"_SYSTEMD_UNIT={name}")
    why = StringCommand("{ journalctl -q -n 10 -o cat", its, ">&2; false; }")
    return StringCommand("systemctl reset-failed", unit, "2>/dev/null || true; systemctl restart", unit, "||", why)
