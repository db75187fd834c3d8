"""docs/inventory.md is what the models say, and what the models say by way of example is true."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from pydantic import TypeAdapter

from inventory.spec import LabError, yaml_tree
from inventory.spec.language.file import LabFile
from inventory.spec.reference import accepted, flow, models, reference, refused, words

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/inventory.md"
FIELDS = [(kind, key) for kind in models().values() for key in kind.model_fields]


def test_the_page_is_up_to_date() -> None:
    """To write it again: python -m inventory.spec reference > docs/inventory.md"""
    assert PAGE.read_text() == reference()


def test_the_command_prints_it() -> None:
    command = [sys.executable, "-m", "inventory.spec", "reference"]
    assert subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout == reference()


@pytest.mark.parametrize(("kind", "key"), FIELDS, ids=[f"{kind.__name__}.{key}" for kind, key in FIELDS])
def test_every_field_is_described_and_its_examples_are_accepted(kind: Any, key: str) -> None:
    field = kind.model_fields[key]
    assert field.description, "a docstring below the field says why it is there"
    assert field.examples, "Field(examples=[...]) shows how it is written"
    reader: TypeAdapter[Any] = TypeAdapter(get_type_hints(kind, include_extras=True)[key])
    for example in field.examples:
        assert _read(flow({key: example})) == {key: example}
        reader.validate_json(json.dumps(example), strict=True)


def test_every_field_is_on_the_page() -> None:
    missing = [f"{kind.__name__}.{key}" for kind, key in FIELDS if f"**`{key}`**" not in PAGE.read_text()]
    assert missing == []


def test_the_three_ways_to_write_ends_are_links() -> None:
    fragment = next(
        block for block in re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL) if "in full" in block
    )
    reader: TypeAdapter[Any] = TypeAdapter(get_type_hints(LabFile, include_extras=True)["links"])
    links = reader.validate_json(json.dumps(_read(fragment)["links"]), strict=True)
    assert [list(link.usb4) for link in links] == [["halo1", "halo2"], ["halo1", "halo3"], ["halo2", "halo4"]]


def test_links_on_the_page_lead_somewhere() -> None:
    text = PAGE.read_text()
    headings = {re.sub(r"[^\w -]", "", each).lower().replace(" ", "-") for each in re.findall(r"^#+ (.*)$", text, re.M)}
    for target in re.findall(r"\]\(([^)]+)\)", text):
        assert target[1:] in headings if target.startswith("#") else (PAGE.parent / target).exists(), target


def test_values_are_written_as_they_are_read() -> None:
    awkward = {"a": ["on", "1", "", "x, y", "{", "- ", "pci-0000:c8:00.5", True, 4096, "a: b", "#"], "on": {}}
    assert _read(flow({"key": awkward})) == {"key": awkward}
    assert flow({"ssh": {"user": "me"}}) == "ssh: {user: me}"


def test_what_has_no_words_is_not_passed_over() -> None:
    with pytest.raises(KeyError):
        words({"type": "string", "pattern": "^unheard-of$"})
    with pytest.raises(KeyError):
        words({"type": "number"})


def test_samples_on_the_page_are_held_to_what_it_says_of_them() -> None:
    good = "management: 10.43.0.0/24\nnodes: {halo1: {id: 1, address: 10.43.0.11, os: fedora-43}}\n"
    good += "models: {mine: {file: /m.gguf}}\nserves: {chat: {model: mine, controller: halo1}}\n"
    assert accepted(good) == good
    with pytest.raises(ValueError, match="is not broken"):
        refused(good)
    with pytest.raises(LabError, match="no serve has it"):
        accepted(good.replace("{mine:", "{other: {file: /o.gguf}, mine:"))
    assert refused(good.replace("id: 1", "id: 0")) == "inventory/lab.yml:2: nodes.halo1.id: 0 must be at least 1"


def _read(text: str) -> Any:
    return yaml_tree.read(text).data
