"""The loader against anything: a Lab or a LabError, never another exception. HALOFLEET_FUZZ sets how many inputs."""

from __future__ import annotations

import json
import os
import tempfile
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inventory.spec import Lab, LabError, LabFile, load
from tests.unit.spec_labs import labs

SHIPPED = (Path(__file__).parents[2] / "inventory/lab.yml").read_text()
EVERYTHING = """
management: 10.43.0.0/24
links_range: 10.44.0.0/16
defaults: {os: fedora-43, backend: rocm, reboot: never, ssh: {user: admin, port: 2222, key: ~/.ssh/id_ed25519}}
groups:
  big: {board: framework-desktop, memory: {installed: 128GiB, reserve: 8GiB}, iommu: off, tuning: none}
nodes:
  halo1: {id: 1, address: 10.43.0.11, group: big, kernel: own}
  halo2: {id: 2, address: 10.43.0.12, group: big, memory: {gpu: 96GiB}}
  halo3: {id: 3, address: 10.43.0.13, os: ubuntu-26.04, backend: vulkan}
links:
  - usb4: [halo1, halo2]
    mtu: 9000
  - ethernet:
      halo1: enp97s0
      halo2: {port: "aa:bb:cc:dd:ee:ff", mtu: 9000}
      halo3: pci-0000:c3:00.0
    subnet: 10.45.0.0/24
    name: switch
    mtu: 9000
llama_cpp:
  source: {git: https://github.com/ggml-org/llama.cpp, ref: b12059}
  cmake: {cpu: [-DGGML_LTO=ON], vulkan: [], rocm: []}
rocm: {version: "10.1", repository: http://m/r, fingerprint: D0F004A0025A1145C7807FCD0701EAC4D5E02107, pin: false}
models:
  one: {file: /srv/one.gguf, on: node}
  parts: {directory: /srv/parts}
  far: {url: https://example.org/far.gguf, sha256: 832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e}
  nonsense: {random: llama-spm, layers: 4, width: 128}
serves:
  chat: {model: one, controller: halo1, workers: [halo2], context: 4096, bind: 10.43.0.11, extra: [--jinja]}
  code: {model: far, controller: halo3, port: 8081, rpc_port: 50053, api_key_file: /etc/key}
firewall: {api: [10.43.0.0/24, 192.168.7.0/24]}
"""
TEXTS = (SHIPPED, EVERYTHING)
LINES = [line for text in TEXTS for line in text.splitlines(keepends=True)]
TREES = [yaml.safe_load(text) for text in TEXTS]
EXAMPLES = int(os.environ.get("HALOFLEET_FUZZ", "300"))

fuzzed = settings(max_examples=EXAMPLES, deadline=timedelta(seconds=20), suppress_health_check=list(HealthCheck))


def keys_of(schema: Any) -> set[str]:
    """Every key that the language has."""
    if isinstance(schema, list):
        return {key for item in schema for key in keys_of(item)}
    if not isinstance(schema, dict):
        return set()
    return set(schema.get("properties", {})) | {key for item in schema.values() for key in keys_of(item)}


KEYS = [*sorted(keys_of(LabFile.model_json_schema())), "halo1", "halo2", "chat", "big", "one", "all", "lab"]
ODD = ["no", "off", "<git>", "[key]", "~", "0", "-1", "1e999", ".nan", "~root", "\0", "huggingface", "password"]
RANGES = ["10.44.0.0/31", "0.0.0.0/0", "255.255.255.255", "10.43.0.0/24", "10.44.0.0/16", "10.43.0.11", "fd00::1"]
SIZES = ["96GiB", "0GiB", "999999999999999999999GiB", "\u0669GiB", "GiB", "96GB"]
PORTS = ["lo", "host0", "usb4-2", "thunderbolt0", "pci-0000:c8:00.5", "aa:bb:cc:dd:ee:ff", "ethernet"]
SECRETS = ["hf_NotRealNotRealNotReal", "https://me:NotReal@example.org/x", "--api-key=NotReal", "sk-" + "NotReal" * 4]
SYNTAX = ["&a", "*a", "!!int", "? ", "- ", ": ", "---\n", "...\n", "\t", *"{}[]|>#@`", "<<: "]
TRAPS = ["%YAML 9.9\n", '"\\ud800"', "\ufeff", "\x85", "\u2028", "'", '"', "\\", "\r", "0b_", "22:22", "010"]

