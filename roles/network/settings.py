"""Kernel settings of the network, where the node has links; taken back with them (data/settings.yml)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from roles.lib.layout import STATE
from roles.lib.paths import File
from roles.lib.render import render

DATA = Path(__file__).parent / "data/settings.yml"
PATH = "/etc/sysctl.d/90-halofleet-tcp.conf"
KEPT = f"{STATE}/network/sysctl.conf"
"""What the kernel had before, in sysctl's own words."""

KEEP = "mkdir -p {folder} && sysctl {keys} >{kept}.part && mv -f {kept}.part {kept}"
APPLY = "sysctl -q -p {path}"
GIVE_BACK = "sysctl -q -p {kept} && rm -f {kept}"


@cache
def data() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(DATA.read_text())
    return found


def wanted() -> dict[str, str]:
    return {key: str(entry["value"]) for key, entry in data()["settings"].items()}


def file() -> File:
    return File(PATH, render("network/tcp.conf.j2", settings=data()["settings"]))


def before(now: Mapping[str, str], *, there: bool, kept: bool, links: bool) -> Iterator[str]:
    """Pure: what comes before the file is written or removed. now: what the kernel has. there: the file is. kept: what
    was before it is known."""
    if links and not there and not kept:
        yield KEEP.format(folder=KEPT.rpartition("/")[0], keys=" ".join(wanted()), kept=KEPT)
    if not links and kept:
        # Somebody else's value of today is not overwritten with one of long ago.
        yield GIVE_BACK.format(kept=KEPT) if now == wanted() else f"rm -f {KEPT}"


def after(now: Mapping[str, str], *, written: bool, links: bool) -> Iterator[str]:
    """Pure: what comes after it."""
    if links and (written or now != wanted()):
        yield APPLY.format(path=PATH)
