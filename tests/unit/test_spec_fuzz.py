"""The loader against anything: a Lab or a LabError, never another exception. HALOFLEET_FUZZ sets how many inputs."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inventory.spec import Lab, LabError, load

SHIPPED = (Path(__file__).parents[2] / "inventory/lab.yml").read_text()
LINES = SHIPPED.splitlines(keepends=True)
TREE = yaml.safe_load(SHIPPED)
EXAMPLES = int(os.environ.get("HALOFLEET_FUZZ", "300"))

fuzzed = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))

KEYS = [
    "nodes",
    "links",
    "usb4",
    "halo1",
    "halo2",
    "chat",
    "git",
    "archive",
    "file",
    "random",
    "ssh",
    "key",
    "on",
    "no",
]
ODD = [
    "no",
    "<git>",
    "[key]",
    "~",
    "0",
    "-1",
    "1e999",
    ".nan",
    "10.44.0.0/31",
    "0.0.0.0/0",
    "255.255.255.255",
    "~root",
    "\0",
]
SYNTAX = [
    "&a",
    "*a",
    "!!int",
    "? ",
    "- ",
    ": ",
    "---\n",
    "...\n",
    "\t",
    "{",
    "}",
    "[",
    "]",
    "|",
    ">",
    "<<: ",
    "#",
    "@",
    "`",
]
TRAPS = ["%YAML 9.9\n", '"\\ud800"', "\ufeff", "\x85", "\u2028", "'", '"', "\\", "\r", "0b_", "22:22", "010"]

words = st.sampled_from(KEYS + ODD)
scalars = st.one_of(
    words, st.none(), st.booleans(), st.integers(), st.integers(-1, 70000), st.floats(), st.text(max_size=20)
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words | st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
pieces = st.sampled_from(SYNTAX) | st.sampled_from(TRAPS) | st.sampled_from(LINES) | st.text(max_size=10)


def loads_or_refuses(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "lab.yml"
        path.write_bytes(content)
        told = lab_or_error(path)
    if isinstance(told, Lab):
        json.dumps(told.to_json())
        return
    assert told.errors
    assert len(str(told).splitlines()) == len(told.errors), "one line per error"
    assert str(told).replace("\n", "").isprintable()


def lab_or_error(path: Path) -> Lab | LabError:
    try:
        return load(path)
    except LabError as refused:
        return refused


@fuzzed
@given(st.lists(st.tuples(st.integers(0, len(SHIPPED)), st.integers(0, 40), pieces), min_size=1, max_size=4))
def test_text_cut_and_pasted(edits: list[tuple[int, int, str]]) -> None:
    text = SHIPPED
    for start, length, piece in edits:
        text = text[:start] + piece + text[start + length :]
    loads_or_refuses(text.encode("utf-8", "surrogatepass"))


@fuzzed
@given(st.data())
def test_values_replaced(data: st.DataObject) -> None:
    tree: Any = json.loads(json.dumps(TREE))
    for _ in range(data.draw(st.integers(1, 3))):
        replace_somewhere(tree, data)
    loads_or_refuses(json.dumps(tree, ensure_ascii=data.draw(st.booleans())).encode())


def replace_somewhere(tree: Any, data: st.DataObject) -> None:
    while True:
        keys = list(tree) if isinstance(tree, dict) else list(range(len(tree)))
        if not keys:
            return
        key = data.draw(st.sampled_from(keys))
        if not isinstance(tree[key], dict | list) or data.draw(st.integers(0, 3)) == 0:
            break
        tree = tree[key]
    action = data.draw(st.sampled_from(["replace", "remove", "add"]))
    if action == "replace":
        tree[key] = data.draw(values)
    elif action == "remove":
        del tree[key]
    elif isinstance(tree, dict):
        tree[data.draw(words)] = data.draw(values)
    else:
        tree.append(data.draw(values))


@fuzzed
@given(st.binary(max_size=200))
def test_bytes(content: bytes) -> None:
    loads_or_refuses(content)


@fuzzed
@given(st.dictionaries(st.sampled_from(list(TREE)), values))
def test_structures_from_nothing(tree: dict[str, Any]) -> None:
    loads_or_refuses(json.dumps(tree).encode())
