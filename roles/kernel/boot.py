"""What a box boots, and what it is to boot: no matter which boot loader keeps it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from roles.lib.cmdline import key, values, words
from roles.lib.layout import STATE

KEEP = f"{STATE}/kernel"
"""On the node: what was there before us (`before/`), and which arguments are ours (`arguments`)."""


TRIED = "/run/halofleet-tried"
"""On the node: what a reboot was to bring, where this boot came without it; gone with this boot."""


class Line(NamedTuple):
    """A line of somebody else's that gives the kernel arguments."""

    file: str
    number: int
    words: tuple[str, ...]


class Entry(NamedTuple):
    """Of the boot loader's menu. name: grub's title or the BLS file."""

    name: str
    words: tuple[str, ...]


class Mapping(NamedTuple):
    """A dm-crypt device. key: crypttab's third field. clevis: it has a binding of clevis."""

    name: str
    of_root: bool
    key: str = ""
    options: str = ""
    clevis: bool = False


@dataclass(frozen=True)
class Seen:
    """memory: pages of MemTotal, which lacks the BIOS's carve-out. kernels: the running one first, then those of /boot.

    parameters: of modules that are loaded, by `module.name`. gtt: bytes, None where there is no Strix Halo GPU. ours:
    the arguments that we have added. digests: SHA-256 of our own files that are there, by path.
    """

    memory: int = 0
    kernels: tuple[str, ...] = ()
    boot_id: str = ""
    tried: str = ""
    """TRIED's text."""
    cmdline: str = ""
    parameters: dict[str, str] = field(default_factory=dict)
    gtt: int | None = None
    loader: str = "unknown"
    entries: tuple[Entry, ...] = ()
    """The one that boots by default first."""
    lines: tuple[Line, ...] = ()
    ours: tuple[str, ...] = ()
    ever: tuple[str, ...] = ()
    """What was ours at any time since `before/` was kept."""
    digests: dict[str, str] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)
    """Texts that new kernels take their arguments from, by path."""
    broken: tuple[str, ...] = ()
    """Files of GRUB's settings that the shell cannot read, each with what is wrong."""
    crypts: tuple[Mapping, ...] = ()
    initramfs: str = ""
    """`dracut` or `update-initramfs`, where the running kernel's image has the module in it and must be made again."""
    image: str = ""
    """That image."""
    room: tuple[int, int] = (0, 0)
    """MiB: free in /boot, and of that image."""


def given(seen: Seen) -> tuple[str, ...]:
    """What others give the default entry."""
    return tuple(word for word in (seen.entries[0].words if seen.entries else ()) if word not in seen.ours)


def added(seen: Seen, arguments: tuple[str, ...]) -> tuple[str, ...]:
    """Those of the arguments that nobody else gives already."""
    others = {word for line in seen.lines for word in line.words}
    return tuple(word for word in arguments if word not in others)


def clashes(seen: Seen, arguments: tuple[str, ...]) -> list[tuple[Line, str, str]]:
    """Where somebody else gives a key another value: the line, its word and ours. The kernel would take the last one,
    and who reads the line would not know which that is."""
    wanted = {key(word): word for word in arguments}
    return [
        (line, word, wanted[key(word)])
        for line in seen.lines
        for word in line.words
        if key(word) in wanted and word != wanted[key(word)]
    ]


def next_line(seen: Seen, arguments: tuple[str, ...]) -> tuple[str, ...]:
    """What the default entry gives the kernel, once the arguments are where they belong."""
    before = given(seen)
    return (*before, *(word for word in arguments if word not in before))


def differing(running: str, then: tuple[str, ...], keys: tuple[str, ...]) -> list[str]:
    """Those of the keys whose values are others than they will be."""
    text = " ".join(then)
    return [name for name in keys if values(running, name) != values(text, name)]


def waits_for_somebody(seen: Seen) -> str:
    """Which encrypted device would wait for a passphrase at boot; empty where none would."""
    for each in seen.crypts:
        options = each.options.split(",")
        optional = {"noauto", "nofail"} & set(options) and not each.of_root
        token = any(option.startswith(("tpm2-device=", "fido2-device=", "pkcs11-uri=")) for option in options)
        # A FIDO2 or PKCS#11 token asks for a touch or a PIN.
        unattended = any(option.startswith("tpm2-device=") and "tpm2-pin=yes" not in options for option in options)
        if optional or each.clevis or unattended:
            continue
        if token or each.key in ("", "-", "none"):
            return each.name
    return ""


def parse_words(text: str) -> tuple[str, ...]:
    """The kernel's arguments of a line that a person or a program wrote; BOOT_IMAGE is the boot loader's own."""
    return tuple(word for word in words(text) if key(word) != "BOOT_IMAGE")
