"""What a node has of its releases."""

from __future__ import annotations

import shlex
from collections import defaultdict
from dataclasses import dataclass

from pyinfra.api import FactBase, StringCommand

from roles.llama_cpp import device
from roles.llama_cpp.plan import Release


@dataclass(frozen=True)
class Installed:
    """sums: the content of SHA256SUMS where every file agrees with it; empty where the release is absent or damaged."""

    sums: str = ""
    current: str = ""
    """Where the link of its backend points."""


class InstalledReleases(FactBase[dict[str, Installed]]):
    """By the release's id."""

    def command(self, releases: tuple[Release, ...]) -> StringCommand:
        return StringCommand("; ".join(map(_look, releases)))

    def process(self, output: list[str]) -> dict[str, Installed]:
        links: dict[str, str] = {}
        sums: dict[str, str] = defaultdict(str)
        identity = ""
        for line in output:
            if line.startswith("release "):
                identity, _, links[identity] = line.removeprefix("release ").partition(" ")
            else:
                sums[identity] += f"{line}\n"
        return {name: Installed(sums[name], link) for name, link in links.items()}

    @staticmethod
    def default() -> dict[str, Installed]:
        return {}


class Devices(FactBase[dict[str, str]]):
    """What the release finds: `Vulkan0` -> how it is called, and its memory."""

    def command(self, release: Release) -> StringCommand:
        return StringCommand(device.listed(release))

    def process(self, output: list[str]) -> dict[str, str]:
        return {name: about for name, _, about in (line.partition(" ") for line in output)}

    @staticmethod
    def default() -> dict[str, str]:
        return {}


def _look(release: Release) -> str:
    return (
        f'echo "release {release.id} $(readlink {release.link})"; '
        f"(cd {shlex.quote(release.path)} 2>/dev/null && sha256sum -c --status SHA256SUMS 2>/dev/null && "
        "cat SHA256SUMS) || true"
    )
