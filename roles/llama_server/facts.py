"""What a controller tells of its key."""

from __future__ import annotations

import shlex

from pyinfra.api import FactBase, StringCommand


class KeyDigest(FactBase[str]):
    """sha256 of the key file's content, never the key; empty where there is none or it is not root's alone."""

    def command(self, path: str) -> StringCommand:
        quoted = shlex.quote(path)
        return StringCommand(
            f'if [ "$(stat -c "%a %U %s" {quoted} 2>/dev/null | sed "s/ [1-9][0-9]*$//")" = "400 root" ]; '
            f"then sha256sum <{quoted} | cut -c1-64; fi"
        )

    @staticmethod
    def default() -> str:
        return ""
