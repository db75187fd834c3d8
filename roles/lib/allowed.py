"""The second half of every check that may stop a run: what was collected on each node is decided on all of them."""

from __future__ import annotations

from pyinfra.api import operation

from roles.lib.board import board
from roles.lib.remote import Commands, current
from roles.lib.stop import Refused


@operation()
def allowed(topic: str) -> Commands:
    """Raises Refused with everything that any node has against it. topic: the board's, node -> its findings."""
    host = current()
    findings = [str(finding) for found in board(host.state, topic).values() for finding in found]
    if findings and host.state.is_executing:
        raise Refused("\n".join(sorted(findings)))
    for finding in board(host.state, topic).get(host.name, ()):
        host.log(f"would refuse: {finding}")
    host.noop("nothing against it")
    yield from ()
