"""What a node has of its models."""

from __future__ import annotations

import shlex

from pyinfra.api import FactBase, StringCommand

from roles.models.parts import PATTERN


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
