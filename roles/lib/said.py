"""What was said on the command line by `--data NAME=yes`."""

from __future__ import annotations

from typing import Any

from roles.lib.stop import Refused

YES = {"yes": True, "no": False}


def said_yes(data: Any, name: str) -> bool:
    """data: the host's. Raises Refused where it is neither yes nor no."""
    said = str(data.get(name) or "no")
    if said.lower() not in YES:
        raise Refused(f"--data {name}={said}: must be yes or no")
    return YES[said.lower()]
