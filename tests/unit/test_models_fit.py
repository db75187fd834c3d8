"""What a model's file says of it, read from files that gguf-py writes, and whether a serve can run it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from gguf import GGUFWriter
from hypothesis import given
from hypothesis import strategies as st

from inventory.spec import load
from roles.doctor.box import Box, Gpu
from roles.doctor.patient import Expected
from roles.models import fit, random_gguf
from roles.models.fit import Need, Room
from roles.models.head import Head, Value, read
from roles.models.plan import TRAINED, Model, plan
from tests.ggufs import gguf

LAB = Path(__file__).parents[2] / "inventory/lab.yml"

GIB = 2**30


def test_what_stands_in_a_file(tmp_path: Path) -> None:
    head = read(10 * GIB, gguf(tmp_path / "a.gguf"))
    assert (head.size, head.trained) == (10 * GIB, 4096)
    assert head.keys["general.name"] == "a model"
    assert "tokenizer.ggml.tokens" not in head.keys
    assert head.memory(512) == 8 * 16 * (64 + 64) * 2 * 512


@pytest.mark.parametrize(
    ("values", "each"),
    [
        ({"attention__head_count_kv": 4}, 8 * 4 * 128),
        ({"attention__head_count_kv": 4, "attention__key_length": 128, "attention__value_length": 96}, 8 * 4 * 224),
        ({"attention__head_count_kv": [4, 0, 4, 0, 4, 0, 4, 0]}, 4 * 4 * 128),
        ({"attention__head_count_kv": [4, 0]}, 0),  # not one for each layer: nobody knows what it means
        ({"attention__sliding_window": 1024}, 0),
        ({"attention__kv_lora_rank": 512}, 0),
        ({"ssm__state_size": 16}, 0),
        ({"block_count": None}, 0),
        ({"attention__head_count": None}, 0),
    ],
)
def test_what_it_keeps_of_a_token(tmp_path: Path, values: dict[str, Any], each: int) -> None:
    assert read(1, gguf(tmp_path / "a.gguf", **values)).memory(1) == each * 2


def test_a_window_that_stands_in_no_file() -> None:
    """Llama 4 Scout with a million tokens: 48 layers of which 36 keep 8192, and would be taken for 192 GiB."""
    sizes = {"block_count": 48, "embedding_length": 5120, "attention.head_count": 40, "attention.head_count_kv": 8}

    def kept(architecture: str) -> int:
        own = {f"{architecture}.{key}": value for key, value in sizes.items()}
        return Head(65 * GIB, {"general.architecture": architecture, **own}).memory(2**20)

    assert kept("llama") == 192 * GIB
    assert kept("llama4") == 0


def test_the_vocabulary_may_come_first(tmp_path: Path) -> None:
    """As our own random models have it."""
    path = tmp_path / "a.gguf"
    writer = GGUFWriter(path, "llama")
    writer.add_token_list([f"token {number}" for number in range(2000)])
    writer.add_context_length(4096)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    assert read(1, path.read_bytes()).trained == 4096


def test_any_beginning_of_a_file_is_read_without_complaint(tmp_path: Path) -> None:
    data = gguf(tmp_path / "a.gguf")
    whole = read(1, data)
    for end in (*range(0, 900), len(data) - 1):
        part = read(1, data[:end])
        assert part.keys.items() <= whole.keys.items()
        assert part.trained in (0, 4096)


@given(st.binary(max_size=200).map(lambda rest: b"GGUF" + rest) | st.binary(max_size=200))
def test_what_is_no_gguf_says_nothing(data: bytes) -> None:
    assert read(1, data).memory(1) >= 0


@given(st.data())
def test_a_broken_file_is_read_without_complaint(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    path = tmp_path_factory.getbasetemp() / "whole.gguf"
    content = bytearray(path.read_bytes() if path.exists() else gguf(path))
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, 700))] = data.draw(st.integers(0, 255))
    head = read(1, bytes(content))
    assert isinstance(head.trained, int)
    assert isinstance(head.memory(512), int)


def test_random_models_say_what_the_plan_says() -> None:
    assert random_gguf.CONTEXT == TRAINED


LLAMA: dict[str, Value] = {"general.architecture": "llama", "llama.context_length": 4096}


def model(**served: Any) -> Model:
    lab = load(LAB)
    serve = lab.spec.serves["chat"].model_copy(update=served)
    changed = lab.spec.model_copy(update={"serves": {"chat": serve}})
    object.__setattr__(lab, "spec", changed)
    (found,) = plan(lab, "halo1")
    return found


@pytest.mark.parametrize(
    ("served", "seen"),
    [
        ({"context": 4096}, None),
        ({"context": 4097}, "4097 tokens for a slot"),
        ({"context": 16384, "slots": 4}, None),
        ({"context": 16384, "slots": 3}, "5461 tokens for a slot"),
        ({"context": 16384, "extra": ("--rope-scaling", "yarn")}, None),
        ({"context": 16384, "extra": ("--yarn-orig-ctx=4096",)}, None),
        ({"context": 16384, "extra": ("--override_kv", "llama.context_length=int:16384")}, None),
    ],
)
def test_no_more_context_than_it_was_trained_on(served: dict[str, Any], seen: str | None) -> None:
    found = list(fit.context("halo1", model(**served), Head(1, LLAMA)))
    assert [finding.seen for finding in found] == ([seen] if seen else [])
    assert all(finding.expected == "at most 4096, on which nonsense was trained" for finding in found)
    assert list(fit.context("halo1", model(**served), Head(1))) == [], "what does not say is not judged"


KEEPS = LLAMA | {"llama.embedding_length": 8192, "llama.block_count": 64, "llama.attention.head_count": 64}
"""2 MiB a token."""


def need(*, gpu: bool = True, extra: tuple[str, ...] = (), shared: bool = False, context: int = 1024) -> Need:
    nodes = (("halo1", gpu), ("halo2", gpu))
    return Need("chat", "halo1", model(), context, nodes, extra, shared)


ROOMS = {"halo1": Room(96.0, 120.0), "halo2": Room(100.0, 120.0)}


@pytest.mark.parametrize(
    ("gib", "asked", "rooms", "there"),
    [
        (193, need(), ROOMS, None),
        (195, need(), ROOMS, "at most 196.0 GiB (halo1 96.0, halo2 100.0)"),  # 2 GiB for 1024 tokens
        (197, need(gpu=False), ROOMS, None),
        (239, need(gpu=False), ROOMS, "at most 240.0 GiB (halo1 120.0, halo2 120.0)"),
        (119, need(gpu=False, shared=True), ROOMS, "at most 120.0 GiB (of the machine that all virtual hosts share)"),
        (117, need(gpu=False, shared=True), ROOMS, None),
        (500, need(), {"halo1": ROOMS["halo1"]}, None),  # a run that is limited to one node
        (500, need(), ROOMS | {"halo2": Room(None, 120.0)}, None),
        (500, need(extra=("--n-cpu-moe", "20")), ROOMS, None),
        (500, need(extra=("-ngl=10",)), ROOMS, None),
        (500, need(extra=("--fit", "on")), ROOMS, None),
        (500, need(extra=("--override_tensor", "exps=CPU")), ROOMS, None),
        (500, need(extra=("--flash-attn", "on")), ROOMS, "at most 196.0 GiB (halo1 96.0, halo2 100.0)"),
        (0, need(context=2**30), ROOMS, None),  # a random model that was not made yet
    ],
)
def test_memory(gib: int, asked: Need, rooms: dict[str, Room], there: str | None) -> None:
    found = list(fit.memory(asked, Head(gib * GIB, KEEPS), rooms))
    assert [finding.expected for finding in found] == ([there] if there else [])
    for finding in found:
        assert finding.seen == f"nonsense has {gib:.1f} GiB, and 2.0 for 1024 tokens of context"


STRIX = Box(memory=125 * 2**20, gpu=Gpu("c5", gtt=96 * GIB, vram=GIB // 2))


@pytest.mark.parametrize(
    ("box", "wanted", "expected"),
    [
        (STRIX, Expected(), Room(96.5, 125.0)),
        (STRIX, Expected(gpu=112), Room(112, 125.0)),
        (STRIX, Expected(installed=128), Room(120, 125.0)),
        (STRIX, Expected(installed=128, reserve=16), Room(112, 125.0)),
        (Box(memory=32 * 2**20), Expected(), Room(None, 32.0)),
        (Box(), Expected(), Room(None, None)),
    ],
)
def test_room(box: Box, wanted: Expected, expected: Room) -> None:
    assert fit.room(box, wanted) == expected
