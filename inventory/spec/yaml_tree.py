"""YAML as lab.yml needs it: plain data, and the line on which each part of it stands.

The file may come from anywhere, so nothing in it can cost more than reading it: no aliases (they multiply), no tags,
bounded nesting, bounded scalars. PyYAML's own parser in Python is used, not libyaml: a file of 200 nodes takes it a
tenth of a second, and its messages are the same on every machine.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from inventory.spec.errors import Path, printable, quoted

DEPTH = 16
"""Deeper than any lab is; shallow enough for every recursion that follows."""

MOST_VALUES = 50_000
"""Some ten times what 254 nodes need; reading and checking so many takes two seconds."""

_TYPED_LENGTH = 40
"""No number of ours is longer, and huge ones take quadratic time to read."""

_FORBIDDEN = re.compile("[^\t\n\r\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_BREAKS = "\x85\u2028\u2029"
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)", re.ASCII)
_FRACTION = re.compile(r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?", re.ASCII)
_BOOLEANS = {"yes": True, "no": False, "true": True, "false": False, "on": True, "off": False}


class YamlError(Exception):
    """The text is not YAML, or not YAML that we read: nothing after this line can be trusted."""

    def __init__(self, line: int, text: str) -> None:
        super().__init__(text)
        self.line = line


@dataclass(frozen=True)
class Place:
    """Where a value stands: its key's line, its own, and a scalar's text as written."""

    key_line: int
    line: int
    text: str | None = None


@dataclass
class Tree:
    """The data of one document. A key is always the text that stands there: `on` and `1` are words as keys."""

    data: Any = None
    places: dict[Path, Place] = field(default_factory=dict)
    twice: list[tuple[Path, int, int]] = field(default_factory=list)
    """Keys that stand twice: the path, the line of the first and of the second."""
    forgotten: list[Place] = field(default_factory=list)
    """What stands below the second of them."""

    def line(self, path: Path) -> int:
        """The line of the nearest thing that the file does have."""
        place = self.places.get(path)
        if place is not None:
            # A block mapping begins below its key, and the key is what people look for.
            return place.line if place.text is not None else place.key_line
        return self.line(path[:-1]) if path else 1

    def at(self, path: Path) -> Any:
        """The value there, or None."""
        value = self.data
        for step in path:
            try:
                value = value[step]
            except (KeyError, IndexError, TypeError):
                return None
        return value


def read(text: str) -> Tree:
    """Raises YamlError at what cannot be read. A key that stands twice is in `twice`; its first value counts."""
    if bad := _FORBIDDEN.search(text):
        line = text.count("\n", 0, bad.start()) + 1
        why = "is a line break to YAML and none to editors" if bad.group() in _BREAKS else "is not allowed in YAML"
        raise YamlError(line, f"the character U+{ord(bad.group()):04X} {why}")
    reader = _Reader(text)
    try:
        reader.document()
    except yaml.MarkedYAMLError as error:
        raise _syntax(error, text) from None
    return reader.tree


def _syntax(error: yaml.MarkedYAMLError, text: str) -> YamlError:
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line, mark.column) if mark else (0, 0)
    lines = text.splitlines()
    tab = line < len(lines) and "\t" in lines[line][: column + 1]
    hint = "; YAML is indented with spaces, not tabs" if tab else ""
    if "<block" in (error.problem or ""):
        hint = "; this line is not indented as its neighbours are"
    return YamlError(line + 1, f"not YAML: {printable(error.problem or 'cannot be read')}{hint}")


class _Reader:
    def __init__(self, text: str) -> None:
        self.tree = Tree()
        self._values = 0
        self._events: Iterator[yaml.Event] = yaml.parse(text, Loader=yaml.SafeLoader)

    def document(self) -> None:
        self._next()  # the stream's start
        if isinstance(self._next(), yaml.StreamEndEvent):
            return
        self.tree.data = self._value((), self._next(), None)
        self._next()  # the document's end
        event = self._next()
        if not isinstance(event, yaml.StreamEndEvent):
            raise YamlError(_line(event), "a second document begins here; a lab is one document")

    def _next(self) -> yaml.Event:
        return next(self._events)

    def _value(self, path: Path, event: yaml.Event, key_line: int | None) -> Any:
        line = _line(event)
        _refuse_cleverness(event, line)
        self._values += 1
        if self._values > MOST_VALUES:
            raise YamlError(line, f"more than {MOST_VALUES} values; a lab never has")
        if len(path) > DEPTH:
            raise YamlError(line, f"nested more than {DEPTH} deep; a lab never is")
        key_line = line if key_line is None else key_line
        if isinstance(event, yaml.ScalarEvent):
            _refuse_surrogates(event, line)
            self.tree.places[path] = Place(key_line, line, event.value if event.style is None else quoted(event.value))
            return _scalar(event)
        self.tree.places[path] = Place(key_line, line)
        return self._list(path) if isinstance(event, yaml.SequenceStartEvent) else self._mapping(path)

    def _list(self, path: Path) -> list[Any]:
        items: list[Any] = []
        while not isinstance(event := self._next(), yaml.SequenceEndEvent):
            items.append(self._value((*path, len(items)), event, None))
        return items

    def _mapping(self, path: Path) -> dict[str, Any]:
        values: dict[str, Any] = {}
        while not isinstance(event := self._next(), yaml.MappingEndEvent):
            line = _line(event)
            _refuse_cleverness(event, line)
            if not isinstance(event, yaml.ScalarEvent):
                raise YamlError(line, "a key must be a single word")
            _refuse_surrogates(event, line)
            key = event.value
            if key in values:
                self._second(path, key, line)
            else:
                values[key] = self._value((*path, key), self._next(), line)
        return values

    def _second(self, path: Path, key: str, line: int) -> None:
        """Reads the value of a repeated key and forgets it, places included."""
        first, kept = self.tree.places[(*path, key)], self.tree.places
        self.tree.places = {}
        self._value((*path, key), self._next(), line)
        self.tree.forgotten += self.tree.places.values()
        self.tree.places = kept
        self.tree.twice.append(((*path, key), first.key_line, line))


def _scalar(event: yaml.ScalarEvent) -> Any:
    """YAML 1.1's values, without its traps: octal (`010`), base 60 (`22:22`) and dates stay text."""
    text = event.value
    if event.style is not None or len(text) > _TYPED_LENGTH:
        return text
    if text in ("", "~") or text.lower() == "null":
        return None
    if text.lower() in _BOOLEANS:
        return _BOOLEANS[text.lower()]
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _FRACTION.fullmatch(text) else text


def _line(event: yaml.Event) -> int:
    mark = event.start_mark
    return mark.line + 1 if mark else 1


def _refuse_cleverness(event: yaml.Event, line: int) -> None:
    if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
        raise YamlError(line, "anchors and aliases (&name, *name) are not read; write the value out")
    if getattr(event, "tag", None):
        raise YamlError(line, "tags (!name) are not read; put text that begins with ! in quotes")


def _refuse_surrogates(event: yaml.ScalarEvent, line: int) -> None:
    """Half a character, which an escape in quotes can write, would break whoever prints or encodes it."""
    try:
        event.value.encode()
    except UnicodeEncodeError:
        raise YamlError(line, "an escape in this text is half of a character (a surrogate)") from None
