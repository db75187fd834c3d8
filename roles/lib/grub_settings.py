"""GRUB's settings, /etc/default/grub and its drop-ins: shell, of which assignments are understood. Nothing is run."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

LONGEST = 4096
"""Characters of a value; a line may double what the one before it said."""

_ASSIGNMENT = re.compile(r"\s*(?:export\s+)?(GRUB_[A-Z_]+)(\+?)=(.*)", re.DOTALL)
_PIECE = re.compile(
    r"""
    '([^']*)'
    | "((?:\\.|[^"\\])*)(?:"|\Z)
    | ((?:\\.|\$\{(?:[^{}]|\{[^{}]*\})*\}|[^\s'"\\;&|<>()])+)
    """,
    re.VERBOSE | re.DOTALL,
)
_EXPANSION = re.compile(r"\\(.)|\$(\w+)|\$\{(\w+)(?::?([-+])((?:[^{}]|\{[^{}]*\})*))?\}", re.DOTALL)


class Assignment(NamedTuple):
    """more: `+=`. text: as it stands behind the sign."""

    name: str
    more: bool
    text: str

    def value(self, known: Mapping[str, str]) -> str:
        """With the variables that are known; any other is empty, as the shell has it."""
        found, place = "", 0
        while match := _PIECE.match(self.text, place):
            single, double, bare = match.groups()
            if single is not None:
                found += single
            else:
                found += _expanded(double, known, '$`"\\') if double is not None else _expanded(bare, known)
            place = match.end()
        return found[:LONGEST]


def assignment(line: str) -> Assignment | None:
    """Of a line whose continuations are joined; None where it assigns nothing to a variable of GRUB's."""
    match = _ASSIGNMENT.match(line)
    return Assignment(match[1], bool(match[2]), match[3][:LONGEST]) if match else None


def values(lines: Iterable[str]) -> dict[str, str]:
    """By name, as the last of the lines leaves them."""
    known: dict[str, str] = {}
    for found in filter(None, map(assignment, lines)):
        before = known.get(found.name, "") if found.more else ""
        known[found.name] = (before + found.value(known))[:LONGEST]
    return known


def _expanded(text: str, known: Mapping[str, str], escapable: str = "") -> str:
    """escapable: before which characters a backslash goes; before any without quotes."""

    def one(match: re.Match[str]) -> str:
        escaped, plain, name, sign, word = match.groups()
        if escaped is not None:
            return escaped if not escapable or escaped in escapable else match[0]
        value = known.get(plain or name, "")
        if sign is None:
            return value
        return _expanded(word, known, escapable) if bool(value) is (sign == "+") else value

    return _EXPANSION.sub(one, text)
