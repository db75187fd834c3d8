"""What the linter's rules compare: each check yields what it saw, as the finding will say it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from roles.doctor import versions
from roles.doctor.box import Box, Line
from roles.lib import cmdline

DATA = Path(__file__).parent / "data/cmdline.yml"
PAGES_PER_GIB = 262144
PAGES_PER_MIB = 256
RESERVE_GIB = 6
"""boxabirds/awesome-local-ai warns below it."""

LOCKUP_MS = 10_000
"""The kernel's default up to 6.x, and what three sources of September 2026 set again (data/cmdline.yml)."""


@dataclass(frozen=True)
class View:
    """A line, and the box that it is for. kernel: the release that has it, or will; empty where that is not known."""

    line: Line
    box: Box
    kernel: str

    def last(self, name: str) -> str | None:
        found = cmdline.values(self.line.text, name)
        return found[-1] if found else None

    @property
    def boots(self) -> bool:
        return self.line.when in ("booted with", "will boot with")

    @property
    def limits(self) -> Iterator[tuple[str, str]]:
        """What says how many pages the GPU may have: the parameter and its value."""
        for name in ("ttm.pages_limit", "amdttm.pages_limit"):
            if (value := self.last(name)) is not None:
                yield f"{name}={value}", value


Check = Callable[[View], Iterator[str]]


@cache
def rules() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(DATA.read_text())
    return found


def _pages(value: str) -> int | None:
    return versions.number(value)


def _size(pages: int) -> str:
    return f"{pages / PAGES_PER_GIB:.1f} GiB"


def _gttsize(view: View) -> tuple[str, bool | None]:
    """amdgpu.gttsize as it stands, and whether it is the size that pages_limit says; None where there is no limit."""
    value = view.last("amdgpu.gttsize")
    if value is None or value == "-1":  # the default, written out
        return "", None
    limit = next((pages for _, text in view.limits if (pages := _pages(text))), None)
    size = versions.number(value)
    same = None if limit is None else size is not None and size * PAGES_PER_MIB == limit
    return f"amdgpu.gttsize={value}", same


def gttsize_and_limit(view: View) -> Iterator[str]:
    seen, same = _gttsize(view)
    if seen and same:
        yield seen


def gttsize_against_limit(view: View) -> Iterator[str]:
    seen, same = _gttsize(view)
    if seen and same is False:
        sizes = [f"{text} ({_size(pages)})" for text, value in view.limits if (pages := _pages(value))]
        mib = versions.number(seen.partition("=")[2])
        yield f"{seen} ({_size(mib * PAGES_PER_MIB) if mib is not None else 'no number'}) beside {', '.join(sizes)}"


def gttsize_alone(view: View) -> Iterator[str]:
    seen, same = _gttsize(view)
    if seen and same is None:
        yield seen


def duplicate(view: View) -> Iterator[str]:
    prefixes = tuple(name.removesuffix("*") for name in rules()["single"])
    keys = [cmdline.key(word) for word in cmdline.words(view.line.text)]
    for name in dict.fromkeys(keys):
        if name.startswith(prefixes) and keys.count(name) > 1:
            yield " ".join(f"{name}={value}" for value in cmdline.values(view.line.text, name))


def two_places(view: View) -> Iterator[str]:
    if view.line.when != "modprobe loads with":
        return
    for word in cmdline.words(view.line.text):
        name, _, value = word.partition("=")
        for other in view.box.lines:
            said = cmdline.values(other.text, name) if other.when in ("booted with", "will boot with") else ()
            if said and said[-1] != value:
                yield f"{word} against {name}={said[-1]}"
                break


def _has_amdttm(box: Box) -> bool:
    return "amdttm" in box.modules or "amdgpu-dkms" in box.packages


def ttm_beside_amdttm(view: View) -> Iterator[str]:
    if _has_amdttm(view.box) and view.last("amdttm.pages_limit") is None:
        yield from (word for word in cmdline.words(view.line.text) if cmdline.key(word).startswith("ttm."))


