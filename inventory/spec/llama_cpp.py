"""Which releases of llama.cpp are known to be bad: inventory/llama_cpp.yml, which carries the source of every entry."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from inventory.spec.language.sources import GitSource, LlamaCpp

DATA = Path(__file__).parents[1] / "llama_cpp.yml"


@cache
def vulnerabilities() -> tuple[dict[str, Any], ...]:
    return tuple(yaml.safe_load(DATA.read_text())["vulnerabilities"])


def build(said: LlamaCpp) -> int | None:
    """Upstream's number of the build; None where the source does not tell: a commit, a branch, an archive."""
    source = said.source
    tag = re.fullmatch(r"b([0-9]+)", source.ref) if isinstance(source, GitSource) else None
    return int(tag[1]) if tag else None


def known_bad(said: LlamaCpp) -> str:
    """What is known against the source, with what to do; empty where nothing is."""
    number = build(said)
    if number is None:
        return ""
    flags = {flag for flags in (said.cmake.cpu, said.cmake.vulkan, said.cmake.rocm) for flag in flags}
    found = [
        each
        for each in vulnerabilities()
        if each.get("from", 0) <= number < each["below"] and each.get("only_with") in (None, *flags)
    ]
    if not found:
        return ""
    names = ", ".join(f"{each['name']} ({each['what']})" for each in found)
    least = max(each["below"] for each in found)
    return f"b{number} is known to have {names}; name b{least} or a later tag"
