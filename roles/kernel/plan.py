"""How much memory the GPU may have, and which arguments the kernel gets for it (data/values.yml has the sources)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import yaml

from inventory.spec import Lab
from roles.doctor import judge as doctor
from roles.doctor.lint_checks import waits_long_enough
from roles.doctor.patient import Expected as Box
from roles.kernel.boot import Seen, clashes
from roles.kernel.boot_change import script
from roles.lib.cmdline import key, values
from roles.lib.finding import Finding

CHANGEABLE = ("grub", "grubby", "none")
"""Loaders whose command line, or without any the module's options, this version writes."""


@cache
def data() -> dict[str, Any]:
    """data/values.yml."""
    found: dict[str, Any] = yaml.safe_load((Path(__file__).parent / "data/values.yml").read_text())
    return found


PAGES_PER_GIB: int = data()["pages_per_gib"]["value"]
PAGE = 4096
"""Bytes."""
SLACK = PAGES_PER_GIB // 16
"""Pages: more than MemTotal moves from boot to boot."""
PAGES_LIMIT: str = data()["pages_limit"]["argument"]
LOCKUP_TIMEOUT: str = data()["lockup_timeout"]["word"]
IOMMU: dict[str, str] = {name: data()["iommu"][name] for name in ("off", "pt")}


@dataclass(frozen=True)
class Kernel:
    """Sizes in pages of 4 KiB. gpu: the ceiling that lab.yml names. reserve: what stays for everything else without
    one. least: what must stay. asked: lab.yml says something of the GPU, so it gets its ceiling though none was found.

    reboots: this node may be rebooted. order: of every node of the lab that has a kernel of its own, as they reboot.
    """

    node: str
    address: IPv4Address
    own: bool
    gpu: int | None
    reserve: int
    least: int
    asked: bool
    iommu: str
    reboots: bool
    order: tuple[str, ...]
    box: Box = doctor.UNKNOWN
    """What the doctor is told of it."""


@dataclass(frozen=True)
class Wanted:
    """pages: the GPU's ceiling; None where it is left alone. arguments: for the kernel, in their order."""

    pages: int | None
    arguments: tuple[str, ...]


def plan(lab: Lab, name: str) -> Kernel:
    node = lab.node(name)
    memory = node.memory
    return Kernel(
        node=name,
        address=node.address,
        own=node.kernel == "own",
        gpu=memory.gpu * PAGES_PER_GIB if memory.gpu is not None else None,
        reserve=(data()["reserve"]["value"] if memory.reserve is None else memory.reserve) * PAGES_PER_GIB,
        least=data()["least"]["value"] * PAGES_PER_GIB,
        asked=memory.gpu is not None or memory.reserve is not None or node.backend != "cpu",
        iommu=node.iommu,
        reboots=node.reboot == "when-needed",
        order=order(lab),
        box=doctor.expected(lab, name),
    )


def order(lab: Lab) -> tuple[str, ...]:
    """Workers before controllers, then by id: while a controller's workers go down it is there to say so."""
    controllers = {serve.controller for serve in lab.spec.serves.values()}
    own = [name for name, node in lab.nodes.items() if node.kernel == "own"]
    return tuple(sorted(own, key=lambda name: (name in controllers, lab.node(name).id)))


def wanted(kernel: Kernel, seen: Seen) -> Wanted:
    """Pure. A box without this GPU, of which lab.yml says nothing, keeps the kernel's own ceiling."""
    iommu = (IOMMU[kernel.iommu],) if kernel.iommu in IOMMU else ()
    if not kernel.asked and seen.gtt is None:
        return Wanted(None, iommu)
    pages = ceiling(kernel, seen)
    return Wanted(pages, (f"{PAGES_LIMIT}={pages}", *_lockup_timeout(seen), *iommu))


def _lockup_timeout(seen: Seen) -> tuple[str, ...]:
    """Nothing where no kernel needs it, or somebody else's value does."""
    needed = any(major(name) >= data()["lockup_timeout"]["since"] for name in seen.kernels)
    others = [value for line in seen.lines for value in values(" ".join(line.words), key(LOCKUP_TIMEOUT))]
    return (LOCKUP_TIMEOUT,) if needed and not (others and all(map(waits_long_enough, others))) else ()


