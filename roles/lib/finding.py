"""One type for everything that a check says: preflight, verify, and later status and the linters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["ok", "warn", "stop"]
WORST_FIRST: tuple[Severity, ...] = ("stop", "warn", "ok")


@dataclass(frozen=True)
class Finding:
    """rule: its name; seen and expected: values; fix: what to do; source: where the rule comes from."""

    rule: str
    severity: Severity
    node: str
    seen: str
    expected: str
    fix: str
    source: str = "halofleet"

    def __str__(self) -> str:
        return f"{self.node}: {self.rule}: {self.seen}; expected: {self.expected}; {self.fix}"
