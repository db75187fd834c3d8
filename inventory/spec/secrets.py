"""Secrets that were written into the file: found, refused, and not repeated in any message."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from inventory.spec.errors import Path, Problem, printable, quoted, show
from inventory.spec.yaml_tree import Tree

KINDS = {
    "a Hugging Face token": re.compile(r"\bhf_[A-Za-z0-9]{16,}"),
    "an API key": re.compile(r"\bsk-[A-Za-z0-9_-]{16,}"),
    "a GitHub token": re.compile(r"\b(gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,})"),
    "a GitLab token": re.compile(r"\bglpat-[A-Za-z0-9_-]{16,}"),
    "an AWS key": re.compile(r"\bA(KIA|SIA)[A-Z0-9]{16}\b"),
    "a private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY"),
    "a URL with a password": re.compile(r"://[^/\s:@]*:[^/\s@]+@"),
    "a secret": re.compile(r"^--?[a-z-]*(token|api-key|password|secret)[= ]."),
}
"""What each looks like, by its issuer's documentation; last, a flag that has one."""

NAMED = re.compile(r"(^|[_-])(password|passwd|passphrase|secret|token|api[_-]?key|bearer)$", re.IGNORECASE)
"""A key that asks for a secret. `api_key_file` asks for a path."""

MASK = "(not shown)"
SHORTEST = 8
MOST = 200
"""So many are looked for. With more, nothing else is said of the file: it might repeat one."""


def find(tree: Tree) -> dict[Path, str]:
    """Where a secret stands -> what it looks like."""
    found = {}
    for path in tree.places:
        value = tree.at(path)
        text = str(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else ""
        kind = _kind(path, text) if text else None
        kind = kind or _looks(str(path[-1]) if path else "")  # a key may be one too
        if kind:
            found[path] = kind
        if len(found) == MOST:
            break
    return found


def problems(found: dict[Path, str]) -> Iterator[Problem]:
    """One for each."""
    for path, kind in found.items():
        hint = "; api_key_file names a file that holds it" if path[0] == "serves" and path[-1] == "api_key" else ""
        text = f"{kind} in the file, which is no place for secrets; take it out, and make it void if it was shared"
        yield path, text + hint


def others(told: Iterable[Problem], found: dict[Path, str]) -> Iterator[Problem]:
    """The problems without those of a secret: it has to go, whatever else is wrong with it."""
    for path, text in told if len(found) < MOST else ():
        if path not in found and not any(_looks(str(step)) for step in path):
            yield path, text


def masked(text: str, tree: Tree, found: dict[Path, str]) -> str:
    """The text without any of the secrets, in whatever way messages write them."""
    for path in found:
        for value in (str(tree.at(path)), str(path[-1])):
            shapes = [show(value), quoted(value)]
            if len(value) >= SHORTEST:  # a shorter one would be found in half of all words
                shapes += [printable(value), value]
            if value != str(path[-1]) or _looks(value):
                for shape in shapes:
                    text = text.replace(shape, MASK)
    return text


def _kind(path: Path, value: str) -> str | None:
    if kind := _looks(value):
        return kind
    names = [step for step in path if isinstance(step, str)]
    return "a secret" if names and NAMED.search(names[-1]) else None


def _looks(text: str) -> str | None:
    return next((kind for kind, pattern in KINDS.items() if pattern.search(text)), None)
