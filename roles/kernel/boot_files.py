"""The files that are wholly ours, as they should be."""

from __future__ import annotations

import hashlib

from roles.kernel.boot import KEEP
from roles.lib.render import render

DROPIN = "/etc/default/grub.d/99-halofleet.cfg"
FALLBACK = "/etc/grub.d/99_halofleet"
MODPROBE = "/etc/modprobe.d/halofleet-kernel.conf"
OURS = (DROPIN, FALLBACK, MODPROBE)


def grub_files(arguments: tuple[str, ...]) -> dict[str, str]:
    """Text by path; none where there is nothing to add."""
    if not arguments:
        return {}
    dropin = render("kernel/99-halofleet.cfg.j2", arguments=arguments, fallback=FALLBACK)
    return {DROPIN: dropin, FALLBACK: render("kernel/99_halofleet.j2", dropin=DROPIN)}


def module_files(arguments: tuple[str, ...]) -> dict[str, str]:
    """`ttm.pages_limit=1` as modprobe.d(5) has it: `options ttm pages_limit=1`."""
    options = [word.partition(".") for word in arguments]
    return {MODPROBE: render("kernel/modprobe.conf.j2", options=options)} if options else {}


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


RECORD = f"{KEEP}/arguments"