def amdttm_without(view: View) -> Iterator[str]:
    knows = view.box.modules or view.box.packages
    if knows and not _has_amdttm(view.box):
        yield from (word for word in cmdline.words(view.line.text) if cmdline.key(word).startswith("amdttm."))


def limit_unreadable(view: View) -> Iterator[str]:
    yield from (text for text, value in view.limits if _pages(value) is None)


def limit_tiny(view: View) -> Iterator[str]:
    for text, value in view.limits:
        pages = _pages(value)
        if pages is not None and 0 < pages < PAGES_PER_GIB:
            yield f"{text} ({pages / PAGES_PER_MIB:.0f} MiB)"


def limit_above_ram(view: View) -> Iterator[str]:
    for text, value in view.limits:
        pages, ram = _pages(value), view.box.memory // 4
        if pages is not None and 0 < ram < pages:
            yield f"{text} ({_size(pages)} of {_size(ram)})"


def limit_starves(view: View) -> Iterator[str]:
    for text, value in view.limits:
        pages, ram, swap = _pages(value), view.box.memory // 4, view.box.swap // 4
        if pages is not None and pages <= ram and ram + swap - pages < RESERVE_GIB * PAGES_PER_GIB:
            yield f"{text} ({_size(pages)} of {_size(ram)})"


def page_pool(view: View) -> Iterator[str]:
    for name in ("ttm.page_pool_size", "amdttm.page_pool_size"):
        if view.last(name) not in (None, "0"):
            yield f"{name}={view.last(name)}"


def lockup_timeout(view: View) -> Iterator[str]:
    if not versions.within(view.kernel, ">=7", "upstream"):
        return
    value = view.last("amdgpu.lockup_timeout")
    if value is None and (option := _option(view.box, "amdgpu.lockup_timeout")):
        value = option
    if value is None:
        yield f"no amdgpu.lockup_timeout under {view.kernel}"
        return
    if not waits_long_enough(value):
        yield f"amdgpu.lockup_timeout={value} under {view.kernel}"


def waits_long_enough(lockup_timeout: str) -> bool:
    """Whether a long prompt is done before the kernel takes the GPU for hung."""
    times = [int(part) for part in lockup_timeout.split(",")[:2] if part.removeprefix("-").isascii() and _whole(part)]
    # 0 keeps the kernel's default, a negative one waits for ever (modinfo amdgpu).
    return bool(times) and not any(0 <= time < LOCKUP_MS for time in times)


def _whole(text: str) -> bool:
    return text.removeprefix("-").isdigit() and len(text) < 12


def _option(box: Box, name: str) -> str | None:
    """What modprobe.d says of it."""
    for line in box.lines:
        if line.when == "modprobe loads with" and (found := cmdline.values(line.text, name)):
            return found[-1]
    return None


def iommu_off(view: View) -> Iterator[str]:
    for name in ("amd_iommu", "iommu"):
        if "off" in cmdline.values(view.line.text, name):
            yield f"{name}=off"


def environment(view: View) -> Iterator[str]:
    prefixes = ("HSA_", "GGML_", "ROCBLAS_", "RADV_", "AMD_VULKAN_ICD")
    yield from (word for word in cmdline.words(view.line.text) if word.startswith(prefixes))


def no_root(view: View) -> Iterator[str]:
    if view.line.where == "/etc/kernel/cmdline" and not cmdline.values(view.line.text, "root"):
        yield "no root="


CHECKS: dict[str, Check] = {
    check.__name__: check
    for check in (
        gttsize_and_limit, gttsize_against_limit, gttsize_alone, duplicate, two_places, ttm_beside_amdttm,
        amdttm_without, limit_unreadable, limit_tiny, limit_above_ram, limit_starves, page_pool, lockup_timeout,
        iommu_off, environment, no_root,
    )
}  # fmt: skip
