"""The loader: the shipped lab, YAML's traps, and what is no file at all."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from inventory.spec import Lab, LabError, LabFile, load
from inventory.spec.language.patterns import PATTERNS
from inventory.spec.yaml_tree import MOST_VALUES

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "inventory/lab.yml"


def refused(path: Path) -> str:
    with pytest.raises(LabError) as caught:
        load(path)
    assert caught.value.errors
    return str(caught.value)


def changed(folder: Path, *replacements: tuple[str, str]) -> Path:
    text = SHIPPED.read_text()
    for old, new in replacements:
        assert old in text
        text = text.replace(old, new, 1)
    path = folder / "lab.yml"
    path.write_text(text)
    return path


@pytest.fixture
def lab() -> Lab:
    return load(SHIPPED)


def test_the_shipped_lab_loads(lab: Lab) -> None:
    assert lab.name == "lab"
    assert list(lab.nodes) == ["halo1", "halo2", "halo3"]
    assert [str(link.subnet) for link in lab.links] == ["10.44.0.0/31", "10.44.0.4/31", "10.44.0.8/31"]
    assert {(node.os, node.kernel) for node in lab.nodes.values()} == {("debian-13", "none")}
    assert lab.api_from == (lab.spec.management,)
    assert lab.rpc_ports == (50052,)


def test_ends_are_the_nodes_own(lab: Lab) -> None:
    ends = [(end.node, end.interface, str(end.address), end.port) for end in lab.ends("halo2")]
    assert ends == [("halo2", "usb4-1", "10.44.0.1/31", None), ("halo2", "usb4-3", "10.44.0.8/31", None)]
    assert lab.ends("nobody") == ()
    with pytest.raises(KeyError):
        lab.links[0].end("halo3")


def test_a_lab_becomes_json(lab: Lab) -> None:
    data = json.loads(json.dumps(lab.to_json()))
    assert data["links"][0]["ends"][0] == {"node": "halo1", "interface": "usb4-2", "address": "10.44.0.0/31"}


def test_keys_are_words(tmp_path: Path) -> None:
    """YAML 1.1 would take `on` and `no` for booleans; as keys they are what they say."""
    path = changed(
        tmp_path, ("nonsense: {random: llama-spm}", "no: {file: /m.gguf, on: node}"), ("model: nonsense", 'model: "no"')
    )
    assert load(path).spec.models["no"].model_dump(mode="json") == {"file": "/m.gguf", "on": "node"}


def test_digits_are_text_where_text_is_due(tmp_path: Path) -> None:
    assert load(changed(tmp_path, ("commit: 0c1e57098", "commit: 0123456"))).name == "lab"


def test_what_is_no_file(tmp_path: Path) -> None:
    assert refused(tmp_path / "lab.yml").endswith("lab.yml: there is no such file")
    folder = tmp_path / "folder.yml"
    folder.mkdir()
    assert refused(folder).endswith("folder.yml: is a directory, not a file")
    fifo = tmp_path / "fifo.yml"
    os.mkfifo(fifo)
    assert refused(fifo).endswith("fifo.yml: is not a regular file")
    assert refused(Path("/dev/zero")).endswith("/dev/zero: is not a regular file")
    assert refused(SHIPPED / "lab.yml").endswith("cannot be read: Not a directory")
    assert refused(tmp_path / "a\0b.yml").endswith("is not a path")
    loop = tmp_path / "loop.yml"
    loop.symlink_to(loop)
    assert "cannot be read: Too many levels of symbolic links" in refused(loop)


def test_absurd_sizes(tmp_path: Path) -> None:
    path = tmp_path / "lab.yml"
    path.write_bytes(b"#" * (2**20 + 1))
    assert refused(path).endswith("lab.yml: is larger than 1048576 bytes; no lab is")
    path.write_text(f"nodes: [{'1,' * (MOST_VALUES + 1)}]")
    assert refused(path).endswith(f"lab.yml:1: more than {MOST_VALUES} values; a lab never has")
    path.write_text("".join(f"k{n}: 1\n" for n in range(1000)))
    assert len(refused(path).splitlines()) == 201
    assert refused(path).endswith("lab.yml: more than 200 errors; the rest is not shown")


def test_a_byte_order_mark_is_no_error(tmp_path: Path) -> None:
    path = tmp_path / "lab.yml"
    path.write_bytes(b"\xef\xbb\xbf" + SHIPPED.read_bytes())
    assert load(path).name == "lab"


def test_every_pattern_has_words() -> None:
    def patterns(schema: object) -> set[str]:
        if isinstance(schema, list):
            return {found for item in schema for found in patterns(item)}
        if not isinstance(schema, dict):
            return set()
        own = {schema["pattern"]} if isinstance(schema.get("pattern"), str) else set()
        return own | set(schema.get("patternProperties", {})) | {f for item in schema.values() for f in patterns(item)}

    sizes = {"^[0-9]+GiB$"}  # read by a function, which has its own words
    assert patterns(LabFile.model_json_schema()) - sizes == set(PATTERNS)
