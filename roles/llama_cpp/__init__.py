"""llama.cpp releases: built once per platform, put on every node, a link per backend points to the one that runs."""

from __future__ import annotations

from pyinfra.api import deploy

from roles.llama_cpp.operations import built, installed
from roles.llama_cpp.plan import Release


@deploy("llama.cpp")
def llama_cpp(plan: tuple[Release, ...]) -> None:
    built(releases=plan, name="releases built")
    installed(releases=plan, name="releases installed")
