"""A node's GPU stack as it is, in one command."""

from __future__ import annotations

import base64
import re
import shlex
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from pyinfra.api import FactBase, QuoteString, StringCommand

from roles.gpu.plan import KEYS, MOVED, OURS, RECORD, Gpu, data, environment, packages
from roles.lib.layout import USER
from roles.lib.render import render

PATIENCE_SECONDS = 60
"""A GPU that hangs must not hang the run: what asks it is ended."""


@dataclass(frozen=True)
class Seen:
    """os: ID-VERSION_ID. tool: apt, dnf or empty. packages: name -> version. files: of ours, path -> (mode, sha256).

    folder: there is one of ours; record: what halofleet has put there. amdvlk: its files where the loader finds them;
    moved: where halofleet has put them aside. sources: files of others that name AMD's repository; neighbours: that
    name other folders of its host. members, groups: those the service user is in, and those that exist. vulkan, rocm:
    what vulkaninfo and rocminfo say to the service user; empty where they did not run.
    """

    os: str = ""
    tool: str = ""
    packages: dict[str, str] = field(default_factory=dict)
    files: dict[str, tuple[str, str]] = field(default_factory=dict)
    key: str = ""
    folder: bool = False
    record: tuple[str, ...] = ()
    amdvlk: tuple[str, ...] = ()
    moved: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    neighbours: tuple[str, ...] = ()
    rocm_link: str = ""
    members: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()
    vulkan: tuple[str, ...] = ()
    rocm: tuple[str, ...] = ()


class GpuStates(FactBase[Seen]):
    def command(self, gpu: Gpu) -> StringCommand:
        wanted = packages(gpu)
        older = data()["older_rocm"]["packages"]
        names = {tool: (*wanted[tool], *older, "amdgpu-dkms", "mesa-vulkan-drivers") for tool in wanted}
        script = render(
            "gpu/look.sh.j2",
            apt=_words(dict.fromkeys(names["apt"])),
            dnf=_words(dict.fromkeys(names["dnf"])),
            files=_words(OURS),
            keys=_words(KEYS.values()),
            folder=RECORD,
            amdvlk=_words(data()["amdvlk"]["files"]),
            moved=MOVED,
            needle=shlex.quote(gpu.rocm.repository),
            host=shlex.quote(f"//([^/@]*@)?{re.escape(gpu.rocm.host)}([:/[:space:]]|$)"),
            user=USER,
            patience=PATIENCE_SECONDS,
            groups=_words(data()["groups"]["names"]),
            stacks=gpu.stacks,
            vulkan_environment=_words(f"{key}={value}" for key, value in environment("vulkan").items()),
            prefix=gpu.rocm.prefix,
        )
        return StringCommand("sh -c", QuoteString(script))

    def process(self, output: list[str]) -> Seen:
        said: dict[str, list[str]] = defaultdict(list)
        for line in output:
            key, _, value = line.partition(" ")
            said[key].append(value)
        one = {key: values[-1] for key, values in said.items()}
        files = [value.split(" ", 2) for value in said["file"]]
        return Seen(
            os=one.get("os", ""),
            tool=one.get("tool", ""),
            packages=dict(value.split(" ", 1) for value in said["package"]),
            files={path: (mode, digest) for mode, digest, path in files},
            key=base64.b64decode(one.get("key", "")).decode("utf-8", "replace"),
            folder="folder" in one,
            record=tuple(said["record"]),
            amdvlk=tuple(said["amdvlk"]),
            moved=tuple(said["moved"]),
            sources=tuple(value for value in said["source"] if value not in OURS),
            neighbours=tuple(value for value in said["neighbour"] if value not in OURS),
            rocm_link=one.get("rocm_link", ""),
            members=frozenset(said["member"]),
            groups=frozenset(said["group"]),
            vulkan=tuple(said["vulkan"]),
            rocm=tuple(said["rocm"]),
        )

    @staticmethod
    def default() -> Seen:
        return Seen()


def _words(words: Iterable[str]) -> str:
    return " ".join(map(shlex.quote, words))
