"""What a box booted, what it will boot, and where it keeps that: one command."""

from __future__ import annotations

import re
import shlex
from collections import defaultdict

from pyinfra.api import FactBase, StringCommand

from roles.kernel.boot import KEEP, Entry, Line, Mapping, Seen, parse_words
from roles.kernel.boot_files import OURS
from roles.kernel.plan import LOCKUP_TIMEOUT, PAGE, PAGES_LIMIT, data
from roles.lib.cmdline import key
from roles.lib.render import render

_GRUB_LINE = re.compile(r"""GRUB_CMDLINE_LINUX(?:_DEFAULT)?\+?=(["']?)(.*)\1\s*$""")


class KernelStates(FactBase[Seen]):
    def command(self) -> StringCommand:
        card = data()["card"]
        text = render(
            "kernel/look.sh.j2",
            parameters=f"{PAGES_LIMIT} {key(LOCKUP_TIMEOUT)}",
            vendor=card["vendor"],
            device=card["device"],
            keep=KEEP,
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
        entries, lines = _entries(loader, found, ours)
        free, _, needed = one("room").partition(" ")
        texts: dict[str, str] = {}
        for path, text in map(_pair, found["source"]):
            texts[path] = f"{texts.get(path, '')}{text}\n"
        return Seen(
            memory=int(one("memory") or 0) * 1024 // PAGE,
            kernels=tuple(found["kernel"]),
            boot_id=one("boot_id"),
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
            initramfs=one("initramfs"),
            room=(int(free or 0), int(needed or 0)),
        )

    @staticmethod
    def default() -> Seen:
        return Seen()


def _pair(text: str) -> tuple[str, str]:
    first, _, rest = text.partition(" ")
    return first, rest


def _entries(
    loader: str, found: dict[str, list[str]], ours: tuple[str, ...]
) -> tuple[tuple[Entry, ...], tuple[Line, ...]]:
    if loader == "grub":
        # `linux /boot/vmlinuz-... root=... ro ...`
        lines = [_line(text, _GRUB_LINE) for text in found["line"]]
        entries = [Entry("", parse_words(" ".join(text.split()[2:]))) for text in found["entry"]]
        return tuple(entries), tuple(line for line in lines if line.file not in OURS)
    if loader == "none":
        options = re.compile(r"\s*(options)\s+(.*)$")
        return (), tuple(line for text in found["line"] if (line := _line(text, options)).file not in OURS)
    if loader == "grubby":
        values = dict(text.split("=", 1) for text in found["default"] if "=" in text)
        name = f"/boot/loader/entries/{values.get('id', '').strip(chr(34))}.conf"
        text = values.get("args", "")
        default = Entry(name, parse_words(text[1:-1] if text[:1] == '"' else text))
        others = [Entry(path, parse_words(options)) for path, options in map(_pair, found["options"]) if path != name]
        lines = [Line(name, 0, default.words), *_sources(found["source"])]
        # grubby writes into the lines of others
        theirs = [line._replace(words=tuple(word for word in line.words if word not in ours)) for line in lines]
        return (default, *others), tuple(theirs)
    return (), ()


def _sources(lines: list[str]) -> list[Line]:
    """/etc/kernel/cmdline, or else what it would be made of."""
    numbers: dict[str, int] = defaultdict(int)
    found = []
    for path, text in map(_pair, lines):
        numbers[path] += 1
        match = _GRUB_LINE.match(text)
        words = match[2] if match else text if path == "/etc/kernel/cmdline" else ""
        found.append(Line(path, numbers[path], parse_words(words)))
    first = found[0].file if found else ""
    return [line for line in found if line.words and line.file == first]


def _line(text: str, pattern: re.Pattern[str]) -> Line:
    """`FILE NUMBER:LINE`."""
    file, rest = _pair(text)
    number, _, line = rest.partition(":")
    match = pattern.search(line)
    if match is None:
        return Line(file, int(number), ())
    if match[1] == "options":  # modprobe.d: of one module
        module, *options = match[2].split()
        return Line(file, int(number), tuple(f"{module}.{option}" for option in options))
    return Line(file, int(number), parse_words(match[2]))


def _crypts(crypttab: list[str], of_root: list[str]) -> tuple[Mapping, ...]:
    bound = {name: int(count) for name, count in map(_pair, of_root)}
    found = {}
    for line in crypttab:
        name, _, key_file, options = (*line.split(), "", "", "")[:4]
        found[name] = Mapping(name, name in bound, key_file, options, bool(bound.get(name)))
    for name, count in bound.items():
        found.setdefault(name, Mapping(name, True, clevis=bool(count)))
    return tuple(found.values())
