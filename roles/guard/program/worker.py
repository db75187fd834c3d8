"""What is wrong with this node's RPC server, by what can be seen without connecting to it. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from .decide import Complaint
from .life import Life
from .seen import Sight, Socket, Worker
from .service import DEAF, STRANGE, judged, strange, unwell

DOOR = 10.0
"""Patience in seconds with whom keeps another one out."""

SILENT = 20.0
"""Seconds without a byte from a controller, after which it may be gone."""

GREETING, MUM = 64, 10.0
"""A llama-server says hello at once, and soon more than that many bytes. Who has said less, and nothing for so many
seconds, is none, and is served nothing that it could lose."""


def complaints(worker: Worker, sight: Sight, life: Life, now: float) -> Iterator[Complaint]:
    yield from unwell(sight)
    if not judged(worker, sight):
        return
    if not any(socket.local == worker.endpoint for socket in sight.owned("LISTEN")):
        yield Complaint("deaf", f"it runs, but does not listen at {worker.endpoint}", DEAF)
    served = [socket for socket in sight.owned("ESTAB") if socket.local == worker.endpoint]
    waiting = sum(socket.unread for socket in served)
    if waiting and life.worked < now:
        said = f"{waiting} bytes from {served[0].peer} wait to be read"
        if life.moved < now:
            yield Complaint("stuck", f"{said}, and it does nothing", worker.quiet)
        yield Complaint("mute", f"{said}, and it reads none of them", worker.mute)
    yield from _ghost(worker, sight)


def _ghost(worker: Worker, sight: Sight) -> Iterator[Complaint]:
    """It serves one that is gone (power off, cable out), or that never wanted anything, and lets nobody else in, for
    there is no timer on a connection that only waits. Keepalive ends the first kind; where it could not be put on it
    (see act.py), and for the second, there is this."""
    own = sight.owned("ESTAB")
    door = [
        socket
        for socket in sight.sockets
        if socket.state == "ESTAB" and socket.local == worker.endpoint and socket not in own
    ]
    if door and any(map(_ghostly, own)):
        yield Complaint("ghost", f"{door[0].peer} is not let in, and {own[0].peer}, which is, says nothing", DOOR)


def _ghostly(client: Socket) -> bool:
    gone = client.silent >= SILENT and not client.keepalive
    return gone or (client.silent >= MUM and client.taken < GREETING)


def note(worker: Worker, sight: Sight) -> str:
    """What is wrong, and restarting does not mend; empty where nothing is."""
    if strange(worker, sight):
        return STRANGE
    if sight.unit.active != "active" and sight.holder:
        return f"cannot listen at {worker.endpoint}, which {sight.holder} holds; end that, or choose another rpc_port"
    return ""
