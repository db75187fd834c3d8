"""Files on the control machine: whole or not there, and their sums."""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from inventory.spec import home
from roles.lib.stop import Failed

BLOCK = 1 << 20


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A file to write, mode 0600, that takes the name `path` only when the block ends well. Raises Failed."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        os.close(handle)
        part = Path(name)
        try:
            yield part
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise Failed(f"{path}: {error.strerror or error}") from error


def sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
            time.sleep(0)  # lets the other greenlets run: a connection that says nothing for a minute counts as gone
    return digest.hexdigest()


def sha256_cached(path: Path) -> str:
    """The same, asked once per size and modification time: models are large."""
    stat = path.stat()
    key = hashlib.sha256(f"{path}\0{stat.st_size}\0{stat.st_mtime_ns}".encode()).hexdigest()
    note = home.cache("sums") / key
    if not note.is_file():
        with whole(note) as part:
            part.write_text(sha256(path))
    return note.read_text()
