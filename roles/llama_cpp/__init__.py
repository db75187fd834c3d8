"""llama.cpp releases: built once per platform, put on every node, `current` points to the one that should run."""

from __future__ import annotations

from pyinfra.api import deploy

from roles.llama_cpp.operations import built, installed
from roles.llama_cpp.plan import Release


@deploy("llama.cpp")
def llama_cpp(plan: Release) -> None:
    built(release=plan, name="release built")
    installed(release=plan, name="release installed")
