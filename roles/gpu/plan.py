"""Which stack computes on a node, and what it is made of (data/stacks.yml has the sources)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from inventory.spec import Lab
from inventory.spec.language.sources import Rocm as Said
from roles.lib.layout import STATE
from roles.lib.packages import Table
from roles.lib.paths import File
from roles.lib.render import render

RECORD = f"{STATE}/gpu"
"""What halofleet has put on the node for its GPU: a line for each thing. The node has no such folder without."""

KEYS = {"apt": "/etc/apt/keyrings/halofleet-amdrocm.asc", "dnf": "/etc/pki/rpm-gpg/RPM-GPG-KEY-halofleet-amdrocm"}
SOURCES = {"apt": "/etc/apt/sources.list.d/halofleet-amdrocm.sources", "dnf": "/etc/yum.repos.d/halofleet-amdrocm.repo"}
PIN = "/etc/apt/preferences.d/halofleet-amdrocm"
OURS = (*KEYS.values(), *SOURCES.values(), PIN)
MOVED = ".halofleet"
"""What a file of AMDVLK's ends in while it is out of the loader's way."""


@cache
def data() -> dict[str, Any]:
    """data/stacks.yml."""
    found: dict[str, Any] = yaml.safe_load((Path(__file__).parent / "data/stacks.yml").read_text())
    return found


def traces() -> tuple[str, ...]:
    """A node that has none of these files has nothing of ours for its GPU, wherever a run was killed."""
    return (RECORD, *OURS, *(f"{file}{MOVED}" for file in data()["amdvlk"]["files"]))


@dataclass(frozen=True)
class Rocm:
    """version: its series, such as 10.0. repository: the folder above every distribution's. pin: from the repository's
    host apt takes nothing but ROCm."""

    version: str
    repository: str
    key: str
    fingerprint: str
    pin: bool = True

    @property
    def prefix(self) -> str:
        return str(data()["rocm"]["prefix"]).replace("{}", self.version)

    @property
    def host(self) -> str:
        return urlsplit(self.repository).hostname or ""

    @property
    def names(self) -> str:
        """A pattern of all its packages, and of no other series'."""
        return f"amdrocm*{self.version}*"


@dataclass(frozen=True)
class Gpu:
    """backends: what the node computes with, of cpu, vulkan and rocm. own: the kernel is its own, and so is the GPU; a
    node without has Vulkan in software, and nothing to ask ROCm about."""

    node: str
    os: str
    own: bool
    backends: tuple[str, ...]
    rocm: Rocm

    @property
    def stacks(self) -> tuple[str, ...]:
        """Backends that need one."""
        return tuple(name for name in ("vulkan", "rocm") if name in self.backends)


def plan(lab: Lab, name: str) -> Gpu:
    node = lab.node(name)
    return Gpu(name, node.os, node.kernel == "own", lab.backends(name), rocm(lab.spec.rocm))


def rocm(said: Said) -> Rocm:
    """said: `rocm` of lab.yml."""
    return Rocm(said.version, said.repository.rstrip("/"), said.key, said.fingerprint, said.pin)


def environment(backend: str, series: str = "") -> dict[str, str]:
    """What a unit that uses the backend has in its environment. series: ROCm's, where that is the backend."""
    return {name: value.replace("{}", series) for name, value in data()["environment"][backend].items()}


def build_packages(backend: str, series: str = "") -> Table:
    """What compiling for the backend needs beside a C++ compiler, cmake and ninja."""
    return _table(data()["build"].get(backend, {}), series)


def packages(gpu: Gpu) -> Table:
    """What the node's stacks need to run."""
    tables = [_table(data()["packages"][stack], gpu.rocm.version) for stack in gpu.stacks]
    return {tool: tuple(dict.fromkeys(name for table in tables for name in table[tool])) for tool in ("apt", "dnf")}


def _table(entry: dict[str, Any], series: str) -> Table:
    return {tool: tuple(name.replace("{}", series) for name in entry.get(tool, ())) for tool in ("apt", "dnf")}


def release(os_name: str) -> dict[str, Any] | None:
    """What is known of a distribution's release; None where it is none of ours."""
    found: dict[str, Any] | None = data()["releases"].get(os_name)
    return found


def inert(gpu: Gpu, tool: str, key: str) -> tuple[File, ...]:
    """Files that do nothing before their source is there. key: in armor."""
    if "rocm" not in gpu.stacks:
        return ()
    pin = File(PIN, render("gpu/amdrocm.pref.j2", host=gpu.rocm.host, names=data()["rocm"]["names"]))
    return (File(KEYS[tool], key), *((pin,) if tool == "apt" and gpu.rocm.pin else ()))


def source(gpu: Gpu, tool: str) -> File | None:
    """Where the packages come from that the distribution has not; None where it has them all."""
    known = release(gpu.os)
    if "rocm" not in gpu.stacks or known is None or known["rocm"] is None:
        return None
    url = f"{gpu.rocm.repository}/{known['rocm']}" + ("/" if tool == "apt" else "")
    template = "gpu/amdrocm.sources.j2" if tool == "apt" else "gpu/amdrocm.repo.j2"
    return File(SOURCES[tool], render(template, url=url, key=KEYS[tool], names=data()["rocm"]["names"]))
