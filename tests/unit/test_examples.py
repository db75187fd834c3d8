"""inventory/examples: every file loads, says nothing unwise that it does not mean to, and is what its name says."""

from __future__ import annotations

import json
import re
from pathlib import Path

import jsonschema
import pytest

from inventory.spec import Lab, load, yaml_tree

EXAMPLES = Path(__file__).parents[2] / "inventory/examples"
SCHEMA = EXAMPLES.parent / "schema.json"
NAMES = sorted(path.stem for path in EXAMPLES.glob("*.yml"))
MEANT = {"chain-of-three": ["serves.chat.workers[1]"]}
"""Where a warning is what the example is about."""


def example(name: str) -> Lab:
    return load(EXAMPLES / f"{name}.yml")


@pytest.mark.parametrize("name", NAMES)
def test_it_loads(name: str) -> None:
    lab = example(name)
    assert [warning.where for warning in lab.warnings] == MEANT.get(name, [])
    assert lab.spec.virtual is None


@pytest.mark.parametrize("name", NAMES)
def test_its_first_lines_say_what_it_is_for(name: str) -> None:
    first, *lines = (EXAMPLES / f"{name}.yml").read_text().splitlines()
    assert first == "# yaml-language-server: $schema=../schema.json"
    assert (EXAMPLES / "../schema.json").resolve() == SCHEMA
    assert lines[0] == "#"
    assert lines[1].startswith("# ")


@pytest.mark.parametrize("name", [*NAMES, "../lab"])
def test_it_fits_the_schema(name: str) -> None:
    data = yaml_tree.read((EXAMPLES / f"{name}.yml").read_text()).data
    jsonschema.validate(data, json.loads(SCHEMA.read_text()))


def test_the_readme_lists_them_all() -> None:
    listed = re.findall(r"^\| \[([a-z0-9-]+)\.yml\]\(\1\.yml\) ", (EXAMPLES / "README.md").read_text(), re.MULTILINE)
    assert sorted(listed) == NAMES


@pytest.mark.parametrize(
    ("name", "nodes", "kinds", "workers"),
    [
        ("one-box", 1, [], [0]),
        ("pair-usb4", 2, ["usb4"], [1]),
        ("ring-of-three", 3, ["usb4"] * 3, [2]),
        ("four-over-10gbe", 4, ["ethernet"], [3]),
        ("chain-of-three", 3, ["usb4"] * 2, [2]),
        ("mixed", 3, ["usb4"] * 2, [2]),
        ("large-and-small", 5, ["ethernet"], [3, 0]),
    ],
)
def test_it_is_what_its_name_says(name: str, nodes: int, kinds: list[str], workers: list[int]) -> None:
    lab = example(name)
    assert len(lab.nodes) == nodes
    assert [link.kind for link in lab.links] == kinds
    assert [len(lab.ways(serve)) for serve in lab.spec.serves] == workers
    assert all(node.memory.installed and node.backend != "cpu" for node in lab.nodes.values())


def test_the_chain_is_routed_through_its_middle() -> None:
    near, far = example("chain-of-three").ways("chat")
    assert (near.via, far.via) == ((), ("halo2",))


def test_the_mixed_one_is_mixed() -> None:
    lab = example("mixed")
    assert {node.os.split("-")[0] for node in lab.nodes.values()} == {"fedora", "ubuntu"}
    assert len({node.board for node in lab.nodes.values()} - {None}) == len(lab.nodes)
    assert lab.node("desk2").memory.model_dump() == {"installed": 64, "gpu": None, "reserve": 16}
    assert {name: lab.ssh(name).user for name in lab.nodes} == {"rack1": "root", "desk1": "me", "desk2": "me"}
