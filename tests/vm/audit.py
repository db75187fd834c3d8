"""What SELinux has denied on a machine that enforces Debian's policy."""

from __future__ import annotations

import re

from tests.vm.machine import Machine

AVC = re.compile(
    r"^type=(?:USER_)?AVC .* denied  \{ (?P<what>[^}]*) \} .* scontext=\w+:\w+:(?P<source>\w+):\S+ "
    r"tcontext=\w+:\w+:(?P<target>\w+)(?::\S+)? tclass=(?P<of>\w+) permissive=0",
    re.M,
)
"""permissive=1 is the image's first boot, which enforces nothing."""
WRONG = re.compile(r"^type=(?:USER_)?SELINUX_ERR .*$", re.M)
"""A transition that the policy has no valid context for."""
RECORDS = "cat /var/log/audit/audit.log*"
LOST = "auditctl -s | grep -E '^(enabled|lost) '"


def denials(machine: Machine) -> dict[str, str]:
    """By domain, permissions, type and class, with the last record of each: all since the image was made."""
    assert machine.ssh(LOST).split("\n")[:2] == ["enabled 1", "lost 0"], "the audit log is not complete"
    text = machine.ssh(RECORDS)
    records = list(AVC.finditer(text))
    assert len(records) == text.count(" permissive=0"), "a record is written in a way that is not known here"
    found = {f"{m['source']} {{ {m['what']} }} {m['target']}:{m['of']}": m[0] for m in records}
    return found | {line: line for line in WRONG.findall(text)}


def new(machine: Machine, before: dict[str, dict[str, str]]) -> str:
    """What is denied since halofleet came, a record a line; empty where nothing is.

    Filtered out is what the guest was denied before halofleet came: PID 1's credentials, which some generators would
    read at every daemon-reload, and a few things of networkd, journald and tmpfiles at every boot.
    """
    return "\n".join(record for what, record in denials(machine).items() if what not in before[machine.name])
