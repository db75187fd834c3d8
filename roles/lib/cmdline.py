"""The kernel's command line as words: `key=value` or `key`, where double quotes keep spaces (bootparam(7))."""

from __future__ import annotations

import re

_WORD = re.compile(r'(?:[^\s"]|"[^"]*")+')


def words(text: str) -> tuple[str, ...]:
    """In their order. What stands behind `--` is init's, not the kernel's, and is left out."""
    found = _WORD.findall(text)
    return tuple(found[: found.index("--")] if "--" in found else found)


def key(word: str) -> str:
    """Of `amdgpu.lockup-timeout=1`: the kernel takes dashes in a parameter's name for underscores."""
    return word.partition("=")[0].replace("-", "_")


def values(text: str, name: str) -> tuple[str, ...]:
    """Every value that the parameter is given, in their order; the last one counts for most of them."""
    return tuple(word.partition("=")[2].strip('"') for word in words(text) if key(word) == key(name))
