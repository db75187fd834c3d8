"""A run of status: every node is asked one thing, and when the last has answered all of it is said."""

from __future__ import annotations

import logging
import sys
from typing import NoReturn, cast

from pyinfra.api import Host, State

from inventory.spec import Lab
from roles.lib.board import board
from roles.lib.connector import HaloConnector
from roles.lib.finding import Finding
from roles.lib.remote import Several
from roles.lib.said import said_yes
from roles.lib.stop import Failed, Refused
from roles.link_proof import record, speed
from roles.link_proof.eyes import Eyes
from roles.link_proof.judge import judge as judge_links
from roles.link_proof.plan import pairs, speed_port
from roles.status import judge
from roles.status.plan import Wanted, plan
from roles.status.report import Node, Report, as_json, as_text
from roles.verify import api

TOPIC = "status"


def visit(host: Host, state: State) -> None:
    """Asks this node; with the last one's answer the run ends: status 1 where a finding says stop, else 0."""
    logging.getLogger("pyinfra").setLevel(logging.WARNING)  # its own words are about changes, and here are none
    lab = host.data.get("lab")
    if lab is None:
        raise Refused(f"{host.name}: is of no inventory; pyinfra inventory/lab.py deploys/status.py")
    measures = said_yes(host.data, "speed")
    wanted = plan(lab, host.name)
    said = host.get_fact(Several, questions=wanted.questions, _ignore_errors=True)
    seen = None
    if said:
        units, programs, links_seen, box, guard = said
        seen = Node(wanted, units, programs, links_seen, box, _health(host, wanted), guard)
    # Only now: the last one to be here ends the run, and other nodes go on while this one is asked.
    nodes: dict[str, Node | None] = board(state, TOPIC)
    nodes[host.name] = seen
    if all(other.name in nodes for other in state.inventory.get_active_hosts()):
        _end(state, lab, {name: node for name, node in sorted(nodes.items()) if node is not None}, measures)


def _health(host: Host, wanted: Wanted) -> dict[str, int | None]:
    """Through the SSH connection: the inventory may close the API to this machine."""
    found: dict[str, int | None] = {}
    for server in wanted.check.servers:
        address = str(server.address if server.bind.is_unspecified else server.bind)
        try:
            with cast("HaloConnector", host.connector).reach(address, server.port) as end:
                found[server.serve] = api.health(end)
        except (Failed, OSError):
            found[server.serve] = None
    return found


def _end(state: State, lab: Lab, nodes: dict[str, Node], measures: bool) -> NoReturn:
    proofs = {name: node.wanted.proof for name, node in nodes.items()}
    sights = {name: node.links for name, node in nodes.items()}
    records = {name: sight.proven for name, sight in sights.items()}
    narrowed = {name: record.narrowed(proofs[name], records) for name in sights}
    speeds = {}
    if measures:
        hosts = {host.name: host for host in state.inventory.get_active_hosts()}
        virtual = lab.spec.virtual is not None
        seconds = speed.SECONDS_VIRTUAL if virtual else speed.SECONDS
        speeds = speed.measure(hosts, sights, pairs(lab), speed_port(lab), seconds)
    asked = {host.name for host in (*state.inventory.get_active_hosts(), *state.failed_hosts)}
    findings: list[Finding] = [judge.unreachable(name) for name in sorted(asked - nodes.keys())]
    for node in nodes.values():
        findings += judge.judge(node.wanted, node.units, node.programs, node.health, node.box, node.guard)
    findings += judge_links(Eyes(proofs, sights, narrowed))
    findings += speed.judge(proofs, sights, speeds)
    say = as_json if "--json" in sys.argv else as_text
    print(say(Report(list(nodes.values()), proofs, sights, speeds, judge.worst_first(findings))), end="", flush=True)
    sys.exit(1 if any(finding.severity == "stop" for finding in findings) else 0)
