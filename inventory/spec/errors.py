"""What a refused file says: one line per error, like a compiler's."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

Path = tuple[str | int, ...]
"""Where something stands in the file: ("links", 0, "usb4")."""

Problem = tuple[Path, str]
"""Where, and what is wrong with it."""

_LONGEST = 60


@dataclass(frozen=True)
class SpecError:
    """One error of one file, or a warning. `line` is None for what is wrong with the file as a whole."""

    file: str
    line: int | None
    where: str
    text: str
    warning: bool = False

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        kind = "warning" if self.warning else ""
        return ": ".join(part for part in (place, kind, self.where, self.text) if part)


class LabError(Exception):
    """The file cannot be used. str() is the whole report, one line per error."""

    def __init__(self, errors: Iterable[SpecError]) -> None:
        self.errors = tuple(errors)
        super().__init__("\n".join(str(error) for error in self.errors))


def dotted(path: Path) -> str:
    """The path as people write it: `links[0].usb4`."""
    return "".join(_step(step) for step in path).removeprefix(".")


def _step(step: str | int) -> str:
    if isinstance(step, int):
        return f"[{step}]"
    return f".{printable(step)}" if re.fullmatch(r"[\w-]+", step, re.ASCII) else f".{quoted(escaped(step))}"


def printable(text: str) -> str:
    """The text on one line of bounded length, whatever is in it."""
    if len(text) > _LONGEST:
        text = f"{text[:_LONGEST]}..."
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def escaped(text: str) -> str:
    """A key as ASCII: a Cyrillic letter that looks like a Latin one is seen."""
    return text.encode("ascii", "backslashreplace").decode()


def quoted(text: str) -> str:
    """A key, name or other text as it appears within a message."""
    return f'"{printable(text)}"'


def show(value: Any) -> str:
    """Any value of the file, short."""
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, dict):
        return "a mapping" if value else "an empty mapping"
    if isinstance(value, list):
        return "a list" if value else "an empty list"
    return "nothing" if value is None else printable(str(value).lower())


ALSO = {"thunderbolt": "usb4", "hip": "rocm"}
"""Other words for ours."""


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that was probably meant."""
    known = sorted(known)
    # Comparing costs the product of all lengths: an absurd word or file is not worth it.
    sane = len(word) <= _LONGEST and len(known) <= 254
    if ALSO.get(word.lower()) in known:
        return ALSO[word.lower()]
    near = difflib.get_close_matches(word.lower(), known, n=1) if sane else []
    return near[0] if near else None


def did_you_mean(word: str, known: Collection[str]) -> str:
    """The end of a message about an unknown word: the nearest known one, or all of them when they are few."""
    near = nearest(word, known)
    if near:
        return f"; did you mean {quoted(near)}?"
    few = 0 < len(known) <= 12 and all(known)
    return f"; known: {', '.join(printable(name) for name in sorted(known))}" if few else ""
