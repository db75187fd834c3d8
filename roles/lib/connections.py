"""TCP connections between a controller and its workers, seen from both ends.

Neither llama-server's /health nor one end of a connection tells whether the other end is still there: who is restarted
while the link is down leaves the other with a connection that nobody else believes in, and a worker that waits for a
controller that is gone refuses everybody else. So every node of a run tells its connections (`roles/lib/board.py`), and
who holds one that the other end does not know is restarted.
"""

from __future__ import annotations

from roles.lib.units import Connection

CONTROLLERS = "connections of controllers"
"""The board's topic: worker's endpoint (`ADDRESS:PORT`) -> the controller's own ends."""

WORKERS = "connections of workers"
"""The board's topic: worker's endpoint -> the ends of those who are connected to it."""

Told = dict[str, frozenset[str]]


def ends(connections: tuple[Connection, ...], peer: str) -> frozenset[str]:
    """Our own ends of the connections to the peer."""
    return frozenset(connection.local for connection in connections if connection.peer == peer)


def clients(connections: tuple[Connection, ...], endpoint: str) -> frozenset[str]:
    """The other ends of the connections to our endpoint."""
    return frozenset(connection.peer for connection in connections if connection.local == endpoint)


def haunted(endpoint: str, seen: frozenset[str], told: Told) -> bool:
    """Whether a worker serves somebody whom its controller does not know. A controller that is not in this run: no."""
    return endpoint in told and bool(seen - told[endpoint])


def lost(workers: tuple[str, ...], mine: tuple[Connection, ...], told: Told) -> list[str]:
    """The workers that a controller is not attached to. Of one that is not in this run only our end is known."""
    return [worker for worker in workers if not (ends(mine, worker) & told.get(worker, ends(mine, worker)))]
