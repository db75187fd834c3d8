"""The lab of these tests: three nodes in a ring, written as a lab.yml and read by the real loader."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from inventory.spec import Lab
from inventory.spec.load import load
from roles.llama_cpp import artifact
from roles.llama_cpp.plan import BINARIES, HASHER, Release
from tests.sim.build import HELP, program
from tests.sim.flavours import Flavour

COMMIT = "0c1e57098"
TOP = "llama_cpp-1/vendor/llama.cpp"


@dataclass(frozen=True)
class Home:
    """folder: $HALOFLEET_HOME. The files that a lab needs on the control machine are below it."""

    folder: Path

    @property
    def source(self) -> Path:
        path = self.folder / "source.tar.gz"
        if not path.is_file():
            _tar(path, {f"{TOP}/CMakeLists.txt": ("project(llama)\n", 0o644)})
        return path

    @property
    def model(self) -> Path:
        path = self.folder / "model.gguf"
        if not path.is_file():
            path.write_bytes(b"GGUF" + bytes(range(256)) * 8)
        return path

    def lab(self, flavour: Flavour, *, user: str = "root", changes: dict[str, Any] | None = None) -> Lab:
        """changes: parts of the file that are otherwise; `a.b.c` names a key in depth, None removes it."""
        kernel = "none" if flavour.os == "debian-13" else "own"
        file: dict[str, Any] = {
            "management": "10.43.0.0/24",
            "defaults": {"os": flavour.os, "kernel": kernel, "ssh": {"user": user}},
            "nodes": {f"halo{number}": {"id": number, "address": f"10.43.0.1{number}"} for number in (1, 2, 3)},
            "links": [
                {"usb4": {"halo1": "thunderbolt0", "halo2": "thunderbolt0"}},
                {"usb4": {"halo2": "thunderbolt1", "halo3": "thunderbolt0"}},
                {"usb4": {"halo3": "thunderbolt1", "halo1": "thunderbolt1"}},
            ],
            "llama_cpp": {
                "source": {
                    "archive": str(self.source),
                    "sha256": hashlib.sha256(self.source.read_bytes()).hexdigest(),
                    "subdir": "vendor/llama.cpp",
                    "commit": COMMIT,
                }
            },
            "models": {"tiny": {"file": str(self.model)}},
            "serves": {
                "chat": {"model": "tiny", "controller": "halo1", "workers": ["halo2", "halo3"], "context": 2048}
            },
        }
        for key, value in (changes or {}).items():
            *way, last = key.split(".")
            part: Any = file
            for step in way:
                part = part[int(step) if step.isdigit() else step]
            if value is not None:
                part[int(last) if last.isdigit() else last] = value
            elif isinstance(part, list):
                del part[int(last)]
            else:
                part.pop(last, None)
        return _loaded(self.folder / "lab.yml", json.dumps(file))


@cache
def _loaded(path: Path, text: str) -> Lab:
    path.write_text(text)  # JSON is YAML
    return load(path)


def make_artifact(release: Release) -> Path:
    """The release in the control machine's cache, as build.sh packs it."""
    path = artifact.path_of(release)
    files = {f"bin/{name}": (program(name, COMMIT), 0o755) for name in BINARIES}
    files |= {f"help/{name}.txt": (HELP[name], 0o644) for name in BINARIES}
    files[f"bin/{HASHER}"] = ("", 0o755)
    note = {"id": release.id, "commit": COMMIT, "cmake": release.cmake}
    files["release.json"] = (json.dumps(note), 0o644)
    sums = [f"{hashlib.sha256(text.encode()).hexdigest()}  {name}\n" for name, (text, _) in sorted(files.items())]
    files["SHA256SUMS"] = ("".join(sums), 0o644)
    path.parent.mkdir(parents=True, exist_ok=True)
    _tar(path, {f"./{name}": content for name, content in files.items()})
    artifact.keep(release)
    return path


def _tar(path: Path, files: dict[str, tuple[str, int]]) -> None:
    with tarfile.open(path, "w:gz") as tar:
        for name, (text, mode) in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(text.encode()), mode
            tar.addfile(info, io.BytesIO(text.encode()))
