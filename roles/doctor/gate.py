"""The gate: what is installed against versions that are known to be bad. Pure; data/known_bad.yml knows.

`check` also judges what is only planned, by package and version.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import yaml

from roles.doctor import versions
from roles.doctor.box import Box
from roles.lib.finding import Finding, Severity

DATA = Path(__file__).parent / "data/known_bad.yml"
ABI = re.compile(r"^([0-9.]+-[0-9]+).*")
"""Of a package's version 6.17.0-19.19~24.04.2, a release of the kernel says 6.17.0-19."""


@cache
def data() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(DATA.read_text())
    return found


def gate(box: Box, node: str, *, kernel: bool = True, rocm: bool | None = None, series: str = "") -> list[Finding]:
    """Everything against the box. kernel: the kernel is the box's own. rocm: ROCm will be used; None where nobody has
    said, and AMD's build of it counts, if it is there. series: the one that will be used, be it there or not."""
    uses_rocm = bool(box.rocm) if rocm is None else rocm
    found = [finding for name, version in installed(box) for finding in check(name, version, box.os, node, uses_rocm)]
    if kernel and box.kernel:
        found += kernels(box, node, uses_rocm)
    version = _without_epoch(box.rocm)
    if series and not version.startswith(f"{series}."):  # another one is there, and will not be used
        version = series
    if version and box.kernel:
        found += rocm_and_kernel(box, version, node, uses_rocm)
    return found


def installed(box: Box) -> Iterator[tuple[str, str]]:
    """What the gate knows, by its own names."""
    firmware = next((box.packages[name] for name in ("amd-gpu-firmware", "linux-firmware") if name in box.packages), "")
    mesa = box.packages.get("mesa-vulkan-drivers", "")
    of_gpu = box.gpu.mes if box.gpu else ""
    pairs = (("linux-firmware", firmware), ("mes", of_gpu), ("mesa", _without_epoch(mesa)))
    yield from ((name, version) for name, version in pairs if version)
    if "amdgpu-dkms" in box.packages:
        yield "amdgpu-dkms", box.packages["amdgpu-dkms"]


def _without_epoch(version: str) -> str:
    return version.rpartition(":")[2]


def check(package: str, version: str, os: str, node: str, rocm: bool = False) -> list[Finding]:
    """What is known of a version of kernel, linux-firmware, mes, mesa, amdgpu-dkms or llama.cpp (a date, 20260908)."""
    found = []
    for entry in data()["versions"]:
        if entry["package"] != package or not _speaks_of(entry.get("os"), os):
            continue
        if not versions.within(version, entry["range"], entry["order"]):
            continue
        severity: Severity = (
            "warn" if entry["severity"] == "stop" and entry.get("rocm") and not rocm else entry["severity"]
        )
        expected = f"not {entry['range']}" if entry["range"] != ">=0" else "not installed"
        seen = f"{package} {version}: {entry['effect']}"
        found.append(Finding(entry["id"], severity, node, seen, expected, entry["fix"], entry["source"]))
    return found


def _speaks_of(wanted: list[str] | None, os: str) -> bool:
    """`fedora` speaks of fedora-43 too."""
    return wanted is None or any(os == name or os.startswith(f"{name}-") for name in wanted)


@dataclass(frozen=True)
class Kernel:
    """seen: the version that was compared. oldest: the oldest good one; empty where any will do."""

    seen: str
    oldest: str = ""
    good: bool = True


def judge_kernel(box: Box, release: str) -> Kernel:
    """Whether the kernel has the fixes that ROCm needs."""
    for entry in data()["minimum_kernels"]:
        flavour = entry.get("flavour", "")
        if not _speaks_of(entry.get("os"), box.os) or not release.endswith(f"-{flavour}" if flavour else ""):
            continue
        if entry["minimum"] is None:
            break
        oldest = entry["minimum"]
        seen = box.packages.get(f"linux-image-{release}", "") if entry["from"] == "package" else ""
        if not seen:
            seen = release.removesuffix(f"-{flavour}")
            oldest = ABI.sub(r"\1", oldest)
        good = versions.within(seen, f">={oldest}", entry["order"])
        return Kernel(seen, oldest, good)
    return Kernel(release)


def kernels(box: Box, node: str, rocm: bool) -> list[Finding]:
    """Of the kernel that runs; one that boots next counts too, for better or worse."""
    known = data()
    running, following = judge_kernel(box, box.kernel), judge_kernel(box, box.next_kernel)
    if box.next_kernel in ("", box.kernel):
        following = running
    if running.good and following.good:
        return []
    bad, release, when = (
        (running, box.kernel, "runs") if not running.good else (following, box.next_kernel, "boots next")
    )
    # A box that was upgraded and not rebooted is told so, not sent to upgrade again.
    fix = f"reboot: {box.next_kernel} boots next" if following.good else known["minimum_kernels_fix"]
    severity: Severity = "stop" if rocm else "warn"
    seen = f"{release} {when}: {known['minimum_kernels_effect']}"
    source = known["minimum_kernels_source"]
    return [Finding("minimum kernel", severity, node, seen, f"{bad.oldest} or newer", fix, source)]


def rocm_and_kernel(box: Box, version: str, node: str, rocm: bool) -> list[Finding]:
    """Of AMD's own build, in this version."""
    known = data()
    column: Literal["fixed", "old"] = "fixed" if judge_kernel(box, box.kernel).good else "old"
    for entry in known["rocm"]:
        if versions.within(version, entry["range"], "upstream") and (severity := entry[column]) != "ok":
            seen = f"ROCm {version} on kernel {box.kernel}: {known['rocm_effect'][severity]}"
            expected = "a pair that AMD calls stable"
            weight: Severity = severity if rocm else "warn"
            return [Finding("ROCm and kernel", weight, node, seen, expected, known["rocm_fix"], known["rocm_source"])]
    return []
