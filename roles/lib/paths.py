"""Files, directories and links on a host: compared in one remote command, replaced atomically.

pyinfra's files.put is not atomic, shows secrets to everybody for an instant, and asks per file.
"""

from __future__ import annotations

import base64
import difflib
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from pyinfra.api import FactBase, Host, QuoteString, StringCommand, operation

from roles.lib.remote import Commands, current, look
from roles.lib.stop import Failed

EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()


@dataclass(frozen=True)
class Directory:
    path: str
    mode: str = "755"
    owner: str = "root"
    group: str = "root"


@dataclass(frozen=True)
class File:
    """content: bytes of somebody else's that are no text stand in it as os.fsdecode() shows them."""

    path: str
    content: str
    mode: str = "644"
    owner: str = "root"
    group: str = "root"

    @property
    def bytes(self) -> bytes:
        return self.content.encode(errors="surrogateescape")

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.bytes).hexdigest()


@dataclass(frozen=True)
class Absent:
    """No file or link may be there."""

    path: str


Wanted = Directory | File | Absent


@dataclass(frozen=True)
class Seen:
    """What is at a path. kind: absent, file, directory, link, other. content: sha256 of a file, target of a link."""

    kind: str
    mode: str = ""
    owner: str = ""
    group: str = ""
    content: str = ""


class PathStates(FactBase[dict[str, Seen]]):
    """All the paths in one command. A pattern (`/etc/x/30-*.conf`) yields what matches it."""

    def command(self, paths: tuple[str, ...], patterns: tuple[str, ...] = ()) -> StringCommand:
        script = (
            "for p in {words}; do "
            'if [ -L "$p" ]; then echo "link - - - $(readlink "$p")"; '
            'elif [ -f "$p" ]; then echo "file $(stat -c "%a %U %G" "$p") $(sha256sum <"$p" | cut -c1-64)"; '
            'elif [ -d "$p" ]; then echo "directory $(stat -c "%a %U %G" "$p") -"; '
            'elif [ -e "$p" ]; then echo "other - - - -"; else echo "absent - - - -"; fi; echo "$p"; done'
        )
        words = StringCommand(*(QuoteString(path) for path in paths), *patterns)
        return StringCommand(script.format(words=words.get_raw_value()))

    def process(self, output: list[str]) -> dict[str, Seen]:
        return {path: Seen(*line.split(" ", 4)) for line, path in zip(output[::2], output[1::2], strict=True)}

    @staticmethod
    def default() -> dict[str, Seen]:
        return {}


class FileText(FactBase[str]):
    """The text of a file, for a diff; empty where there is none."""

    def command(self, path: str) -> StringCommand:
        return StringCommand("cat", QuoteString(path), "2>/dev/null || true")

    @staticmethod
    def default() -> str:
        return ""


def differs(wanted: Wanted, seen: Seen) -> bool:
    """Whether the path has to be touched."""
    match wanted:
        case Absent():
            return seen.kind != "absent"
        case Directory():
            return seen != Seen("directory", wanted.mode, wanted.owner, wanted.group, "-")
        case File():
            return seen != Seen("file", wanted.mode, wanted.owner, wanted.group, wanted.sha256)


@operation()
def paths(wanted: tuple[Wanted, ...], patterns: tuple[str, ...] = ()) -> Commands:
    """Makes the paths so, in the order given.

    patterns: whatever matches one of these and is not among the paths is removed: an interface that left the
    inventory leaves no file behind.
    """
    host = current()
    seen = look(host, PathStates, **asked(wanted, patterns))
    items = differing(host, wanted, seen)
    if not items:
        host.noop(f"{len(wanted)} paths are as they should be")
    yield from changes(host, items, seen)


def asked(wanted: tuple[Wanted, ...], patterns: tuple[str, ...] = ()) -> dict[str, tuple[str, ...]]:
    """What PathStates is asked with."""
    return {"paths": tuple(item.path for item in wanted), "patterns": patterns}


def differing(host: Host, wanted: tuple[Wanted, ...], seen: dict[str, Seen]) -> list[Wanted]:
    """What has to be touched, of all that was looked at. Raises Failed where that cannot be."""
    known = {item.path for item in wanted}
    strays = [Absent(path) for path, state in seen.items() if path not in known and state.kind != "absent"]
    found = [item for item in (*wanted, *strays) if differs(item, seen[item.path])]
    for item in found:
        if isinstance(item, File) and seen[item.path].kind in ("directory", "other"):
            raise Failed(
                f"{host.name}: {item.path} is a {seen[item.path].kind}; expected: a file. Move it out of the way"
            )
    return found


def changes(host: Host, items: list[Wanted], seen: dict[str, Seen]) -> Iterator[StringCommand]:
    """The commands that make them so."""
    if host.state.config.DIFF:
        for item in items:
            show(host, item, seen[item.path])
    yield from map(_change, items)


def _change(item: Wanted) -> StringCommand:
    match item:
        case Absent():
            return StringCommand("rm", "-f", QuoteString(item.path))
        case Directory():
            owner = f"{item.owner}:{item.group}"
            install = StringCommand(
                "mkdir -p -m 700", QuoteString(item.path), "&& chown", owner, QuoteString(item.path)
            )
            return StringCommand(install, "&& chmod", item.mode, QuoteString(item.path), "&&", _relabel(item.path))
        case File():
            return write(item)


def write(item: File) -> StringCommand:
    """Replaces the file atomically.

    The content comes over standard input, not in the command line, and only root can read it until it is in place.
    """
    path = PurePosixPath(item.path)
    # A fixed name: what a killed run left is overwritten by the next.
    part = QuoteString(str(path.with_name(f".{path.name}.halofleet")))
    final = QuoteString(item.path)
    steps = StringCommand("umask 077; rm -f", part, "&& base64 -d >", part)
    steps = StringCommand(steps, "&& chown", f"{item.owner}:{item.group}", part, "&& chmod", item.mode, part)
    steps = StringCommand(steps, "&& mv -fT", part, final, "&&", _relabel(item.path))
    return StringCommand(steps, _stdin=base64.b64encode(item.bytes).decode() + "\n")


def _relabel(path: str) -> StringCommand:
    """A file that was moved into place keeps the SELinux label of where it was written."""
    return StringCommand("if command -v restorecon >/dev/null; then restorecon", QuoteString(path), "; fi")


def show(host: Host, item: Wanted, seen: Seen) -> None:
    """What --diff says of a path that differs."""
    match item:
        case File():
            before = look(host, FileText, path=item.path) if seen.kind == "file" else ""
            for line in difflib.unified_diff(
                before.splitlines(), item.content.splitlines(), f"{item.path} (now)", item.path, lineterm=""
            ):
                host.log(line)
        case Absent():
            host.log(f"{item.path}: would be removed")
        case Directory():
            host.log(f"{item.path}: would become {item.mode} {item.owner}:{item.group}")
