"""Keeps the cache of a worker's RPC server whole and bounded. Runs on the worker: standard library only.

ggml-rpc-server writes what it is sent into a folder, each piece under the FNV-1a hash of its content, and gives it back
by that name without looking: a piece that was cut short or has rotted becomes part of the model. So nothing is left
there that was not read and found to be what its name says.

    keeper.py check FOLDER HASHER BYTES    once, before the server starts: until this is done, nothing is given out
    keeper.py watch FOLDER HASHER BYTES    for ever, beside it: what it writes, the bound, and everything once a week

What has no name of that form is not touched, and no link is followed.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

NAME = re.compile(r"[0-9a-f]{16}")
"""ggml-rpc.cpp: snprintf "%016" PRIx64."""
BATCH = 16
"""Files for one process of the hasher: what a killed one takes along."""
PROCESSES = 8
"""At once, at most: from there on the disk is the limit."""
AGAIN_SECONDS = 7 * 24 * 3600
"""What was found whole is read again after so long: a disk that rots changes no time stamp."""
SETTLED_SECONDS = 2.0
"""A file that was changed since may still be written to."""
PAUSE_SECONDS = 1.0
SPARE = 2**30
"""Bytes that stay free on the disk, whatever the bound: the cache makes way for everything else."""
BOOT = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True)
class Piece:
    """A file of the cache as stat(2) shows it. state: another one after any change. used: when it was last read or
    written; a read counts once a day where the file system is mounted with relatime."""

    name: str
    size: int
    used: float
    changed: float
    state: str


@dataclass(frozen=True)
class Cache:
    """folder: where the server writes; the record of what is whole lies beside it."""

    folder: Path
    hasher: str
    bound: int

    @property
    def record(self) -> Path:
        return self.folder.with_name(f"{self.folder.name}.whole")


def pieces(folder: Path) -> dict[str, Piece]:
    """Every regular file with a name of the cache's. A link of such a name goes: the server would follow it."""
    found = {}
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            if NAME.fullmatch(entry.name):
                with suppress(FileNotFoundError):
                    about = entry.stat(follow_symlinks=False)
                    if stat.S_ISLNK(about.st_mode):
                        removed(folder, [entry.name], "is a link")
                    elif stat.S_ISREG(about.st_mode):
                        found[entry.name] = _piece(entry.name, about)
    return found


def _piece(name: str, about: os.stat_result) -> Piece:
    state = f"{about.st_dev}-{about.st_ino}-{about.st_size}-{about.st_mtime_ns}-{about.st_ctime_ns}"
    return Piece(name, about.st_size, max(about.st_atime, about.st_mtime), about.st_ctime, state)


def surplus(found: Mapping[str, Piece], bound: int, free: int) -> list[str]:
    """Pure: what has to go, what was not used for longest first. free: bytes on the disk."""
    used = sum(piece.size for piece in found.values())
    allowed = min(bound, used + free - SPARE)
    names = []
    for piece in sorted(found.values(), key=lambda each: (each.used, each.name)):
        if used <= allowed:
            break
        names.append(piece.name)
        used -= piece.size
    return names


def doubtful(found: Mapping[str, Piece], known: Mapping[str, tuple[str, float]], now: float) -> list[str]:
    """Pure: what has to be read. known: the state in which a piece was found whole, and when."""

    def trusted(piece: Piece) -> bool:
        state, when = known.get(piece.name, ("", 0.0))
        return piece.state == state and 0 <= now - when < AGAIN_SECONDS

    return [name for name, piece in found.items() if not trusted(piece)]


def whole(cache: Cache, names: Sequence[str]) -> set[str]:
    """Those whose content is what their name says. What cannot be read to its end is not among them."""
    batches = [names[start : start + BATCH] for start in range(0, len(names), BATCH)]
    at_once, good = min(PROCESSES, os.cpu_count() or 1), set()
    for start in range(0, len(batches), at_once):
        for process in [_hasher(cache, batch) for batch in batches[start : start + at_once]]:
            lines = process.communicate()[0].splitlines() if process else ()
            good |= {name for found, _, name in (line.partition(" ") for line in lines) if found == name}
    return good


