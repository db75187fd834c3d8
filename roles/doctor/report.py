"""The doctor's report: for people, as text, and for programs, as JSON. Pure."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from roles.doctor.box import Box
from roles.lib.finding import WORST_FIRST, Finding
from roles.lib.redact import Redactor

NOBODY = ("localhost", "fedora", "ubuntu", "debian")
"""Names that an installer gives: they tell nothing of their owner, and stand in other words."""


def redactor(boxes: Mapping[str, Box]) -> Redactor:
    """Knows the boxes by the names that the user and they themselves call them."""
    return Redactor((name, *_names(box.hostname)) for name, box in boxes.items())


def _names(hostname: str) -> tuple[str, ...]:
    """In full and without the domain."""
    return (hostname, hostname.partition(".")[0]) if hostname not in NOBODY else ()


def redacted(finding: Finding, redact: Redactor) -> Finding:
    return replace(
        finding,
        node=redact(finding.node),
        seen=redact(finding.seen),
        expected=redact(finding.expected),
        fix=redact(finding.fix),
    )


def report(boxes: Mapping[str, Box], findings: list[Finding], redact: Redactor | None = None) -> str:
    """A paragraph a box, in their order; at the end how many of what."""
    lines: list[str] = []
    for node, box in boxes.items():
        lines.append(_about(node, box))
        own = [finding for finding in findings if finding.node == node]
        for finding in own:
            lines.append(f"  {finding.severity:<4}  {finding.rule}: {finding.seen}")
            if finding.severity != "ok":
                lines += [f"        {key}: {getattr(finding, key)}" for key in ("expected", "fix", "source")]
        if not any(finding.severity != "ok" for finding in own):
            lines.append("  nothing against it")
        if box.unread:
            who = "" if box.root else " without root"
            lines.append(f"  could not be read{who}: {', '.join(box.unread)}")
    count = Counter(finding.severity for finding in findings)
    said = ", ".join(f"{count[severity]} {severity}" for severity in WORST_FIRST)
    lines.append(f"{len(boxes)} {'box' if len(boxes) == 1 else 'boxes'}: {said}")
    text = "\n".join(lines) + "\n"
    return redact(text) if redact else text


def _about(node: str, box: Box) -> str:
    product = " ".join(filter(None, (box.dmi.get("sys_vendor"), box.dmi.get("product_name"))))
    memory = f"{box.gib:.1f} GiB" if box.memory else ""
    kind = f"{box.container} container" if box.container else ""
    kernel = f"kernel {box.kernel}" if box.kernel else ""
    return f"{node}: {', '.join(filter(None, (product, kind, box.os, kernel, memory))) or 'said nothing'}"


def as_json(boxes: Mapping[str, Box], findings: list[Finding], redact: Redactor | None = None) -> str:
    """One document: the boxes and all the findings."""
    word = redact or str
    about: list[dict[str, Any]] = [
        {
            "node": word(node),
            "os": box.os,
            "kernel": box.kernel,
            "product": box.dmi.get("product_name", ""),
            "bios": box.dmi.get("bios_version", ""),
            "memory_kib": box.memory,
            "unread": list(box.unread),
        }
        for node, box in boxes.items()
    ]
    found = [asdict(redacted(finding, redact) if redact else finding) for finding in findings]
    return json.dumps({"boxes": about, "findings": found}, indent=2) + "\n"
