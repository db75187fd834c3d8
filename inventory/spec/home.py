"""Where caches and the state of a lab live on the control machine."""

from __future__ import annotations

import os
from pathlib import Path


def home() -> Path:
    """`$HALOFLEET_HOME`, or ~/.local/share/halofleet."""
    return Path(os.environ.get("HALOFLEET_HOME") or "~/.local/share/halofleet").expanduser().absolute()


def cache(kind: str) -> Path:
    """A folder of things that can be made again: sources, releases, images, models."""
    return home() / "cache" / kind


def lab_dir(lab: str) -> Path:
    """What the control machine remembers of one lab: known_hosts and keys."""
    return home() / "labs" / lab


def known_hosts(lab: str) -> Path:
    """The lab's own host keys (OpenSSH format)."""
    return lab_dir(lab) / "known_hosts"


def virtual_key(lab: str) -> Path:
    """The SSH key that virtual hosts accept; made by deploys/virtual_lab.py."""
    return lab_dir(lab) / "id_ed25519"


def api_key(lab: str, serve: str) -> Path:
    """This machine's copy of a serve's API key, mode 0600. The controller node has the true one."""
    return lab_dir(lab) / f"{serve}.key"