words = st.sampled_from(KEYS + ODD + RANGES + SIZES + PORTS + SECRETS)
scalars = st.one_of(
    words, st.none(), st.booleans(), st.integers(), st.integers(-1, 70000), st.floats(), st.text(max_size=20)
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words | st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
pieces = st.sampled_from(SYNTAX + TRAPS + LINES) | st.text(max_size=10)


def loads_or_refuses(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "lab.yml"
        path.write_bytes(content)
        told = lab_or_error(path)
    if isinstance(told, Lab):
        assert "NotReal" not in json.dumps(told.to_json()), "no secret is accepted"
        for name in told.nodes:
            told.network(name)
            told.names(name)
        assert "".join(map(str, told.warnings)).isprintable()
        return
    assert told.errors
    assert "NotReal" not in str(told), "no secret is repeated"
    assert len(str(told).splitlines()) == len(told.errors), "one line per error"
    assert str(told).replace("\n", "").isprintable()


def lab_or_error(path: Path) -> Lab | LabError:
    try:
        return load(path)
    except LabError as refused:
        return refused


@fuzzed
@given(
    st.sampled_from(TEXTS),
    st.lists(st.tuples(st.integers(0, len(EVERYTHING)), st.integers(0, 40), pieces), min_size=1, max_size=4),
)
def test_text_cut_and_pasted(text: str, edits: list[tuple[int, int, str]]) -> None:
    for start, length, piece in edits:
        text = text[:start] + piece + text[start + length :]
    loads_or_refuses(text.encode("utf-8", "surrogatepass"))


@fuzzed
@given(st.sampled_from(TREES), st.data())
def test_values_replaced(tree: Any, data: st.DataObject) -> None:
    replace_some(tree, data)


@fuzzed
@given(labs(), st.data())
def test_values_of_any_lab_replaced(tree: Any, data: st.DataObject) -> None:
    replace_some(tree, data)


def replace_some(tree: Any, data: st.DataObject) -> None:
    tree = json.loads(json.dumps(tree))
    for _ in range(data.draw(st.integers(1, 3))):
        replace_somewhere(tree, data)
    loads_or_refuses(json.dumps(tree, ensure_ascii=data.draw(st.booleans())).encode("utf-8", "surrogatepass"))


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
@given(st.dictionaries(st.sampled_from(list(LabFile.model_fields)), values))
def test_structures_from_nothing(tree: dict[str, Any]) -> None:
    loads_or_refuses(json.dumps(tree).encode())


BOMBS = {
    "aliases": "a: &a [x, x]\n" + "".join(f"b{n}: &b{n} [*a, *a]\n" for n in range(1000)),
    "lists": "[" * 100_000,
    "mappings": "{a: " * 100_000,
    "indents": "\n".join(" " * n + "a:" for n in range(1000)),
    "keys": "".join(f"key{n}: {n}\n" for n in range(60_000)),
    "one key": "nodes: 1\n" * 40_000,
    "nodes": "nodes:\n" + "".join(f"  n{n}: {{id: {n}, address: 10.43.0.1}}\n" for n in range(12_000)),
    "links": "nodes: {a: {id: 1}, b: {id: 2}}\nlinks:\n" + "- usb4: [a, b]\n" * 10_000,
    "fabric": "links:\n- ethernet: [" + "a, " * 45_000 + "a]\n  subnet: 10.45.0.0/24\n",
    "digits": "management: " + "9" * 1_000_000,
    "scalar": "management: " + "x" * 1_000_000,
    "quotes": 'management: "' + "\\\n" * 300_000 + '"',
    "words": "wokers" * 150_000 + ": 1",
    "comments": "#\n" * 500_000,
    "spaces": "nodes:" + " " * 1_000_000,
    "documents": "---\n" * 200_000,
    "block": "a: |\n" + "  x\n" * 200_000,
    "password": "git: https://" + "a:" * 400_000,
    "tokens": "extra: [" + ", ".join(f"hf_NotReal{n:012}" for n in range(40_000)) + "]",
    "token keys": "\n".join(f"hf_NotReal{n:012}: {n}\nhf_NotReal{n:012}: 1" for n in range(12_000)),
    "flags": "extra: [" + "--" + "a-token" * 100_000 + "]",
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs(name: str) -> None:
    """None takes long: the time is a hang's, far above what any of them needs."""
    began = time.monotonic()
    loads_or_refuses(BOMBS[name].encode())
    assert time.monotonic() - began < 60
