"""A built release as a file in the control machine's cache: what was compiled once is put on every node."""

from __future__ import annotations

import json
import re
import tarfile
from functools import cache
from pathlib import Path
from typing import Any

from inventory.spec import home
from roles.lib.local import sha256_cached, whole
from roles.llama_cpp.plan import Release

TEXTS = re.compile(r"\./(release\.json|SHA256SUMS|help/[^/]+\.txt)")


def path_of(release: Release) -> Path:
    return home.cache("releases") / f"{release.id}.tar.gz"


def is_cached(release: Release) -> bool:
    """Whether it is there, as it was when it came. A damaged one is removed: it will be fetched or built again."""
    path, note = path_of(release), sum_of(release)
    if not (path.is_file() and note.is_file()):
        return False
    if sha256_cached(path) == note.read_text():
        return True
    path.unlink()
    note.unlink()
    return False


def sum_of(release: Release) -> Path:
    """The artifact's sum, written after it."""
    return path_of(release).with_suffix(".gz.sha256")


def keep(release: Release) -> None:
    """Called when the artifact has arrived: notes its sum."""
    with whole(sum_of(release)) as part:
        part.write_text(sha256_cached(path_of(release)))


@cache
def _texts(path: Path) -> dict[str, str]:
    """What the release says of itself, by file. Kept by the artifact's sum: it is unpacked for them once, not at every
    run."""
    note = home.cache("sums") / f"{sha256_cached(path)}.json"
    if not note.is_file():
        with tarfile.open(path) as tar, whole(note) as part:
            found = {member.name[2:]: _read(tar, member) for member in tar if TEXTS.fullmatch(member.name)}
            part.write_text(json.dumps(found))
    texts: dict[str, str] = json.loads(note.read_text())
    return texts


def _read(tar: tarfile.TarFile, member: tarfile.TarInfo) -> str:
    file = tar.extractfile(member)
    return file.read().decode() if file else ""


def manifest(release: Release) -> dict[str, Any]:
    """release.json: id, commit, source, cmake arguments. The artifact must be in the cache."""
    found: dict[str, Any] = json.loads(_texts(path_of(release))["release.json"])
    return found


def sums(release: Release) -> str:
    """SHA256SUMS of the release's files, as sha256sum wrote them."""
    return _texts(path_of(release))["SHA256SUMS"]


def flags(release: Release, binary: str) -> frozenset[str]:
    """Every long option that the built binary's own --help names: llama.cpp renames them from version to version."""
    return offered(_texts(path_of(release))[f"help/{binary}.txt"])


def offered(text: str) -> frozenset[str]:
    """The long options of a --help."""
    return frozenset(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]+", text))
