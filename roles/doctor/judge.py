"""The doctor: everything that can be said for or against a box, whether or not we know of it. Pure."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from inventory.spec import Lab
from roles.doctor import checks, gpu
from roles.doctor.box import Box
from roles.doctor.gate import gate
from roles.doctor.lint import lint
from roles.doctor.patient import Expected, Patient
from roles.lib.finding import WORST_FIRST, Finding

DATA = Path(__file__).parent / "data/findings.yml"
CHECKS = (*checks.CHECKS, *gpu.CHECKS)
LIMITS = ("pages_limit not a number", "pages_limit too small", "pages_limit above RAM")
UNKNOWN = Expected()
"""Of a box that no inventory knows."""


@cache
def words() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(DATA.read_text())
    return found


def expected(lab: Lab, name: str) -> Expected:
    node = lab.node(name)
    memory = node.memory
    return Expected(
        os=node.os,
        board=node.board or "",
        installed=memory.installed or 0,
        gpu=memory.gpu or 0,
        reserve=memory.reserve or 0,
        backend=node.backend,
        kernel=node.kernel == "own",
        tuning=node.tuning == "performance",
        rocm=lab.spec.rocm.version if "rocm" in lab.backends(name) else "",
        rpc_ports=lab.rpc_ports,
        links=frozenset(end.interface for end in lab.ends(name)),
    )


def judge(box: Box, node: str, wanted: Expected = UNKNOWN) -> list[Finding]:
    """Worst first. wanted: what the inventory says of the box."""
    kernel = wanted.kernel and not box.container
    patient = Patient(box, wanted, kernel)
    found = [say(rule, node, values) for check in CHECKS for rule, values in check(patient)]
    found += lint(box, node, kernel=kernel)
    uses_rocm = wanted.backend == "rocm" or bool(wanted.rocm)
    found += gate(box, node, kernel=kernel, rocm=uses_rocm if wanted.backend else None, series=wanted.rocm)
    return sorted(found, key=lambda finding: (WORST_FIRST.index(finding.severity), finding.rule))


def against(box: Box, node: str, wanted: Expected) -> list[Finding]:
    """What stands against setting the box up, worst first. Where the line that it boots next is known, that one counts
    and not the one that it booted with. The operating system is preflight's own to judge, and a limit that the role
    `kernel` writes is that role's: it replaces its own value, and refuses somebody else's with its place."""
    if any(line.when == "will boot with" for line in box.lines):
        box = replace(box, lines=tuple(line for line in box.lines if line.when != "booted with"))
    asked = wanted.gpu or wanted.reserve or wanted.backend not in ("", "cpu")
    left = {"os", *(LIMITS if wanted.kernel and (asked or (wanted.backend and box.gpu)) else ())}
    return [found for found in judge(box, node, wanted) if found.severity != "ok" and found.rule not in left]


def say(rule: str, node: str, values: dict[str, Any]) -> Finding:
    entry = words()[rule]
    text = {key: entry[key].format_map(values) for key in ("severity", "seen", "expected", "fix", "source")}
    return Finding(rule, text["severity"], node, text["seen"], text["expected"], text["fix"], text["source"])
