"""What a node has of a release."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from pyinfra.api import FactBase, StringCommand

from roles.lib.layout import CURRENT, RELEASES


@dataclass(frozen=True)
class Installed:
    """sums: the content of SHA256SUMS where every file agrees with it; empty where the release is absent or damaged."""

    sums: str
    current: str
    """Where the `current` link points."""


class InstalledRelease(FactBase[Installed]):
    def command(self, release: str) -> StringCommand:
        path = shlex.quote(f"{RELEASES}/{release}")
        return StringCommand(
            f'echo "$(readlink {CURRENT})"; '
            f"cd {path} 2>/dev/null && sha256sum -c --status SHA256SUMS 2>/dev/null && cat SHA256SUMS || true"
        )

    def process(self, output: list[str]) -> Installed:
        return Installed("".join(f"{line}\n" for line in output[1:]), output[0])

    @staticmethod
    def default() -> Installed:
        return Installed("", "")
