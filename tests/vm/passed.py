"""Which test files of this tier have passed with all that they depend on as it is: `pytest --changed` leaves them out.

A boot is half a minute here, and most changes do not touch what boots.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from pathlib import Path

from inventory.spec.home import cache
from tests.lab.harness import ROOT

INPUTS = (
    *("deploys", "inventory/spec", "roles", "templates", "tests/vm"),
    *(f"inventory/{name}" for name in ("boards.yml", "lab.py", "lab.yml", "rocm.yml", "vagrant.yml")),
    "Vagrantfile",
    *("tests/lab/harness.py", "requirements.lock"),
)
"""Files, and folders with all that is in them."""


def digest() -> str:
    """Of all inputs, by name and content."""
    found = hashlib.sha256()
    for path in sorted(file for name in INPUTS for file in _files(ROOT / name)):
        found.update(f"{path.relative_to(ROOT)}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\0".encode())
    return found.hexdigest()[:16]


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    return [file for file in path.rglob("*") if file.is_file() and "__pycache__" not in file.parts]


def note(test_file: str) -> Path:
    """Where it is noted that this file has passed."""
    return cache("vm") / "passed" / f"{digest()}-{test_file}"


def when(test_file: str) -> str:
    """The time at which it passed; empty where it has not."""
    path = note(test_file)
    return path.read_text().strip() if path.exists() else ""


def passed(test_file: str) -> None:
    path = note(test_file)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(datetime.now().astimezone().strftime("%Y-%m-%d %H:%M\n"))
