"""What a box booted, what it will boot, and where it keeps that: one command."""

from __future__ import annotations

import base64
import re
import shlex
from collections import defaultdict

from pyinfra.api import FactBase, StringCommand

from roles.kernel.boot import KEEP, TRIED, Entry, Line, Mapping, Seen, parse_words
from roles.kernel.boot_files import OURS
from roles.kernel.plan import LOCKUP_TIMEOUT, PAGE, PAGES_LIMIT, data
from roles.lib import grub_settings
from roles.lib.cmdline import key
from roles.lib.render import render

_OPTIONS = re.compile(r"\s*options\s+(\S+)\s+(.*)$")


class KernelStates(FactBase[Seen]):
    def command(self) -> StringCommand:
        card = data()["card"]
        text = render(
            "kernel/look.sh.j2",
            parameters=f"{PAGES_LIMIT} {key(LOCKUP_TIMEOUT)}",
            vendor=card["vendor"],
            device=card["device"],
            keep=KEEP,
            tried=TRIED,
            files=" ".join(map(shlex.quote, OURS)),
        )
        return StringCommand(text)

    def process(self, output: list[str]) -> Seen:
        found: dict[str, list[str]] = defaultdict(list)
        for line in output:
            name, _, rest = line.partition(" ")
            found[name].append(rest)

        def one(name: str) -> str:
            return found[name][0] if found[name] else ""

        loader, parameters = one("loader"), dict(map(_pair, found["parameter"]))
        ours = parse_words(" ".join(found["ours"]))
        texts = {path: _text(encoded) for path, encoded in map(_pair, found["source"])}
        entries, lines = _entries(loader, found, texts, ours)
        free, _, needed = one("room").partition(" ")
        tool, _, image = one("initramfs").partition(" ")
        return Seen(
            memory=int(one("memory") or 0) * 1024 // PAGE,
            kernels=tuple(found["kernel"]),
            boot_id=one("boot_id"),
            tried=one("tried"),
            cmdline=one("cmdline"),
            parameters=parameters,
            gtt=int(one("card")) if found["card"] else None,
            loader=loader,
            entries=entries,
            lines=lines,
            ours=ours,
            ever=parse_words(" ".join(found["ever"])),
            digests={path: digest for digest, path in map(_pair, found["digest"])},
            sources=texts,
            crypts=_crypts(found["crypttab"], found["crypt"]),
            broken=tuple(found["broken"]),
            initramfs=tool,
            image=image,
            room=(int(free or 0), int(needed or 0)),
        )

    @staticmethod
    def default() -> Seen:
        return Seen()


class Inhibitors(FactBase[list[str]]):
    """Who holds a lock against a shutdown, as `systemd-inhibit --list` says it."""

    def command(self) -> StringCommand:
        return StringCommand("systemd-inhibit --list --no-legend --no-pager | grep -w shutdown | grep -w block || true")

    def process(self, output: list[str]) -> list[str]:
        return [" ".join(line.split()) for line in output]

    @staticmethod
    def default() -> list[str]:
        return []


def _pair(text: str) -> tuple[str, str]:
    first, _, rest = text.partition(" ")
    return first, rest


def _text(encoded: str) -> str:
    """Whatever its bytes are, they can be given back."""
    return base64.b64decode(encoded).decode(errors="surrogateescape")


def _entries(
    loader: str, found: dict[str, list[str]], sources: dict[str, str], ours: tuple[str, ...]
) -> tuple[tuple[Entry, ...], tuple[Line, ...]]:
    if loader == "grub":
        # `linux /boot/vmlinuz-... root=... ro ...`
        lines = [_numbered(text) for text in found["line"]]
        entries = [Entry("", parse_words(" ".join(text.split()[2:]))) for text in found["entry"]]
        theirs = [Line(file, number, _settings_words(text)) for file, number, text in lines if file not in OURS]
        return tuple(entries), tuple(theirs)
    if loader == "none":
        lines = [_numbered(text) for text in found["line"]]
        return (), tuple(Line(file, number, _options(text)) for file, number, text in lines if file not in OURS)
    if loader == "grubby":
        return _grubby(found, sources, ours)
    return (), ()


def _grubby(
    found: dict[str, list[str]], sources: dict[str, str], ours: tuple[str, ...]
) -> tuple[tuple[Entry, ...], tuple[Line, ...]]:
    """grubby --info: `args="…"`, the whole of it in quotes, whatever quotes are in it; root= has a line of its own."""
    values = dict(text.split("=", 1) for text in found["default"] if "=" in text)
    if not values.get("id"):  # the saved entry is gone (grubby says nothing then)
        return (), ()
    name = f"/boot/loader/entries/{values['id'].strip(chr(34))}.conf"
    text = values.get("args", "")
    default = Entry(name, parse_words(text[1:-1] if text[:1] == '"' else text))
    others = [Entry(path, parse_words(options)) for path, options in map(_pair, found["options"]) if path != name]
    lines = [Line(name, 0, default.words), *_sources(sources)]
    # grubby writes into the lines of others
    theirs = [line._replace(words=tuple(word for word in line.words if word not in ours)) for line in lines]
    return (default, *others), tuple(theirs)


def _sources(texts: dict[str, str]) -> list[Line]:
    """/etc/kernel/cmdline, or else what it would be made of."""
    path = next(iter(texts), "")
    words = parse_words if path == "/etc/kernel/cmdline" else _settings_words
    lines = [Line(path, number, words(line)) for number, line in enumerate(texts.get(path, "").split("\n"), 1)]
    return [line for line in lines if line.words]


def _numbered(text: str) -> tuple[str, int, str]:
    """`FILE NUMBER:LINE`."""
    file, rest = _pair(text)
    number, _, line = rest.partition(":")
    return file, int(number), line


def _settings_words(line: str) -> tuple[str, ...]:
    """The arguments that this line of GRUB's settings gives itself, without those of the variables in it."""
    found = grub_settings.assignment(line)
    wanted = found is not None and found.name in ("GRUB_CMDLINE_LINUX", "GRUB_CMDLINE_LINUX_DEFAULT")
    return parse_words(found.value({})) if found is not None and wanted else ()


def _options(line: str) -> tuple[str, ...]:
    """modprobe.d's, of one module."""
    found = _OPTIONS.match(line)
    return tuple(f"{found[1]}.{option}" for option in found[2].split()) if found else ()


def _crypts(crypttab: list[str], of_root: list[str]) -> tuple[Mapping, ...]:
    bound = {name: int(count) for name, count in map(_pair, of_root)}
    found = {}
    for line in crypttab:
        name, _, key_file, options = (*line.split(), "", "", "")[:4]
        found[name] = Mapping(name, name in bound, key_file, options, bool(bound.get(name)))
    for name, count in bound.items():
        found.setdefault(name, Mapping(name, True, clevis=bool(count)))
    return tuple(found.values())
