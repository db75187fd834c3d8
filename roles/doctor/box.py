"""What one box says of itself, whoever set it up; roles/doctor/answer.py reads it from what the box answered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

KIB_PER_GIB = 1024**2
_NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class Line:
    """Kernel parameters. where: the file, or what says so. when: a word for the report."""

    where: str
    when: str
    text: str


@dataclass(frozen=True)
class Gpu:
    """The PCI device 1002:1586. gtt, vram: bytes; 0 where amdgpu does not say. gfx: KFD's, 110501 for gfx1151."""

    bdf: str
    driver: str = ""
    gtt: int = 0
    vram: int = 0
    carveout: str = ""
    carveout_options: tuple[str, ...] = ()
    gfx: str = ""
    mes: str = ""
    """Of its scheduler firmware, such as 0x00000083."""
    said: tuple[str, ...] = ()
    """Lines of the kernel's log."""


@dataclass(frozen=True)
class Listener:
    """address: `*` for all of the box's."""

    address: str
    port: int


@dataclass(frozen=True)
class Box:
    """memory, swap: KiB. os: ID-VERSION_ID. Mappings by name; what a box did not say is empty, 0 or None."""

    os: str = ""
    variant: str = ""
    hostname: str = ""
    kernel: str = ""
    """The release that runs, as uname -r says it."""
    next_kernel: str = ""
    """The one that boots next; empty where it could not be told."""
    arch: str = ""
    root: bool = False
    container: str = ""
    memory: int = 0
    swap: int = 0
    lines: tuple[Line, ...] = ()
    """The booted line first, then those that will boot, then modprobe's options as a line each."""
    dmi: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    vm: Mapping[str, int] = field(default_factory=dict)
    modules: frozenset[str] = frozenset()
    parameters: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    """Of modules: `ttm.pages_limit`."""
    gpu: Gpu | None = None
    packages: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    rocm: str = ""
    """AMD's own build of it; a distribution's is among the packages."""
    amdvlk: str = ""
    environment: tuple[str, ...] = ()
    listeners: tuple[Listener, ...] = ()
    interfaces: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    """By address."""
    outside: frozenset[str] = frozenset()
    """Interfaces of a default route."""
    wireless: frozenset[str] = frozenset()
    tuned: str = ""
    active: frozenset[str] = frozenset()
    target: str = ""
    suspend: str = ""
    stays_awake: bool = False
    """dconf tells GNOME not to suspend."""
    unread: tuple[str, ...] = ()
    """What could not be read without root, or for lack of a tool."""

    @property
    def gib(self) -> float:
        """The memory, without the BIOS's carve-out."""
        return self.memory / KIB_PER_GIB