def _hasher(cache: Cache, names: Sequence[str]) -> subprocess.Popen[str] | None:
    """Says less than a pipe holds: it need not be read at once."""
    try:
        return subprocess.Popen([cache.hasher, *names], cwd=cache.folder, stdout=subprocess.PIPE, text=True)
    except OSError as error:
        print(f"{cache.hasher}: {error.strerror}: what it cannot read is not given out", flush=True)
        return None


def removed(folder: Path, names: Sequence[str], why: str) -> None:
    """Every one with a line in the journal."""
    for name in names:
        with suppress(FileNotFoundError):
            (folder / name).unlink()
            print(f"{folder / name} {why}: removed", flush=True)


def recorded(cache: Cache) -> dict[str, tuple[str, float]]:
    """What was found whole since the machine was booted. Before that it was perhaps the memory that was read, and a
    power cut has kept less."""
    with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
        said = json.loads(cache.record.read_text())
        if said["boot"] == BOOT.read_text().strip():
            return {name: (str(state), float(when)) for name, (state, when) in said["whole"].items()}
    return {}


def record(cache: Cache, known: Mapping[str, tuple[str, float]]) -> None:
    part = cache.record.with_suffix(".part")
    try:
        part.write_text(json.dumps({"boot": BOOT.read_text().strip(), "whole": known}))
        part.replace(cache.record)
    except OSError as error:  # a full disk: then all is read again
        print(f"{part}: {error.strerror}", flush=True)
        part.unlink(missing_ok=True)
        cache.record.unlink(missing_ok=True)


@contextmanager
def alone(cache: Cache) -> Iterator[None]:
    """One at a time: the server may be started again while what watches is reading."""
    lock = os.open(cache.record.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        fcntl.flock(lock, fcntl.LOCK_UN)
        os.close(lock)


def tidy(cache: Cache, *, idle: bool, now: float) -> int:
    """What is too much goes, then what is not whole; returns how many pieces are there and whole. idle: the server
    does not run, so that nothing is being written; else what was changed just now is left for the next turn."""
    with alone(cache):
        found, known = pieces(cache.folder), recorded(cache)
        disk = cache.folder if cache.folder.exists() else cache.record.parent  # it may be a disk of its own
        too_many = surplus(found, cache.bound, shutil.disk_usage(disk).free)
        removed(cache.folder, too_many, "is beyond the bound")
        left = {name: piece for name, piece in found.items() if name not in too_many}
        if not idle:
            left = {name: piece for name, piece in left.items() if not 0 <= now - piece.changed < SETTLED_SECONDS}
        asked = doubtful(left, known, now)
        good, bad = judged(cache, left, asked, idle=idle) if asked else (set(), [])
        removed(cache.folder, bad, "is not what its name says")
        kept = {name: known[name] for name in left.keys() - set(asked)} | {
            name: (left[name].state, now) for name in good
        }
        if kept != known:
            record(cache, kept)
        return len(kept)


def judged(cache: Cache, found: Mapping[str, Piece], asked: Sequence[str], *, idle: bool) -> tuple[set[str], list[str]]:
    """Which are whole, and which have to go. What changed while it was read is neither, as long as the server runs: the
    next turn tells."""
    good, after = whole(cache, asked), pieces(cache.folder)
    same = {name for name in asked if name in after and after[name].state == found[name].state}
    return good & same, [name for name in asked if name not in good & same and (idle or name in same)]


def main(verb: str, folder: str, hasher: str, size: str) -> None:
    cache = Cache(Path(folder), hasher, int(size))
    if verb == "check":
        start = time.monotonic()
        count = tidy(cache, idle=True, now=time.time())
        print(f"{folder}: {count} pieces, all whole, in {time.monotonic() - start:.1f} s", flush=True)
        return
    while True:
        tidy(cache, idle=False, now=time.time())
        time.sleep(PAUSE_SECONDS)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except OSError as error:  # a disk that fails, or was mounted read-only for it
        sys.exit(
            f"{error.filename or sys.argv[2]}: {error.strerror}: what is there cannot be vouched for; "
            "mend the disk, or take `cache` out of the serve"
        )
