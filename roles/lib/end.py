"""How a run begins and ends for the person who waits for it."""

from __future__ import annotations

import atexit
import os
import sys
from pathlib import Path

from pyinfra.api import State

from roles.lib.board import board
from roles.lib.stop import Refused

READY = "ready"
"""The board's topic: serve -> the URL at which it answered."""

ENDED = "ended"
"""The board's topic: node -> True, when the run has come to its end there."""

_announced = False


def every_node_answers(state: State) -> None:
    """Raises Refused where a node could not be reached: half a cluster is not what the inventory says."""
    if state.failed_hosts:
        names = ", ".join(sorted(host.name for host in state.failed_hosts))
        raise Refused(f"{names}: cannot be reached, see above; nothing was changed. Without it: --exclude NAME")


def announce(state: State) -> None:
    """At the very end of the program, after pyinfra's own summary: `ready: URL`, a line for each serve."""
    global _announced
    if not _announced:
        _announced = True
        atexit.register(_say, state)


def _say(state: State) -> None:
    if state.failed_hosts or not board(state, ENDED):
        return
    ready = [f"ready: {url}" for _, url in sorted(board(state, READY).items())]
    out = sys.stderr if "--json" in sys.argv else sys.stdout
    for line in ready:
        print(line, file=out, flush=True)
    if outcome := os.environ.get("HALOFLEET_OUTCOME"):
        Path(outcome).write_text("ended\n")
