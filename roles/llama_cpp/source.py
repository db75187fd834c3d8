"""The source of llama.cpp as one checked tarball in the control machine's cache, wherever it comes from.

The nodes need no way to git hosts: they get the tarball.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import requests

from inventory.spec import home
from inventory.spec.language.sources import ArchiveSource, GitSource
from roles.lib.local import BLOCK, sha256, whole
from roles.lib.stop import Failed


@dataclass(frozen=True)
class Tarball:
    """A .tar.gz with one top folder; subdir: where llama.cpp is below it."""

    path: Path
    subdir: str
    commit: str


def fetch(source: GitSource | ArchiveSource) -> Tarball:
    """From the cache, or downloaded into it. Raises Failed with the reason and what to do."""
    if isinstance(source, GitSource):
        return _from_git(source)
    path = home.cache("sources") / f"{source.sha256}.tar.gz"
    if not path.is_file():
        with whole(path) as part:
            _download(source.archive, part)
            found = sha256(part)
            if found != source.sha256:
                raise Failed(
                    f"llama_cpp.source: {source.archive} has sha256 {found}, lab.yml says {source.sha256}; "
                    "if the new file is the one you mean, write its sum into lab.yml"
                )
    return Tarball(path, source.subdir, source.commit)


def _download(archive: str, part: Path) -> None:
    if archive.startswith("pypi:"):
        _pip_download(archive.removeprefix("pypi:"), part)
    elif archive.startswith(("http://", "https://")):
        try:
            with requests.get(archive, stream=True, timeout=30) as answer:
                answer.raise_for_status()
                with part.open("wb") as file:
                    for block in answer.iter_content(BLOCK):
                        file.write(block)
        except requests.RequestException as error:
            raise Failed(f"llama_cpp.source: {archive}: {error}") from error
    else:
        path = Path(archive).expanduser()
        if not path.is_file():
            raise Failed(f"llama_cpp.source: archive {archive}: no such file on this machine")
        shutil.copyfile(path, part)


def _pip_download(requirement: str, part: Path) -> None:
    """pip, because it knows this machine's package index and its certificates.

    pip reads the package's metadata, for which it may install the package's build tools aside; those as wheels.
    """
    name = re.split(r"[<>=!~\[; ]", requirement, maxsplit=1)[0]
    with tempfile.TemporaryDirectory(dir=part.parent) as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        command += ["--no-binary", name, "--dest", folder, requirement]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        found = list(Path(folder).glob("*.tar.gz"))
        if result.returncode or len(found) != 1:
            reason = (result.stderr.strip().splitlines() or ["no source package came"])[-1]
            raise Failed(f"llama_cpp.source: pip download {requirement}: {reason}")
        found[0].replace(part)


def _from_git(source: GitSource) -> Tarball:
    """A shallow fetch of the ref, packed by git archive; the commit is kept beside the tarball."""
    key = hashlib.sha256(f"{source.git}\0{source.ref}".encode()).hexdigest()
    path = home.cache("sources") / f"git-{key}.tar.gz"
    note = path.with_suffix(".commit")
    if not (path.is_file() and note.is_file()):
        with tempfile.TemporaryDirectory() as folder, whole(path) as part:
            _git(folder, "init", "--quiet")
            _git(folder, "fetch", "--quiet", "--depth", "1", "--", source.git, source.ref)
            commit = _git(folder, "rev-parse", "FETCH_HEAD").strip()
            _git(folder, "archive", "--format=tar.gz", "--prefix=llama.cpp/", "-o", str(part), "FETCH_HEAD")
            note.write_text(commit)
    return Tarball(path, ".", note.read_text().strip()[:9])


def _git(folder: str, *arguments: str) -> str:
    environment = {**os.environ, "GIT_TERMINAL_PROMPT": "0"}
    try:
        result = subprocess.run(
            ["git", "-C", folder, *arguments], capture_output=True, text=True, check=False, env=environment
        )
    except FileNotFoundError as error:
        raise Failed("llama_cpp.source: git is not installed on this machine") from error
    if result.returncode:
        raise Failed(f"llama_cpp.source: git {arguments[0]}: {result.stderr.strip()}")
    return result.stdout
