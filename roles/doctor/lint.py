"""The linter for kernel parameters: of the line that a box booted with, and of what it will boot with.

Pure. The rules' words and sources are in data/cmdline.yml, what they compare in lint_checks.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from roles.doctor.box import Box
from roles.doctor.lint_checks import CHECKS, View, rules
from roles.lib import cmdline
from roles.lib.finding import Finding


def lint(box: Box, node: str, kernel: bool = True) -> list[Finding]:
    """One finding per rule and value, whichever lines have it. kernel: the booted line is the box's own."""
    where: dict[tuple[str, str], list[str]] = {}
    for line in box.lines:
        if line.when == "booted with" and not kernel:
            continue
        view = View(line, box, box.kernel if line.when == "booted with" else box.next_kernel or box.kernel)
        for rule in rules()["rules"]:
            if rule.get("only_boot") and not (view.boots and kernel):
                continue
            for seen in _found(rule, view):
                where.setdefault((rule["id"], seen), []).append(f"{line.when} ({line.where})")
    by_id = {rule["id"]: rule for rule in rules()["rules"]}
    return [_finding(by_id[name], node, seen, places) for (name, seen), places in where.items()]


def _finding(rule: dict[str, Any], node: str, seen: str, places: list[str]) -> Finding:
    text = f"{seen}, {' and '.join(dict.fromkeys(places))}: {rule['effect']}"
    return Finding(rule["id"], rule["severity"], node, text, rule["expected"], rule["fix"], rule["source"])


def _found(rule: dict[str, Any], view: View) -> Iterator[str]:
    if "check" in rule:
        yield from CHECKS[rule["check"]](view)
        return
    name, wanted = rule["parameter"], rule.get("values")
    for value in dict.fromkeys(cmdline.values(view.line.text, name)):
        if wanted is None or any(part in wanted for part in value.split(",")):
            yield f"{name}={value}"
