"""pydantic's errors in the words of lab.yml: the value, the rule, and what to do."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, Tag, ValidationError
from pydantic_core import ErrorDetails

from inventory.spec.errors import Path, Problem, did_you_mean, escaped, nearest, quoted, show
from inventory.spec.language.file import LabFile
from inventory.spec.language.nodes import Traits
from inventory.spec.language.patterns import NAME, PATTERNS
from inventory.spec.yaml_tree import Tree

_RULES: dict[str, Callable[[dict[str, Any]], str]] = {
    "string_type": lambda _: "must be text",
    "int_type": lambda _: "must be a whole number",
    "bool_type": lambda _: "must be true or false",
    "path_type": lambda _: "must be a path",
    "model_type": lambda _: "must be a mapping (key: value)",
    "dict_type": lambda _: "must be a mapping (key: value)",
    "tuple_type": lambda _: "must be a list",
    "too_short": lambda _: "must have at least one entry",
    "greater_than_equal": lambda ctx: f"must be at least {ctx['ge']}",
    "less_than_equal": lambda ctx: f"must be at most {ctx['le']}",
    "multiple_of": lambda ctx: f"must be a multiple of {ctx['multiple_of']}",
    "literal_error": lambda ctx: f"must be {ctx['expected']}",
    "string_pattern_mismatch": lambda ctx: PATTERNS.get(ctx["pattern"], f"must match {ctx['pattern']}"),
    "rule": lambda ctx: str(ctx["words"]),
}


_SUCH_AS = {
    "management": "10.43.0.0/24",
    "nodes": "{halo1: {id: 1, address: 10.43.0.11}}",
    "models": "{mine: {file: /models/my.gguf}}",
    "serves": "{chat: {model: mine, controller: halo1}}",
    "id": "1",
    "address": "10.43.0.11",
    "subnet": "10.45.0.0/24",
    "model": "mine",
    "controller": "halo1",
    "ref": "b12059",
    "commit": "0c1e57098",
    "sha256": "832db069... (64 digits, by `sha256sum`)",
}
"""For whoever does not know what a missing key wants."""


def explain(refused: ValidationError, tree: Tree) -> Iterator[Problem]:
    """Each error as (path in the file, text)."""
    misspelt: set[Path] = set()
    errors = refused.errors(include_url=False, include_input=False)
    named = {_path(error["loc"], tree) for error in errors if error["loc"][-1] == "[key]"}
    badly = {path[-1] for path in named if len(path) == 2}
    for error in sorted(errors, key=lambda error: error["type"] != "extra_forbidden"):
        path = _path(error["loc"], tree)
        if error.get("ctx", {}).get("pattern") == NAME and len(path) > 2:
            word = path[-1] if error["loc"][-1] == "[key]" else tree.at(path)
            if word in badly:  # said where the node, model or group has its name
                continue
        if error["type"] == "extra_forbidden":
            near = nearest(str(path[-1]), _keys(error["loc"][:-1]))
            misspelt.add((*path[:-1], near) if near else path[-1:])
        if error["type"] == "missing" and path in misspelt:  # one mistake, one error
            continue
        yield path, _text(error, path, tree)


def empty(tree: Tree, told: Iterable[Path]) -> Iterator[Problem]:
    """Keys with nothing behind them where pydantic takes that for the default: nobody writes `virtual:` for nothing."""
    known = set(told)
    for path in tree.places:
        if tree.at(path) is not None or any(path[:length] in known for length in range(len(path) + 1)):
            continue
        if not (len(path) == 4 and path[0] == "links"):  # an end may be empty: {halo1: , halo2: }
            hint = "; write `virtual: {}` for a virtual lab" if path == ("virtual",) else ""
            yield path, f"is empty, but must have a value or be left out{hint}"


def _text(error: ErrorDetails, path: Path, tree: Tree) -> str:
    kind, ctx = error["type"], error.get("ctx", {})
    if kind == "extra_forbidden":
        return f"unknown key {quoted(escaped(str(path[-1])))}{_unknown(path, _keys(error['loc'][:-1]))}"
    if kind == "missing":
        key = str(path[-1])
        hint = f"; write it, such as `{key}: {_SUCH_AS[key]}`" if key in _SUCH_AS else ""
        return f"{quoted(key)} is missing{hint}"
    if kind == "variant":
        return _variant(ctx["keys"], path, tree)
    if kind == "together":
        return str(ctx["words"])
    rule = _RULES[kind](ctx) if kind in _RULES else error["msg"]
    if error["loc"][-1:] == ("[key]",):
        return f"{quoted(str(path[-1]))} {rule}"
    return f"{_shown(path, tree)} {rule}{_hint(kind, ctx, path, tree)}"


def _unknown(path: Path, known: list[str]) -> str:
    """What was meant by an unknown key, or where it is known."""
    key = str(path[-1])
    word, colon, value = key.partition(":")
    if colon and value and not value.startswith(" "):
        return f"; put a space after the colon: {quoted(escaped(f'{word}: {value}'))}"
    if nearest(key, known) is None:
        if len(path) == 1 and key in Traits.model_fields:
            return "; it belongs under defaults, a group or a node"
        if len(path) > 1 and key in LabFile.model_fields:
            return "; it belongs at the top of the file"
    return did_you_mean(key, known)


def _variant(keys: str, path: Path, tree: Tree) -> str:
    value = tree.at(path)
    if not isinstance(value, dict):
        return f"{_shown(path, tree)} must be a mapping with one of {keys}"
    present = [key for key in keys.split(", ") if key in value]
    if present:
        return f"has {' and '.join(present)}; needs one of {keys}, and only one"
    guess = next((near for key in value if (near := nearest(key, keys.split(", ")))), None)
    return f"has {' and '.join(map(quoted, value)) or 'nothing'}; needs one of {keys}{_meant(guess)}"


def _shown(path: Path, tree: Tree) -> str:
    """The value as it stands in the file (`no` and 0x10, not what YAML makes of them), before "must be"."""
    place = tree.places.get(path)
    value = tree.at(path)
    if value is None:
        return "is empty, but"
    if isinstance(value, list | dict):
        return f"is {show(value)}, but"
    return place.text if place and place.text and not isinstance(value, str) else show(value)


def _hint(kind: str, ctx: dict[str, Any], path: Path, tree: Tree) -> str:
    value = tree.at(path)
    if kind == "string_type" and isinstance(value, bool | int | float):
        meant = "true or false" if isinstance(value, bool) else "a number"
        return f"; YAML takes it for {meant}: put it in quotes"
    place = tree.places.get(path)
    if kind == "int_type" and isinstance(value, str) and place and place.text == f'"{value}"' and value.isdecimal():
        return ": leave the quotes out"
    if kind == "tuple_type" and isinstance(value, str):
        nodes = tree.at(("nodes",))
        strange = path[-1] == "workers" and isinstance(nodes, dict) and value not in nodes
        return " of nodes, such as [halo2, halo3]" if strange else ": put it in [ ]"
    if kind == "literal_error" and isinstance(value, str):
        return _meant(nearest(value, re.findall(r"'([^']*)'", ctx["expected"])))
    return ""


def _meant(guess: str | None) -> str:
    return f"; did you mean {quoted(guess)}?" if guess else ""


def _path(loc: Iterable[str | int], tree: Tree) -> Path:
    """pydantic's location without what is not in the file: the tags of variants and the mark of a key."""
    path: Path = ()
    for step in loc:
        inside = tree.at(path)
        if isinstance(inside, str):  # the short way to write what `step` is a part of
            break
        in_file = isinstance(step, int) or (isinstance(inside, dict) and step in inside)
        if in_file or not (step == "[key]" or str(step).startswith("<")):
            path = (*path, step)
    return path


def _keys(loc: Iterable[str | int]) -> list[str]:
    """The keys that may stand at pydantic's location."""
    kind: Any = LabFile
    for step in loc:
        kind = _inside(_bare(kind), step)
    kind = _bare(kind)
    return list(kind.model_fields) if isinstance(kind, type) and issubclass(kind, BaseModel) else []


def _bare(kind: Any) -> Any:
    """The type without Annotated and `| None`."""
    if get_origin(kind) is Annotated:
        return _bare(get_args(kind)[0])
    if get_origin(kind) in (Union, UnionType):
        members = [member for member in get_args(kind) if member is not type(None)]
        return _bare(members[0]) if len(members) == 1 else kind
    return kind


def _inside(kind: Any, step: str | int) -> Any:
    """The type of what `step` leads to: a field, a member of a union by its tag, or an item."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        field = kind.model_fields.get(str(step))
        return field.annotation if field else None
    if get_origin(kind) in (Union, UnionType):
        return next((m for m in get_args(kind) if any(isinstance(a, Tag) and a.tag == step for a in get_args(m))), None)
    items = {dict: 1, tuple: 0, list: 0}.get(get_origin(kind))
    return get_args(kind)[items] if items is not None else None
