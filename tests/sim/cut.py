"""Scripts that are killed on their way, as by a power cut."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from types import ModuleType

import pytest
from pyinfra.api import FunctionCommand

from roles.lib.jobs import job


def cut(script: str, after: str = "") -> Iterator[str]:
    """The script, killed before each line of its own that stands alone; from behind the line `after` on."""
    lines = script.splitlines()
    text = False  # of a here-document
    for number in range(lines.index(after) + 1 if after else 0, len(lines)):
        was_text, text = text, lines[number].endswith("<<'END'") or (text and lines[number] != "END")
        alone = lines[number] not in ("", "fi", "}") and not lines[number].startswith(" ") and not was_text
        killed = "\n".join([*lines[:number], "kill -9 $$", *lines[number:]])
        if alone and subprocess.run(["sh", "-n"], input=killed, text=True, capture_output=True).returncode == 0:
            yield killed


def listen(patch: pytest.MonkeyPatch, operations: ModuleType) -> list[str]:
    """The scripts that a role's operations will run as jobs of the node; they run all the same."""
    said: list[str] = []

    def heard(name: str, text: str) -> FunctionCommand:
        said.append(text)
        return job(name, text)

    patch.setattr(operations, "job", heard)
    return said
