"""What has to be done so that the box boots with the arguments: a script, all of it or nothing.

The script runs as a job of the node (roles/lib/jobs.py), so it ends, or takes itself back, without the control machine.
"""

from __future__ import annotations

import base64
import re
import shlex

from roles.kernel import boot_files
from roles.kernel.boot import KEEP, Entry, Seen, added
from roles.kernel.boot_files import DROPIN, FALLBACK, MODPROBE, RECORD
from roles.lib.cmdline import key, values
from roles.lib.render import render

MENU = "/boot/grub/grub.cfg"
_VARIABLE = re.compile(r"""^(GRUB_CMDLINE_LINUX=(["']))(.*)(\2\s*)$""", re.M)


def script(seen: Seen, arguments: tuple[str, ...]) -> str:
    """Pure: empty where all is as it should be."""
    makers = {"grub": _grub, "grubby": _grubby, "none": _module}
    return makers[seen.loader](seen, added(seen, arguments)) if seen.loader in makers else ""


def _grub(seen: Seen, ours: tuple[str, ...]) -> str:
    files, others = boot_files.grub_files(ours), {word for line in seen.lines for word in line.words}
    gone = tuple(word for word in dict.fromkeys((*seen.ours, *seen.ever)) if word not in (*ours, *others))
    default = seen.entries[0].words if seen.entries else ()
    kept = any(not set(ours) & set(entry.words) for entry in seen.entries)
    menu_is_right = set(ours) <= set(default) and not set(gone) & set(default) and kept
    if (menu_is_right if ours else not seen.ever) and _same(seen, (DROPIN, FALLBACK), files):
        return ""
    return render(
        "kernel/grub.sh.j2",
        **_keep(DROPIN, FALLBACK, MENU, RECORD),
        menu=MENU,
        dropin=DROPIN,
        fallback=FALLBACK,
        ours=(DROPIN, FALLBACK),
        files=_encoded(files),
        arguments=ours,
        gone=gone,
    )


def _module(seen: Seen, arguments: tuple[str, ...]) -> str:
    ours = tuple(word for word in arguments if "." in key(word))
    files = boot_files.module_files(ours)
    recorded = set(seen.ours) == set(ours) if ours else not seen.ever
    if recorded and _same(seen, (MODPROBE,), files):
        return ""
    given = {"files": _encoded(files), "arguments": ours, "modprobe": MODPROBE}
    given |= {"tool": seen.initramfs, "image": seen.image}
    return render("kernel/module.sh.j2", **_keep(MODPROBE, RECORD), **given)


def _grubby(seen: Seen, ours: tuple[str, ...]) -> str:
    if not ours:
        return render("kernel/grubby_back.sh.j2", **_keep(*_grubby_files(seen))) if seen.ours or seen.ever else ""
    if not seen.entries:
        return ""
    default = seen.entries[0]
    before = tuple(word for word in default.words if word not in seen.ours or word in ours)
    remove = tuple(word for word in default.words if word not in before)
    add = tuple(word for word in ours if word not in before)
    sources = {path: text for path, text in new_sources(seen, ours).items() if text != seen.sources[path]}
    copy = "" if any(not set(ours) & set(entry.words) for entry in seen.entries[1:]) else _copy(default)
    if not (remove or add or sources or copy or set(seen.ours) != set(ours)):
        return ""
    fresh = {default.name: default.words} | {path: tuple(seen.sources[path].split()) for path in sources}
    return render(
        "kernel/grubby.sh.j2",
        **_keep(*_grubby_files(seen), *([copy] if copy else [])),
        # What holds our words already (a newer kernel's entry) is not what was there before us.
        remember=[path for path, words in fresh.items() if not set(words) & set(seen.ours)],
        entry=default.name,
        copy=copy,
        arguments=ours,
        ours=tuple(dict.fromkeys((*seen.ours, *ours))),
        remove=shlex.quote(" ".join(remove)) if remove else "",
        add=shlex.quote(" ".join(add)) if add else "",
        expected=shlex.quote(" ".join((*before, *add))),
        sources=_encoded(sources),
    )


def new_sources(seen: Seen, ours: tuple[str, ...]) -> dict[str, str]:
    """What new kernels take their arguments from, with ours.

    kernel-install(8): /etc/kernel/cmdline; without one what runs, which has ours after the reboot. grub2-mkconfig makes
    that file of GRUB_CMDLINE_LINUX (Fedora's grub2: "BLS: create /etc/kernel/cmdline during mkconfig").
    """
    cmdline, default = "/etc/kernel/cmdline", "/etc/default/grub"
    if cmdline in seen.sources:
        first, _, rest = seen.sources[cmdline].partition("\n")
        if not values(first, "root"):  # an empty file, a comment: never a line of ours alone
            return {}
        return {cmdline: f"{_with(first, seen.ours, ours)}\n{rest}"}
    if default in seen.sources:

        def line(found: re.Match[str]) -> str:
            return f"{found[1]}{_with(found[3], seen.ours, ours)}{found[4]}"

        return {default: _VARIABLE.sub(line, seen.sources[default])}
    return {}


def _with(line: str, before: tuple[str, ...], ours: tuple[str, ...]) -> str:
    """The line, with its spaces, less what was ours and is no more, and with what it lacks."""
    for word in before:
        if word not in ours:
            line = re.sub(rf"(^| ){re.escape(word)}(?= |$)", "", line)
    present = line.split()
    return " ".join(part for part in (line, *(word for word in ours if word not in present)) if part)


def _grubby_files(seen: Seen) -> tuple[str, ...]:
    """All that a change may touch."""
    return (*(entry.name for entry in seen.entries), *seen.sources, RECORD, f"{KEEP}/every", f"{KEEP}/after")


def _copy(default: Entry) -> str:
    """Where the default entry is kept as it was, when no other one lacks our arguments.

    GRUB and grubby order entries by name, version and release, the last two parts between dashes (grubby's rpm-sort).
    Version 0 sorts last, as that of Fedora's rescue entries does, so it never becomes the default.
    """
    return f"{default.name.removesuffix('.conf').rsplit('-', 2)[0]}-0-halofleet.conf"


def _same(seen: Seen, paths: tuple[str, ...], files: dict[str, str]) -> bool:
    there = {path: seen.digests[path] for path in paths if path in seen.digests}
    return there == {path: boot_files.digest(text) for path, text in files.items()}


def _encoded(files: dict[str, str]) -> list[tuple[str, str]]:
    """No shell looks at a text."""
    return [(path, base64.b64encode(text.encode(errors="surrogateescape")).decode()) for path, text in files.items()]


def _keep(*touched: str) -> dict[str, object]:
    return {"keep": KEEP, "touched": touched}
