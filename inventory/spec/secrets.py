"""Secrets that were written into the file: found, refused, and not repeated in any message."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from inventory.spec.errors import Path, Problem, escaped, printable, quoted, show
from inventory.spec.yaml_tree import Tree

ISSUED = {
    "a Hugging Face token": re.compile(r"\bhf_[A-Za-z0-9]{16,}"),
    "an API key": re.compile(r"\bsk-[A-Za-z0-9_-]{16,}"),
    "a GitHub token": re.compile(r"\b(gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,})"),
    "a GitLab token": re.compile(r"\bglpat-[A-Za-z0-9_-]{16,}"),
    "an AWS key": re.compile(r"\bA(KIA|SIA)[A-Z0-9]{16}\b"),
    "a private key": re.compile(r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY"),
    "a URL with a password": re.compile(r"://[^/\s:@]{0,99}:[^/\s@]{1,99}@|https?://[^/\s@]{1,99}@"),
    "a bearer token": re.compile(r"\b(Bearer|Basic)\s+[A-Za-z0-9._~+/=-]{16,}", re.IGNORECASE),
}
"""What each looks like, by its issuer's documentation. They are secrets in comments too."""

KINDS = ISSUED | {
    "a URL with a token": re.compile(r"[?&]([a-z_-]{0,40}(token|signature)|sig|key)=\S", re.IGNORECASE),
    "a password": re.compile(r"[^\s/:@]:[^\s/@]{1,99}@"),
    "a secret": re.compile(r"(^|\s)--?[a-z_-]{0,40}(token|api[_-]key|password|secret)[= ].", re.IGNORECASE),
}
"""And as a value: last, a flag that has one."""

NAMED = re.compile(r"(^|[_-])(pass(word|wd|phrase)?|pwd?|psk|secret|token|api[_-]?key|bearer)$", re.IGNORECASE)
"""A key that asks for a secret. `api_key_file` asks for a path."""

_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")

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
        kind = kind or (_key(str(path[-1])) if path else None)
        if kind:
            found[path] = kind
        if len(found) == MOST:
            break
    return found


def problems(found: dict[Path, str]) -> Iterator[Problem]:
    """One for each."""
    for path, kind in found.items():
        hint = "; api_key_file names a file that holds it" if path[0] == "serves" and path[-1] == "api_key" else ""
        yield path, _told(kind) + hint


def elsewhere(text: str, tree: Tree, found: dict[Path, str]) -> Iterator[tuple[int, str]]:
    """Lines with secrets that are no value: in comments, and below a key that stands twice."""
    values = [str(part) for path in found for part in (tree.at(path), path[-1] if path else "")]
    told = set()
    for line, part in enumerate(text.split("\n"), 1):
        for kind, pattern in ISSUED.items():
            match = pattern.search(part)
            if match and line not in told and not any(match.group() in value for value in values):
                told.add(line)
                yield line, _told(kind)
    for place in tree.forgotten:
        if place.line not in told and (looks := _looks((place.text or "").strip('"'))):
            told.add(place.line)
            yield place.line, _told(looks)


def _told(kind: str) -> str:
    return f"{kind} in the file, which is no place for secrets; take it out, and make it void if it was shared"


def others(told: Iterable[Problem], found: dict[Path, str]) -> Iterator[Problem]:
    """The problems without those of a secret: it has to go, whatever else is wrong with it."""
    for path, text in told if len(found) < MOST else ():
        if path not in found and not any(_key(str(step)) for step in path):
            yield path, text


def masked(text: str, tree: Tree, found: dict[Path, str]) -> str:
    """The text without any of the secrets, in whatever way messages write them."""
    for path in found:
        for value in (str(tree.at(path)), str(path[-1])):
            shapes = [show(value), quoted(value)]
            if len(value) >= SHORTEST:  # a shorter one would be found in half of all words
                shapes += [printable(value), value]
            shapes.append(quoted(escaped(value)))
            if value != str(path[-1]) or _key(value):
                for shape in shapes:
                    text = text.replace(shape, MASK)
    return text


def _kind(path: Path, value: str) -> str | None:
    if kind := _looks(value):
        return kind
    names = [step for step in path if isinstance(step, str)]
    if names and _asks(names[-1]):
        return "a secret"
    return "a password" if path[-1] == "user" and ":" in value else None


def _key(key: str) -> str | None:
    """A key may be a secret itself, or hold one: `password:hunter2` lacks a space."""
    name, colon, value = key.partition(":")
    return _looks(key) or ("a secret" if colon and value and _asks(name) else None)


def _asks(name: str) -> bool:
    return NAMED.search(_CAMEL.sub("_", name)) is not None


def _looks(text: str) -> str | None:
    return next((kind for kind, pattern in KINDS.items() if pattern.search(text)), None)
