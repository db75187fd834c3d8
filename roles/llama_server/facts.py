"""What a controller tells of its key."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from pyinfra.api import FactBase, StringCommand


@dataclass(frozen=True)
class Key:
    """digest: sha256 of the file's content, never the key; empty where there is none, or a line that is no key:
    llama-server would take an empty file for no authentication at all. private: it is root's alone."""

    digest: str
    private: bool


class KeyState(FactBase[Key]):
    def command(self, path: str) -> StringCommand:
        quoted = shlex.quote(path)
        return StringCommand(
            "export LC_ALL=C; "
            f"if grep -qsE '^[!-~]{{16,}}$' {quoted} && ! grep -qvE '^([!-~]{{16,}})?$' {quoted}; then "
            f"sha256sum <{quoted} | cut -c1-64; stat -c '%a %U:%G' {quoted}; fi"
        )

    def process(self, output: list[str]) -> Key:
        return Key(output[0], output[1] == "400 root:root")

    @staticmethod
    def default() -> Key:
        return Key("", False)
