"""How a run begins and ends for the person who waits for it."""

from __future__ import annotations

import atexit
import os
import sys

from pyinfra.api import State

from roles.lib.board import board
from roles.lib.stop import Refused

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
    ready = [f"ready: {url}" for _, url in sorted(board(state, "ready").items())]
    out = sys.stderr if "--json" in sys.argv else sys.stdout
    print(*ready, sep="\n", end="\n" if ready else "", file=out, flush=True)
    outcome = os.environ.get("HALOFLEET_OUTCOME")
    if outcome and ready:
        with open(outcome, "w") as file:  # noqa: PTH123  # at exit: as little machinery as can be
            file.write("\n".join(ready) + "\n")
