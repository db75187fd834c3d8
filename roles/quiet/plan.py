"""What keeps others' hands off a node, and what of it is otherwise (data/held.yml has the sources). Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from inventory.spec import Lab
from roles.lib.layout import STATE
from roles.lib.paths import Absent, File
from roles.lib.render import render
from roles.quiet import automatic


@cache
def data() -> dict[str, Any]:
    """data/held.yml."""
    found: dict[str, Any] = yaml.safe_load((Path(__file__).parent / "data/held.yml").read_text())
    return found


TARGETS: tuple[str, ...] = tuple(data()["sleep"]["targets"])
NEEDRESTART: str = data()["needrestart"]["path"]
APT: str = data()["apt"]["path"]
SLEEP = "/etc/systemd/sleep.conf.d/90-halofleet.conf"
AUTOMATIC: str = data()["dnf"]["path"]
FILES = (NEEDRESTART, APT, SLEEP)
FOLDERS = ("/etc/needrestart", "/etc/needrestart/conf.d", "/etc/systemd/sleep.conf.d", "/etc/apt/apt.conf.d")
"""Of the files, each before what is in it."""
BEFORE = f"{STATE}/quiet/before"
"""On the node: what was not there before us."""


@dataclass(frozen=True)
class Quiet:
    """sleep: the node must not. upgrades: what its GPU computes with is upgraded by nobody but a person."""

    sleep: bool
    upgrades: bool


@dataclass(frozen=True)
class Before:
    """masked: targets that we have masked; others are somebody else's masks, whenever they came. made: files and
    folders that were not there."""

    masked: frozenset[str]
    made: tuple[str, ...]


@dataclass(frozen=True)
class Seen:
    """tool: `apt`, `dnf` or empty. masked: targets; own: those with somebody's own file. files: with their SHA-256.
    folders: of FOLDERS. timers: dnf can upgrade by itself. automatic: its file. before: None where nothing is ours."""

    tool: str = ""
    masked: frozenset[str] = frozenset()
    own: frozenset[str] = frozenset()
    files: dict[str, str] = field(default_factory=dict)
    folders: frozenset[str] = frozenset()
    timers: bool = False
    automatic: File | None = None
    before: Before | None = None


def plan(lab: Lab, name: str) -> Quiet:
    node = lab.node(name)
    return Quiet(sleep=node.sleep == "never", upgrades=node.upgrades == "held")


def names(tool: str) -> list[str]:
    """The packages that are held, as the tool takes them."""
    return [name for each in data()[tool]["packages"] for name in each["names"]]


def files(plan: Quiet, seen: Seen) -> list[File | Absent]:
    """What has to be written or removed."""
    wanted: dict[str, str | None] = dict.fromkeys(FILES)
    wanted[NEEDRESTART] = render("quiet/needrestart.conf.j2")
    if plan.upgrades and seen.tool == "apt":
        wanted[APT] = render("quiet/apt.conf.j2", packages=data()["apt"]["packages"])
    if plan.sleep:
        wanted[SLEEP] = render("quiet/sleep.conf.j2")
    found = [Absent(path) if text is None else File(path, text) for path, text in wanted.items()]
    return [item for item in found if seen.files.get(item.path, "") != (item.sha256 if isinstance(item, File) else "")]


def conf(plan: Quiet, seen: Seen) -> File | Absent | None:
    """dnf's automatic.conf as it should be; None where it is so."""
    now = seen.automatic or File(AUTOMATIC, "")
    holds = plan.upgrades and seen.timers
    text = automatic.held(now.content, names("dnf")) if holds else automatic.free(now.content)
    if text == now.content:
        return None
    if not text and seen.before is not None and AUTOMATIC in seen.before.made:
        return Absent(AUTOMATIC)
    return File(AUTOMATIC, text, now.mode, now.owner, now.group)


def masks(plan: Quiet, seen: Seen) -> tuple[list[str], list[str]]:
    """Targets to mask, and ours to unmask."""
    if plan.sleep:
        return [each for each in TARGETS if each not in seen.masked | seen.own], []
    if seen.before is None:
        return [], []
    return [], [each for each in TARGETS if each in seen.masked & seen.before.masked]


def remembered(plan: Quiet, seen: Seen) -> Before:
    """What has to be known to give all back once the plan is there."""
    before = seen.before or Before(frozenset(), _missing(seen))
    return Before(before.masked.union(masks(plan, seen)[0]) if plan.sleep else frozenset(), before.made)


def _missing(seen: Seen) -> tuple[str, ...]:
    made = [each for each in FOLDERS if each not in seen.folders]
    return (*made, AUTOMATIC) if seen.automatic is None else tuple(made)


def folders(items: list[File | Absent], seen: Seen) -> Iterator[str]:
    """Folders that have to be made for the files."""
    needed = {str(parent) for item in items if isinstance(item, File) for parent in PurePosixPath(item.path).parents}
    return (each for each in FOLDERS if each in needed - seen.folders)


def record(before: Before) -> str:
    """The text of BEFORE."""
    lines = [*(f"masked {each}" for each in sorted(before.masked)), *(f"made {each}" for each in before.made)]
    return "".join(f"{line}\n" for line in lines)


def recorded(lines: list[str]) -> Before:
    """The other way round."""
    pairs = [line.split(" ", 1) for line in lines]
    return Before(
        frozenset(value for key, value in pairs if key == "masked"),
        tuple(value for key, value in pairs if key == "made"),
    )