def ceiling(kernel: Kernel, seen: Seen) -> int:
    """Pages. Computed ones are whole GiB: MemTotal moves by some MiB from kernel to kernel, and that is no reason to
    reboot. For the same reason ours stays where the memory is just beside a whole GiB."""
    if kernel.gpu is not None:
        return kernel.gpu
    exact = max(seen.memory - kernel.reserve, 0)
    for ours in (int(value) for value in values(" ".join(seen.ours), PAGES_LIMIT) if value.isdecimal()):
        if -SLACK <= exact - ours < PAGES_PER_GIB + SLACK and seen.memory - ours >= kernel.least:
            return ours
    return exact // PAGES_PER_GIB * PAGES_PER_GIB


def major(release: str) -> int:
    """Of `7.0.0-38-generic`; 0 for what has none, as Fedora's rescue image."""
    found = re.match(r"\d+", release)
    return int(found[0]) if found else 0


def judge(kernel: Kernel, seen: Seen) -> list[Finding]:
    """Pure: everything that stands against it, before any change."""
    want = wanted(kernel, seen)
    found = [*_sizes(kernel, seen, want), *_loader(kernel, seen, want), *_room(kernel, seen, want)]
    for line, word, ours in clashes(seen, want.arguments):
        place = f"{line.file} line {line.number}" if line.number else line.file
        fix = f"take `{word}` out of {place}; halofleet writes {ours.partition('=')[0]} itself"
        found.append(Finding("kernel argument", "stop", kernel.node, f"{word} in {place}", ours, fix))
    return found


def _sizes(kernel: Kernel, seen: Seen, want: Wanted) -> list[Finding]:
    if want.pages is None:
        return []
    field = "memory.reserve" if kernel.gpu is None else "memory.gpu"
    left, most = seen.memory - want.pages, seen.memory - kernel.least
    said = kernel.gpu if kernel.gpu is not None else kernel.reserve
    fix = f"at most {gib(most)} for the GPU" if most > 0 else "this box has too little; leave memory out"
    source = ", ".join(data()["least"]["sources"])
    if want.pages > seen.memory:
        expected = f"no more than the {gib(seen.memory)} that the box has"
    elif want.pages == 0 or left < kernel.least:
        expected = f"{gib(kernel.least)} of the box's {gib(seen.memory)} for everything but the GPU"
    else:
        return []
    return [Finding(field, "stop", kernel.node, gib(said), expected, fix, source)]


def _loader(kernel: Kernel, seen: Seen, want: Wanted) -> list[Finding]:
    running = all(values(seen.cmdline, key(word)) == (word.partition("=")[2],) for word in want.arguments)
    if not want.arguments or (seen.loader not in CHANGEABLE and running):
        return []  # added by hand
    if seen.loader == "none":
        return [
            Finding(
                "boot loader",
                "stop",
                kernel.node,
                "none",
                f"one that can give the kernel {word}",
                "add it where the kernel gets its command line from (net boot, hypervisor)",
            )
            for word in want.arguments
            if "." not in key(word) and word not in seen.cmdline.split()
        ]
    if seen.loader == "grubby" and not seen.entries:
        fix = "choose one that is there: grubby --set-default-index=0 (grubby --info=ALL lists them)"
        seen_there = "grubby names no default entry; the saved one is gone"
        return [Finding("boot loader", "stop", kernel.node, seen_there, "a default entry", fix, "grubby(8)")]
    if seen.loader in CHANGEABLE:
        return _settings(kernel, seen, want)
    known = data()["by_hand"].get(seen.loader, data()["by_hand"]["unknown"])
    append = " ".join(f"--append-if-missing={word}" for word in want.arguments)
    fix = known["fix"].replace("{append}", append).replace("{}", " ".join(want.arguments))
    fix += "; then run this again"
    return [Finding("boot loader", "stop", kernel.node, seen.loader, "GRUB", fix, ", ".join(known["sources"]))]


def _settings(kernel: Kernel, seen: Seen, want: Wanted) -> list[Finding]:
    """Only where the menu has to be made anew of them."""
    if not seen.broken or not script(seen, want.arguments):
        return []
    expected, fix = "files that the shell can read", "mend it, and run update-grub to see that it works"
    return [Finding("boot loader's settings", "stop", kernel.node, each, expected, fix) for each in seen.broken]


def _room(kernel: Kernel, seen: Seen, want: Wanted) -> list[Finding]:
    free, images = seen.room
    if seen.loader != "none" or not seen.initramfs or not want.arguments or free >= images:
        return []
    rule, source = "free space in /boot", "ROCm/rocm-install-on-linux issue 629"
    return [Finding(rule, "stop", kernel.node, f"{free} MiB", f"{images} MiB", "remove old kernels", source)]


def gib(pages: int) -> str:
    """For people."""
    return f"{pages / PAGES_PER_GIB:.4g}GiB"
