"""From a path to a Lab, or to every reason why not. Nothing here, and nothing that it calls, touches a host."""

from __future__ import annotations

import contextlib
import json
import re
import stat
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

from pydantic import ValidationError

from inventory.spec import advice, draft, lab, messages, rules, secrets, traits, yaml_tree
from inventory.spec.errors import LabError, Problem, SpecError, dotted, quoted
from inventory.spec.errors import Path as YamlPath
from inventory.spec.language.file import LabFile
from inventory.spec.language.patterns import NAME, PATTERNS
from inventory.spec.topology.links import links
from inventory.spec.yaml_tree import Tree, YamlError

LARGEST = 2**20
"""Bytes. A lab of 254 nodes has less than a tenth of it."""

MOST = 200
"""Errors that are shown. More of them is not a lab with mistakes, but another file."""


def load(path: Path) -> lab.Lab:
    """Reads and checks the whole file. Raises LabError, and nothing else, whatever the file holds."""
    shown = _shown(path)
    text = _text(path, shown)
    tree = _tree(text, shown)
    found = secrets.find(tree)
    problems: list[Problem] = []
    try:
        # JSON because its strict mode is YAML's: text may become an address, but never a number.
        spec = LabFile.model_validate_json(json.dumps(tree.data), strict=True)
    except ValidationError as refused:
        problems += islice(messages.explain(refused, tree), MOST + 1)
    problems += messages.empty(tree, [where for where, _ in problems])
    problems += islice(rules.check(draft.read(path.stem, tree)), MOST + 1)
    problems = [*secrets.problems(found), *secrets.others(problems, found)]
    twice = _twice(shown, tree) if len(found) < secrets.MOST else ()
    strays = (SpecError(shown, line, "", told) for line, told in secrets.elsewhere(text, tree, found))
    errors = [*_name(path, shown), *strays, *_located(shown, tree, problems), *twice]
    if errors:
        raise LabError(_masked(error, tree, found) for error in _first(shown, errors))
    made = _build(path, spec)
    warnings = (SpecError(shown, tree.line(where), dotted(where), text, True) for where, text in advice.advise(made))
    return made.warned(sorted(warnings, key=lambda warning: (warning.line or 0, warning.where)))


def _build(path: Path, spec: LabFile) -> lab.Lab:
    """The lab of a file that has passed `rules`."""
    nodes = traits.nodes(spec)
    ids = {name: node.id for name, node in nodes.items()}
    return lab.Lab(path.stem, path, spec, nodes, links(spec.links_range, ids, spec.links))


def _masked(error: SpecError, tree: Tree, found: dict[YamlPath, str]) -> SpecError:
    if not found:
        return error
    where, text = (secrets.masked(part, tree, found) for part in (error.where, error.text))
    return replace(error, where=where, text=text)


def _tree(text: str, shown: str) -> Tree:
    try:
        tree = yaml_tree.read(text)
    except YamlError as error:
        raise LabError([SpecError(shown, error.line, "", str(error))]) from None
    if tree.data is None:
        raise _refused(shown, "is empty; start from the inventory/lab.yml that halofleet ships")
    if not isinstance(tree.data, dict):
        raise LabError([SpecError(shown, tree.line(()), "", "the file must be a mapping (nodes: ..., serves: ...)")])
    return tree


def _text(path: Path, shown: str) -> str:
    try:
        # Asked before it is opened: opening a FIFO would wait for its writer.
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            raise _refused(shown, "is a directory, not a file" if stat.S_ISDIR(mode) else "is not a regular file")
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except FileNotFoundError:
        raise _refused(shown, "there is no such file") from None
    except OSError as error:
        raise _refused(shown, f"cannot be read: {error.strerror or error}") from None
    except ValueError:  # a NUL in the path
        raise _refused(shown, "is not a path") from None
    if len(content) > LARGEST:
        raise _refused(shown, f"is larger than {LARGEST} bytes; no lab is")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise LabError([SpecError(shown, line, "", "is not UTF-8 text")]) from None


def _name(path: Path, shown: str) -> Iterator[SpecError]:
    if re.fullmatch(NAME, path.stem) is None:
        yield SpecError(shown, None, "", f"the lab is named by its file, and {quoted(path.stem)} {PATTERNS[NAME]}")


def _located(shown: str, tree: Tree, problems: Iterable[Problem]) -> Iterator[SpecError]:
    told = {path[:-1] for path, *_ in tree.twice if draft.is_cable(path[:-1])}
    for path, text in problems:
        if path not in told:  # a cable to itself has one end: one mistake, one error
            yield SpecError(shown, tree.line(path), dotted(path), text)


def _twice(shown: str, tree: Tree) -> Iterator[SpecError]:
    for path, first, second in tree.twice:
        text = f"the key {quoted(str(path[-1]))} stands twice, first on line {first}"
        if draft.is_cable(path[:-1]):
            text = f"a cable from {path[-1]} to itself; it needs two nodes"
        yield SpecError(shown, second, dotted(path), text)


def _first(shown: str, errors: list[SpecError]) -> list[SpecError]:
    """In the order of the file, and no more than anyone reads."""
    errors = sorted(dict.fromkeys(errors), key=lambda error: (error.line or 0, error.where))
    if len(errors) > MOST:
        errors = [*errors[:MOST], SpecError(shown, None, "", f"more than {MOST} errors; the rest is not shown")]
    return errors


def _refused(shown: str, text: str) -> LabError:
    return LabError([SpecError(shown, None, "", text)])


def _shown(path: Path) -> str:
    """The path as people know it: relative to where they are when it is below, without surprises on a terminal."""
    with contextlib.suppress(ValueError, OSError):
        path = path.relative_to(Path.cwd())
    return "".join(char if char.isprintable() else "?" for char in str(path))
