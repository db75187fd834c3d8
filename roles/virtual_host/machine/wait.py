"""Wait until hosts are up: `wait.py STATE_DIR FULL_NAME NODE=ADDRESS:PORT...`. Standard library only.

Exit status 1, and a line for each host that is not, when the time is over or nothing runs of it any more.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from roles.virtual_host.machine import probe
else:  # a script: its own folder is where it looks first
    import probe

SECONDS = 120
GRACE = 8
"""A supervisor may take this long to appear, and a host this long between two boots."""


def trouble(state: Path, full: str, node: str, endpoint: str) -> str:
    """Why the host cannot be used yet; empty when it can."""
    found = probe.processes(state, full).get(node)
    if not found or not found["supervisors"]:
        return "does not run"
    address, port = endpoint.rsplit(":", 1)
    pid = probe.leader(found["nspawns"][0]) if found["nspawns"] else None
    system = probe.system_state(pid) if pid else ""
    if system not in ("running", "degraded"):
        return f"is not up (systemd: {system or 'no answer'})"
    return "" if probe.greets(address, int(port)) else f"has no SSH server at {endpoint}"


def last_line(log: Path) -> str:
    lines = [line.strip() for line in probe.text(log).splitlines() if line.strip()]
    return lines[-1][-200:] if lines else "empty"


def main() -> int:
    state, full, *pairs = sys.argv[1:]
    waiting = dict(pair.split("=", 1) for pair in pairs)
    began = time.monotonic()
    why: dict[str, str] = {}
    while waiting:
        why = {node: trouble(Path(state), full, node, endpoint) for node, endpoint in waiting.items()}
        waiting = {node: endpoint for node, endpoint in waiting.items() if why[node]}
        passed = time.monotonic() - began
        dead = passed > GRACE and "does not run" in why.values()
        if waiting and (dead or passed > SECONDS):
            break
        time.sleep(0.3 if waiting else 0)
    for node in waiting:
        log = Path(state, "hosts", node, "console.log")
        print(
            f"{node} {why[node]} after {time.monotonic() - began:.0f} s; see {log}: {last_line(log)}", file=sys.stderr
        )
    return 1 if waiting else 0


if __name__ == "__main__":
    sys.exit(main())
