"""A release: one llama.cpp, built once per platform, known by a name that the inventory alone decides."""

from __future__ import annotations

import hashlib
import json
import platform
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from inventory.spec import Lab
from inventory.spec.language.sources import ArchiveSource, GitSource
from roles.gpu import plan as gpu
from roles.lib import layout
from roles.lib.packages import Table

RECIPE = 2
"""Goes into every release's name: raise it when build.sh changes what it makes."""

BINARIES = ("ggml-rpc-server", "llama-server", "llama-bench")
HASHER = "fnv1a64"
"""Of our own, compiled beside them: the hash that the RPC server's cache files are named by (roles/rpc_cache)."""


@cache
def data() -> dict[str, Any]:
    """data/backends.yml."""
    found: dict[str, Any] = yaml.safe_load((Path(__file__).parent / "data/backends.yml").read_text())
    return found


def cmake_of(backend: str) -> tuple[str, ...]:
    return tuple(each["flag"] for each in (*data()["every"], *data()["backends"][backend]["cmake"]))


def build_packages(backend: str, rocm: str = "") -> Table:
    """Of a C++ compiler, cmake, ninja, and what the backend is compiled with."""
    lists = (data()["packages"], gpu.build_packages(backend, rocm))
    return {tool: tuple(name for each in lists for name in each[tool]) for tool in ("apt", "dnf")}


@dataclass(frozen=True)
class Release:
    """builder: the node that compiles it."""

    id: str
    source: GitSource | ArchiveSource
    cmake: tuple[str, ...]
    builder: str
    backend: str
    os: str
    arch: str
    software: bool = False
    """There is no GPU: a virtual host computes by a software device where the backend has one."""
    rocm: str = ""
    """The series that it is compiled with and runs on, where it computes by ROCm."""

    @property
    def environment(self) -> tuple[str, ...]:
        """`NAME=VALUE`, for everything that runs the release."""
        known = gpu.environment(self.backend, self.rocm)
        known |= data()["software"].get(self.backend, {}) if self.software else {}
        return tuple(f"{name}={value}" for name, value in known.items())

    @property
    def device(self) -> str:
        """What llama.cpp calls the GPU that computes by this backend; empty for the CPU. Named in the units: a program
        that does not find it ends, where it would take the CPU without a word otherwise."""
        name: str = data()["backends"][self.backend]["device"]
        return name

    @property
    def path(self) -> str:
        return f"{layout.RELEASES}/{self.id}"

    @property
    def link(self) -> str:
        """Points to the release, as long as it is the one that runs by its backend: what units name."""
        return layout.release_link(self.backend)


def arch_of(lab: Lab) -> str:
    """As uname -m says. A Strix Halo box is x86_64; a virtual host is what this machine is."""
    return platform.machine() if lab.spec.virtual else "x86_64"


def plan(lab: Lab, name: str) -> tuple[Release, ...]:
    """The releases that this node runs: one for each backend."""
    return tuple(release(lab, name, backend) for backend in lab.backends(name))


def of_serve(lab: Lab, serve: str, name: str) -> Release:
    """The release that the node runs for the serve."""
    return release(lab, name, lab.backend(serve, name))


def release(lab: Lab, name: str, backend: str) -> Release:
    """Nodes of one platform share it; the first of them by id builds it."""
    node = lab.node(name)
    source = lab.spec.llama_cpp.source
    cmake = cmake_of(backend) + getattr(lab.spec.llama_cpp.cmake, backend)
    arch = arch_of(lab)
    rocm = lab.spec.rocm.version if backend == "rocm" else ""
    platform_key = (node.os, backend, rocm) if rocm else (node.os, backend)
    builder = min(
        (other for other, spec in lab.nodes.items() if spec.os == node.os and backend in lab.backends(other)),
        key=lambda other: lab.node(other).id,
    )
    parts = [RECIPE, source.model_dump(mode="json"), cmake, arch, *platform_key]
    digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:10]
    label = source.ref if isinstance(source, GitSource) else source.commit
    label = re.sub(r"[^A-Za-z0-9._]+", "-", label)[:40]
    return Release(
        id=f"{label}-{backend}-{node.os}-{arch}-{digest}",
        source=source,
        cmake=cmake,
        builder=builder,
        backend=backend,
        os=node.os,
        arch=arch,
        software=lab.spec.virtual is not None,
        rocm=rocm,
    )
