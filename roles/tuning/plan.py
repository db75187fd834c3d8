"""Which profile of tuned a box is to have, and what on it is otherwise (data/values.yml has the sources)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from inventory.spec import Lab
from roles.lib.layout import STATE
from roles.lib.packages import Table
from roles.lib.render import render


@cache
def data() -> dict[str, Any]:
    """data/values.yml."""
    found: dict[str, Any] = yaml.safe_load((Path(__file__).parent / "data/values.yml").read_text())
    return found


PROFILE = "halofleet"
PARENT: str = data()["parent"]["value"]
DIRTY: dict[str, int] = data()["dirty"]["values"]
"""Below /proc/sys/vm."""
SECTIONS: tuple[str, ...] = tuple(data()["sections"]["values"])
PACKAGES: Table = {tool: tuple(data()["packages"][tool]) for tool in ("apt", "dnf")}
TUNED = "tuned.service"
BUS: tuple[str, ...] = tuple(data()["rivals"]["bus"])
"""D-Bus starts them, enabled or not."""
RIVALS = (*BUS, *data()["rivals"]["others"])
BEFORE = f"{STATE}/tuning/before"
"""On the node: what was there before us."""


@dataclass(frozen=True)
class Tuning:
    """own: the node has a kernel of its own. wanted: lab.yml wants the profile there. somewhere: some node of the lab
    has a kernel of its own."""

    own: bool
    wanted: bool
    somewhere: bool


@dataclass(frozen=True)
class Unit:
    """As systemctl(1) show has it: LoadState, UnitFileState, ActiveState."""

    load: str = "not-found"
    file: str = ""
    active: str = "inactive"


@dataclass(frozen=True)
class Before:
    """active, mode: tuned's files, empty where they were. units: TUNED and the rivals."""

    active: str
    mode: str
    units: dict[str, Unit]


@dataclass(frozen=True)
class Seen:
    """section: where this tuned's own profile has its dirty pages; empty where there is no tuned. profile: SHA-256 of
    our profile. dirty: below /proc/sys/vm. before: None where nothing is ours."""

    section: str = ""
    profile: str = ""
    active: str = ""
    mode: str = ""
    dirty: dict[str, int] = field(default_factory=dict)
    units: dict[str, Unit] = field(default_factory=dict)
    before: Before | None = None


def plan(lab: Lab, name: str) -> Tuning:
    node = lab.node(name)
    own = node.kernel == "own"
    somewhere = any(lab.node(each).kernel == "own" for each in lab.nodes)
    return Tuning(own=own, wanted=own and node.tuning == "performance", somewhere=somewhere)


def profile(section: str) -> str:
    """Our tuned.conf."""
    return render("tuning/tuned.conf.j2", parent=PARENT, section=section, values=DIRTY)


def rivals(seen: Seen) -> list[str]:
    """Units that would set another profile, or stop tuned."""
    found = []
    for name in RIVALS:
        unit = seen.units.get(name, Unit())
        counts = name in BUS or unit.file == "enabled" or unit.active == "active"
        if unit.load not in ("not-found", "masked") and counts:
            found.append(name)
    return found


def differing(seen: Seen) -> list[str]:
    """What is not as it should be, in words; nothing where all is."""
    found = [f"{name} is there" for name in rivals(seen)]
    if not seen.section:
        return ["tuned is not installed", *found]
    if seen.profile != hashlib.sha256(profile(seen.section).encode()).hexdigest():
        found.append(f"tuned's profile {PROFILE} is {'another' if seen.profile else 'not there'}")
    if (seen.active, seen.mode) != (PROFILE, "manual"):
        found.append(f"tuned's profile is {seen.active or 'none'}")
    tuned = seen.units.get(TUNED, Unit())
    if (tuned.file, tuned.active) != ("enabled", "active"):
        found.append(f"{TUNED} is {tuned.file or tuned.load} and {tuned.active}")
    for name, value in DIRTY.items():
        if seen.dirty.get(name) != value:
            found.append(f"vm.{name} is {seen.dirty.get(name, 'not there')}")
    return found


def record(seen: Seen) -> str:
    """The text of BEFORE. Our own profile is never what was there before us, though the first record be lost."""
    active, mode = ("", "") if seen.active == PROFILE else (seen.active, seen.mode)
    units = [f"unit {name} {unit.load} {unit.active} {unit.file}".rstrip() for name, unit in seen.units.items()]
    return "\n".join([f"active {active}".rstrip(), f"mode {mode}".rstrip(), *units]) + "\n"


def recorded(lines: list[str]) -> Before:
    """The other way round."""
    said = {"active": "", "mode": ""}
    units = {}
    for line in lines:
        key, _, rest = line.partition(" ")
        if key == "unit":
            name, load, active, file = (*rest.split(), "")[:4]
            units[name] = Unit(load, file, active)
        else:
            said[key] = rest
    return Before(said["active"], said["mode"], units)
