"""Runs on the controller before llama-server: whether the files of its model are what arrived.

    check_model.py /var/lib/halofleet/models/chat.gguf

llama.cpp takes weights as they are. A model with a flipped bit loads, and talks differently. This program is placed on
nodes as it is, so it needs nothing but Python.

FILE.sha256 says what arrived: its sum, then its size and the second of its last change. While these two are as they
were the file is believed, for a sum over hundreds of gigabytes takes minutes; otherwise the sum decides. A file that
the user has put there has no such record, and is believed if it is there.
"""

from __future__ import annotations

import hashlib
import re
import sys
from pathlib import Path

SHOWN = 12
"""Digits of a sum that a message shows."""


def parts(first: Path) -> list[Path]:
    """All files of the model: llama.cpp makes the other names from the first part's (src/llama.cpp,
    llama_split_path)."""
    if found := re.fullmatch(r"(.+)-00001-of-(\d{5})\.gguf", first.name):
        return [first.with_name(f"{found[1]}-{number:05}-of-{found[2]}.gguf") for number in range(1, int(found[2]) + 1)]
    return [first]


def trouble(path: Path) -> str:
    """What is wrong with a file; empty where nothing is."""
    try:
        seen = path.stat()
    except OSError as error:
        return f"{path}: {error.strerror}; put it back, or run cluster.py, which brings it"
    recorded = record(path)
    if recorded is None or recorded[1] == f"{seen.st_size}-{int(seen.st_mtime)}":
        return ""
    arrived, (size, _, _) = recorded[0], recorded[1].partition("-")
    if size != str(seen.st_size):
        return f"{path}: has {seen.st_size} bytes, and {size} arrived; put it back, or run cluster.py, which brings it"
    print(f"{path}: changed since it arrived; whether its content did is being looked at", flush=True)
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        return f"{path}: cannot be read: {error.strerror}"
    if found == arrived:
        return ""
    said = f"its sha256 is {found[:SHOWN]}..., and {arrived[:SHOWN]}... arrived"
    return f"{path}: damaged: {said}; put it back, or run cluster.py, which brings it"


def record(path: Path) -> tuple[str, str] | None:
    """The sum, and `SIZE-SECONDS`; None where there is none."""
    try:
        words = Path(f"{path}.sha256").read_text().split()
    except (OSError, ValueError):
        return None
    return (words[0], words[1]) if len(words) == 2 else None


def main(first: str) -> int:
    found = list(filter(None, map(trouble, parts(Path(first)))))
    for line in found:
        print(line, flush=True)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
