"""A run of the doctor: every box is asked one thing, and when the last has answered all of it is said."""

from __future__ import annotations

import logging
import sys
from typing import NoReturn

from pyinfra.api import Host, State

from roles.doctor.box import Box
from roles.doctor.judge import UNKNOWN, expected, judge, say
from roles.doctor.look import Boxes
from roles.doctor.report import as_json, redactor, report
from roles.lib.board import board
from roles.lib.finding import Finding
from roles.lib.said import said_yes

TOPIC = "doctor"


def visit(host: Host, state: State) -> None:
    """Asks this box; with the last one's answer the run ends: status 1 where a finding says stop, else 0."""
    logging.getLogger("pyinfra").setLevel(logging.WARNING)  # its own words are about changes, and here are none
    redact = said_yes(host.data, "redact")
    boxes: dict[str, Box] = board(state, TOPIC)
    # Without sudo, whatever the inventory says: what root alone may see is named instead.
    boxes[host.name] = host.get_fact(Boxes, _sudo=False, _ignore_errors=True)
    if all(other.name in boxes for other in state.inventory.get_active_hosts()):
        _end(state, boxes, redact)


def _end(state: State, boxes: dict[str, Box], redact: bool) -> NoReturn:
    gone = {host.name: Box() for host in state.failed_hosts}
    everyone = dict(sorted((boxes | gone).items()))
    findings = [finding for name, box in everyone.items() for finding in _judge(state, name, box, name in gone)]
    hide = redactor(everyone) if redact else None
    say_it = as_json if "--json" in sys.argv else report
    print(say_it(everyone, findings, hide), end="", flush=True)
    sys.exit(1 if any(finding.severity == "stop" for finding in findings) else 0)


def _judge(state: State, name: str, box: Box, gone: bool) -> list[Finding]:
    if gone or not box.kernel:
        return [say("unreachable", name, {"seen": "no SSH connection" if gone else "no answer to what it was asked"})]
    host = state.inventory.get_host(name)
    lab = host.data.get("lab") if host is not None else None
    return judge(box, name, expected(lab, name) if lab is not None else UNKNOWN)
