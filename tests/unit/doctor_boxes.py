"""Boxes for the tests: transcripts of real ones as far as their owners published them, and made-up lines."""

from __future__ import annotations

from pathlib import Path

from roles.doctor.answer import parse
from roles.doctor.box import Box
from roles.lib.finding import Finding

FOLDER = Path(__file__).parent / "doctor_hosts"
GPU = ("gpu 0000:c5:00.0", "gpu.driver amdgpu")


def real(name: str, *more: str) -> Box:
    """A transcript in doctor_hosts/: its first line names the source, its second what had to be filled in."""
    return parse([*(FOLDER / f"{name}.txt").read_text().splitlines(), *more])


def box(*lines: str) -> Box:
    return parse(lines)


def booted(line: str, *more: str, kernel: str = "6.18.9") -> Box:
    """A box of 128 GB with a GPU that booted with this line."""
    return parse([f"kernel {kernel}", f"cmdline {line}", "MemTotal 131753574", "module ttm", *GPU, *more])


def rules(findings: list[Finding]) -> set[str]:
    return {finding.rule for finding in findings}
