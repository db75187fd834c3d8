"""The loader: the shipped lab, every broken file of the corpus with its whole report, and what is no file at all."""

from __future__ import annotations

import json
import os
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from inventory.spec import Lab, LabError, home, load
from inventory.spec.fields import PATTERNS
from inventory.spec.models import LabFile
from inventory.spec.yaml_tree import MOST_VALUES

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "inventory/lab.yml"
CORPUS = Path(__file__).parent / "spec_corpus"
BROKEN = sorted(path.name for path in CORPUS.glob("*.yml"))


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
    assert list(lab.spec.nodes) == ["halo1", "halo2", "halo3"]
    assert [str(cable.subnet) for cable in lab.cables] == ["10.44.0.0/31", "10.44.0.4/31", "10.44.0.8/31"]
    assert lab.link_address("halo1", "halo3") == IPv4Address("10.44.0.5")


def test_ends_are_the_nodes_own(lab: Lab) -> None:
    ends = {(end.interface, end.peer, str(end.address), str(end.peer_address)) for end in lab.ends("halo2")}
    assert ends == {
        ("thunderbolt0", "halo1", "10.44.0.1/31", "10.44.0.0"),
        ("thunderbolt1", "halo3", "10.44.0.8/31", "10.44.0.9"),
    }
    end = lab.link_end("halo2", "halo3")
    assert end is not None
    assert end.interface == "thunderbolt1"
    assert lab.link_end("halo2", "halo2") is None
    assert lab.ends("nobody") == ()
    with pytest.raises(KeyError):
        lab.link_address("halo1", "nobody")


def test_ssh_is_the_labs_with_what_the_node_says_otherwise(tmp_path: Path) -> None:
    lab = load(
        changed(
            tmp_path,
            ("nodes:", "ssh: {user: admin, port: 2222}\nnodes:"),
            ("id: 2, ", "id: 2, ssh: {port: 22, key: ~/.ssh/two}, "),
        )
    )
    assert (lab.ssh("halo1").user, lab.ssh("halo1").port) == ("admin", 2222)
    assert (lab.ssh("halo2").user, lab.ssh("halo2").port) == ("admin", 22)
    assert lab.ssh("halo1").key == home.virtual_key("lab")
    assert lab.ssh("halo2").key == Path("~/.ssh/two").expanduser()


def test_a_real_lab_gets_no_key_of_ours(tmp_path: Path) -> None:
    lab = load(changed(tmp_path, ("virtual:\n  suite: trixie\n  management: 10.43.0.0/24\n", "")))
    assert lab.ssh("halo1").key is None


def test_a_lab_becomes_json(lab: Lab) -> None:
    data = json.loads(json.dumps(lab.to_json()))
    assert data["cables"][0]["ends"][0] == {
        "node": "halo1",
        "interface": "thunderbolt0",
        "address": "10.44.0.0/31",
    }


@pytest.mark.parametrize("name", BROKEN)
def test_corpus(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(CORPUS)
    expected = Path(name).with_suffix(".txt").read_text()
    assert refused(Path(name)) + "\n" == expected
    assert refused(CORPUS / name) + "\n" == expected  # below the working directory it is shown relative


def test_the_corpus_is_one() -> None:
    assert len(BROKEN) >= 60


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

    assert patterns(LabFile.model_json_schema()) == set(PATTERNS)
