"""What stands against a node's GPU stack, and whether the stack does what it is for. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from packaging.version import Version

from roles.doctor import gate
from roles.gpu.facts import Seen
from roles.gpu.plan import Gpu, data, release
from roles.lib.finding import Finding, Severity

NAMES = ("STRIX_HALO", "GFX1151")
"""How RADV calls the GPU, since Mesa 25.3 or so and before."""
GFX = "gfx1151"


def against(gpu: Gpu, seen: Seen) -> list[Finding]:
    """Before anything is changed; warnings too."""
    if not gpu.stacks:
        return []
    return [*supported(gpu), *_older(gpu, seen), *_mesa(gpu, seen)]


def supported(gpu: Gpu) -> Iterator[Finding]:
    """By the inventory alone."""
    known = release(gpu.os)
    for stack in gpu.stacks:
        if known is None or (stack == "rocm" and known["rocm"] is None):
            able = [name for name, entry in data()["releases"].items() if stack == "vulkan" or entry["rocm"]]
            fix = f"install {nearest(gpu.os, able)} there, or take another backend"
            expected = f"a release with a GPU stack: {', '.join(able)}"
            yield Finding(f"backend {stack}", "stop", gpu.node, gpu.os, expected, fix)


def nearest(os: str, able: Iterable[str]) -> str:
    """The supported release of the same distribution with the nearest number; of another one, the newest of each."""
    name, _, number = os.rpartition("-")
    releases = [other.rpartition("-") for other in able]
    same = [other for distribution, _, other in releases if distribution == name]
    if same and re.fullmatch(r"[0-9]+(\.[0-9]+)*", number):
        wanted = Version(number)
        newer = [other for other in same if Version(other) > wanted]
        return f"{name}-{min(newer, key=Version) if newer else max(same, key=Version)}"
    newest: dict[str, str] = {}
    for distribution, _, other in releases:
        newest[distribution] = max(newest.get(distribution, other), other, key=Version)
    return " or ".join(f"{distribution}-{other}" for distribution, other in newest.items() if distribution != "debian")


def _older(gpu: Gpu, seen: Seen) -> Iterator[Finding]:
    """ROCm's of before, which cannot be beside AMD's own of today; kernel modules for any stack."""
    if gpu.own and "amdgpu-dkms" in seen.packages:
        yield from gate.check("amdgpu-dkms", seen.packages["amdgpu-dkms"], seen.os, gpu.node)
    if "rocm" not in gpu.stacks:
        return
    known = data()["older_rocm"]
    source = ", ".join(known["sources"])
    expected = "no ROCm of before 7.9 beside AMD's packages of today"
    for name in known["packages"]:
        if name in seen.packages:
            version, fix = seen.packages[name], known["fix"][seen.tool]
            yield Finding("older ROCm", "stop", gpu.node, f"{name} {version}", expected, fix, source)
            return
    if seen.rocm_link and not seen.rocm_link.startswith(("core-", "/opt/rocm/core-")):
        fix = "remove the ROCm that it belongs to; where that is gone already: rm /opt/rocm"
        yield Finding("older ROCm", "stop", gpu.node, f"/opt/rocm -> {seen.rocm_link}", expected, fix, source)
    for file in seen.sources:
        fix = f"rm {file}: halofleet writes its own, and apt refuses one repository with two keys"
        yield Finding("ROCm's repository", "stop", gpu.node, f"also in {file}", "in halofleet's file alone", fix)
    for file in seen.neighbours if gpu.rocm.pin else ():
        seen_there = f"{gpu.rocm.host} also serves what {file} names"
        fix = "write `pin: false` under rocm in lab.yml, or give ROCm's mirror a name of its own"
        yield Finding("apt's pin", "stop", gpu.node, seen_there, "a host from which apt takes ROCm alone", fix)


def _mesa(gpu: Gpu, seen: Seen) -> Iterator[Finding]:
    """The one that is installed; what is to be installed is looked at when it is there."""
    version = seen.packages.get("mesa-vulkan-drivers", "").rpartition(":")[2]
    known = release(gpu.os)
    if not (gpu.own and version and known and "vulkan" in gpu.stacks):
        return
    for found in gate.check("mesa", version, seen.os, gpu.node):
        fix = f"a newer one: {known['newer']}"
        yield Finding(found.rule, found.severity, gpu.node, found.seen, found.expected, fix, found.source)


def unfit(gpu: Gpu, seen: Seen) -> list[Finding]:
    """Why the stack does not do what it is for, as the service user sees it."""
    found = [*_mesa_stops(gpu, seen)]
    if "vulkan" in gpu.stacks and (trouble := vulkan(gpu, seen)):
        found.append(_stop(gpu, "vulkaninfo", *trouble))
    if "rocm" in gpu.stacks and gpu.own and (trouble := rocm(seen)):
        found.append(_stop(gpu, "rocminfo", *trouble))
    return found


def _mesa_stops(gpu: Gpu, seen: Seen) -> list[Finding]:
    return [finding for finding in _mesa(gpu, seen) if finding.severity == "stop"]


def _stop(gpu: Gpu, rule: str, seen: str, expected: str, fix: str) -> Finding:
    severity: Severity = "stop"
    return Finding(rule, severity, gpu.node, seen, expected, fix)


def devices(seen: Seen) -> list[str]:
    """Their names, as vulkaninfo prints them."""
    found = (re.match(r"\s*deviceName\s*=\s*(.*\S)", line) for line in seen.vulkan)
    return [match[1] for match in found if match]


def vulkan(gpu: Gpu, seen: Seen) -> tuple[str, str, str] | None:
    """(what was seen, expected, what to do), or nothing where the device is there."""
    names = devices(seen)
    if not gpu.own:
        fix = "look at vulkaninfo --summary there: mesa-vulkan-drivers brings a software device, llvmpipe"
        return None if names else (_last(seen.vulkan), "a device", fix)
    if any("RADV" in name and any(gpu_name in name for gpu_name in NAMES) for name in names):
        return None
    expected = "a device of RADV's, (RADV STRIX_HALO) or (RADV GFX1151)"
    if any("RADV" not in name and "Radeon" in name for name in names):  # 8060S, 8050S, 8040S
        fix = "another driver answers for the GPU: look into /etc/vulkan/icd.d and /usr/share/vulkan/icd.d"
    elif names:
        fix = "look whether amdgpu is loaded (lspci -k), and whether /dev/dri/renderD* belongs to the group render"
    else:
        fix = "look at vulkaninfo --summary there"
    return ", ".join(names) or _last(seen.vulkan), expected, fix


def rocm(seen: Seen) -> tuple[str, str, str] | None:
    """The same of rocminfo: an agent gfx1151, for which it has opened /dev/kfd."""
    agents = [match[1] for line in seen.rocm if (match := re.match(r"\s*Name:\s+(gfx\w+)\s*$", line))]
    if GFX in agents:
        return None
    if not seen.rocm:
        return "it could not be run", f"an agent {GFX}", "look whether AMD's packages are whole: reinstall amdrocm*"
    refused = [line.strip() for line in seen.rocm if "/dev/kfd" in line]
    if refused:
        fix = "ls -l /dev/kfd should say crw-rw---- root render; udev's rule for it is lost where it does not: reboot"
        return refused[0], "/dev/kfd opens", fix
    fix = "no HSA_OVERRIDE_GFX_VERSION may be set; deploys/preflight.py says more of kernel and firmware"
    return ", ".join(agents) or _last(seen.rocm), f"an agent {GFX}", fix


def _last(lines: tuple[str, ...]) -> str:
    said = [line.strip() for line in lines if line.strip()]
    return said[-1] if said else "it could not be run"
