"""What must be open where firewalld runs: two policies of our own (firewalld.policies(5)), which belong to no zone.

A policy opens for every zone at once, whichever the links are in and whoever moves them; none of the user's zones is
touched. It opens only: what is closed is closed by our own table, whatever firewalld lets through.
"""

from __future__ import annotations

import json

from roles.firewall.plan import Firewall
from roles.lib.paths import File
from roles.lib.render import render

FOLDER = "/etc/firewalld/policies"
ZONES = {"halofleet-in": "HOST", "halofleet-pass": "ANY"}
"""Policy -> where what it lets through goes to. It may come from any zone."""

RULE = 'rule family="ipv4" source address="{source}" {destination}{port}accept'

OPENINGS = (
    "awk '/^[^ ]/ {zone = $1} / accept$/ {print zone, $0} "
    "$1 ~ /^(services|ports|protocols|sources):$/ {for (i = 2; i <= NF; i++) print zone, $1, $i}'"
)
SAVED = (
    f"kept=$(firewall-cmd --permanent --list-all-zones | {OPENINGS}) || exit 1; "
    f'lost=$(firewall-cmd --list-all-zones | {OPENINGS} | grep -vxF "$kept"); '
    'if [ -n "$lost" ]; then echo "firewalld has to read its files again, and would forget what is not in '
    "them: $lost. Keep it (firewall-cmd --runtime-to-permanent) or drop it (firewall-cmd --reload), "
    'then run again" >&2; exit 1; fi'
)
"""Fails where something is open that a reload would close: SSH may be among it."""

RELOAD = (
    "if ! said=$(firewall-cmd --check-config 2>&1); then rm -f {files}; "
    'echo "firewalld would not start again with its files as they are: $said" >&2; exit 1; fi; '
    "firewall-cmd --quiet --reload"
)


def rules(firewall: Firewall) -> dict[str, tuple[str, ...]]:
    """By policy, in the words of firewalld.richlanguage(5), as firewalld itself prints them."""
    port = 'port port="{}" protocol="tcp" '
    to = 'destination address="{}" '
    doors = [
        RULE.format(source=door.source, destination=to.format(door.destination), port=port.format(door.port))
        for door in firewall.doors
    ]
    api = [
        RULE.format(source=network, destination="", port=port.format(number))
        for network in firewall.api_from
        for number in firewall.api_ports
    ]
    passages = [
        RULE.format(source=passage.source, destination=to.format(passage.destination), port="")
        for passage in firewall.passages
    ]
    return {"halofleet-in": (*doors, *api), "halofleet-pass": tuple(passages)}


def policies(firewall: Firewall) -> tuple[File, ...]:
    """The files of those policies that have a rule."""
    return tuple(
        File(path(name), render("firewall/policy.xml.j2", name=name, to=ZONES[name], firewall=firewall))
        for name, lines in rules(firewall).items()
        if lines
    )


def path(policy: str) -> str:
    return f"{FOLDER}/{policy}.xml"


def running(answer: str) -> tuple[str, ...]:
    """The rules of a policy as firewalld runs it. answer: busctl's JSON; empty where there is no such policy."""
    if not answer:
        return ()
    (settings,) = json.loads(answer)["data"]
    return tuple(settings.get("rich_rules", {}).get("data", ()))
