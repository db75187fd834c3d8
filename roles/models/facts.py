"""What a node has of its models."""

from __future__ import annotations

import base64
import shlex

from pyinfra.api import FactBase, StringCommand

from roles.models.head import BYTES, Head, read
from roles.models.parts import PATTERN


class ModelHeads(FactBase[dict[str, Head]]):
    """Path of a model -> the beginning of its first file, and the size of all. Models that are not there are left out;
    of a folder every file counts that ModelFiles has."""

    def command(self, files: tuple[str, ...], folders: tuple[str, ...]) -> StringCommand:
        places = [(path, shlex.quote(path)) for path in files]
        places += [(folder, f"{shlex.quote(folder)}/{PATTERN}") for folder in folders]
        return StringCommand("; ".join(_head(path, words) for path, words in places) or "true")

    def process(self, output: list[str]) -> dict[str, Head]:
        found = {}
        for line in output:
            size, _, rest = line.partition(" ")
            text, _, path = rest.partition(" ")
            found[path] = read(int(size), base64.b64decode(text))
        return found

    @staticmethod
    def default() -> dict[str, Head]:
        return {}


def _head(path: str, words: str) -> str:
    """Shell. The shell sorts what a pattern matches, so the first part comes first."""
    return (
        f'size=0 first=; for p in {words}; do if [ -f "$p" ] && [ -s "$p" ]; then '
        'size=$((size + $(wc -c <"$p"))); first=${first:-$p}; fi; done; '
        f'if [ -n "$first" ]; then echo "$size $(head -c {BYTES} "$first" | base64 -w 0) "{shlex.quote(path)}; fi'
    )


class ModelFiles(FactBase[dict[str, str]]):
    """Path -> the sum that was recorded when the file arrived; size and time where there is no record of this file.

    A file that changed since (its size or time is not what was recorded) has none. Hashing hundreds of gigabytes at
    every run would cost minutes. Empty files are left out. folders: those of models in parts.
    """

    def command(self, files: tuple[str, ...], folders: tuple[str, ...]) -> StringCommand:
        words = " ".join([*map(shlex.quote, files), *(f"{shlex.quote(folder)}/{PATTERN}" for folder in folders)])
        return StringCommand(
            f'for p in {words}; do if [ -f "$p" ] && [ -s "$p" ]; then seen=$(stat -c %s-%Y "$p"); sum= stamp=; '
            'if [ -f "$p.sha256" ]; then read -r sum stamp <"$p.sha256"; fi; '
            'if [ "$stamp" = "$seen" ]; then echo "$sum $p"; else echo "$seen $p"; fi; fi; done'
        )

    def process(self, output: list[str]) -> dict[str, str]:
        return {path: digest for digest, _, path in (line.partition(" ") for line in output)}

    @staticmethod
    def default() -> dict[str, str]:
        return {}
