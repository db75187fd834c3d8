"""What a node lacks for its GPU stack, what it has too much, and the scripts that change it. Pure."""

from __future__ import annotations

import base64
import shlex
from dataclasses import dataclass

from roles.gpu import key
from roles.gpu.facts import Seen
from roles.gpu.plan import KEYS, MOVED, PIN, RECORD, Gpu, data, inert, packages, source
from roles.lib.layout import USER
from roles.lib.packages import PATIENTLY, SCRIPTS
from roles.lib.paths import File
from roles.lib.render import render


@dataclass(frozen=True)
class Lacking:
    """files: inert ones. source: where packages come from. packages, groups: by name. amdvlk: files in the way.

    record: all that halofleet has then put there.
    """

    files: tuple[File, ...] = ()
    source: File | None = None
    packages: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    amdvlk: tuple[str, ...] = ()
    record: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.files or self.source or self.packages or self.groups or self.amdvlk)


@dataclass(frozen=True)
class Remains:
    """packages: names and patterns, in the order in which they go. files: our own. moved: of AMDVLK's, to go back.

    record: what stays halofleet's. folder: the record's goes, nothing is left for it to say. key: the fingerprint that
    rpm forgets; empty where it never learned it.
    """

    packages: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    moved: tuple[str, ...] = ()
    record: tuple[str, ...] = ()
    folder: bool = False
    key: str = ""

    def __bool__(self) -> bool:
        return bool(self.packages or self.files or self.groups or self.moved or self.folder)


def needs_key(gpu: Gpu, seen: Seen) -> bool:
    """Whether the repository's key has to come from the control machine."""
    return "rocm" in gpu.stacks and not key.fits(seen.key, gpu.rocm.fingerprint)


def lacking(gpu: Gpu, seen: Seen, armor: str) -> Lacking:
    """armor: the repository's key; what the node has where that is the right one."""
    if not gpu.stacks or not seen.tool:
        return Lacking()
    origin = source(gpu, seen.tool)
    missing = tuple(name for name in packages(gpu)[seen.tool] if name not in seen.packages)
    groups = tuple(name for name in _groups(gpu, seen) if name not in seen.members)
    new = [f"package {_recorded(gpu, name)}" for name in missing] + [f"group {name}" for name in groups]
    return Lacking(
        files=tuple(file for file in inert(gpu, seen.tool, armor) if _differs(file, seen)),
        source=origin if origin and _differs(origin, seen) else None,
        packages=missing,
        groups=groups,
        amdvlk=seen.amdvlk if "vulkan" in gpu.stacks else (),
        record=tuple(sorted({*seen.record, *new})),
    )


def remains(gpu: Gpu, seen: Seen) -> Remains:
    """seen: after what was lacking has come."""
    wanted = [f"package {_recorded(gpu, name)}" for name in packages(gpu).get(seen.tool, ())]
    wanted += [f"group {name}" for name in _groups(gpu, seen)]
    over = [line.split(" ", 1) for line in seen.record if line not in wanted]
    kept = tuple(line for line in seen.record if line in wanted)
    ours = {file.path for file in inert(gpu, seen.tool, "")} if seen.tool else set()
    origin = source(gpu, seen.tool) if seen.tool else None
    ours |= {origin.path} if origin else set()
    files = tuple(path for path in seen.files if path not in ours)
    return Remains(
        packages=tuple(
            sorted((name for kind, name in over if kind == "package"), key=lambda name: _turn(seen.tool, name))
        ),
        files=files,
        groups=tuple(name for kind, name in over if kind == "group"),
        moved=() if "vulkan" in gpu.stacks else seen.moved,
        record=kept,
        folder=seen.folder and not kept,
        key=gpu.rocm.fingerprint if KEYS["dnf"] in files else "",
    )


def _differs(file: File, seen: Seen) -> bool:
    return seen.files.get(file.path) != (file.mode, file.sha256)


def _groups(gpu: Gpu, seen: Seen) -> tuple[str, ...]:
    """A software device needs none."""
    return tuple(name for name in data()["groups"]["names"] if gpu.own and gpu.stacks and name in seen.groups)


def _turn(tool: str, name: str) -> int:
    """When the package goes: before what it may need. AMD's first, and what only an earlier halofleet knows."""
    names = [known for entry in data()["packages"].values() for known in entry.get(tool, ())]
    return -names.index(name) if name in names else -len(names)


def _recorded(gpu: Gpu, name: str) -> str:
    """AMD's packages bring some fifty others of theirs, and those go with them."""
    return gpu.rocm.names if name.startswith("amdrocm") else name


def add_script(gpu: Gpu, seen: Seen, want: Lacking) -> str:
    names = " ".join(map(shlex.quote, want.packages))
    return render(
        "gpu/add.sh.j2",
        tool=seen.tool,
        patiently=PATIENTLY,
        folder=RECORD,
        record=want.record,
        source=want.source,
        content=base64.b64encode(want.source.content.encode()).decode() if want.source else "",
        inert=(KEYS[seen.tool], PIN),
        repository=gpu.rocm.repository,
        fingerprint=gpu.rocm.fingerprint,
        os=gpu.os,
        names=names,
        install=SCRIPTS[seen.tool].replace("{names}", names),
        user=USER,
        groups=",".join(want.groups),
        amdvlk=want.amdvlk,
        moved=MOVED,
    )


def remove_script(seen: Seen, over: Remains) -> str:
    return render(
        "gpu/remove.sh.j2",
        tool=seen.tool,
        patiently=PATIENTLY,
        folder=RECORD,
        over=over,
        user=USER,
        moved=MOVED,
    )
