"""What the beginning of a GGUF says of the model: on how many tokens it was trained, how large a token's memory is."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

BYTES = 65536
"""Of the beginning of a file on a node. convert_hf_to_gguf.py writes the vocabulary, which is large, last."""
BYTES_HERE = 2**25
"""Of one on this machine."""
F16 = 2
"""Bytes; llama-server's own choice for what it keeps of each token."""
OTHERWISE = (".sliding_window", ".kv_lora_rank", "ssm.", "full_attention_interval", "recurrent", "shared_kv_layers")
"""Parts of keys that models have which keep less of a token than the sum below."""
WINDOWED = ("llama4", "gemma2", "exaone4", "exaone-moe", "smallthinker")
"""Architectures that do so without a key: llama.cpp has their window in its code (src/models at 0c1e57098, n_swa)."""

# ggml/include/gguf.h, enum gguf_type; GGUF's description is docs/gguf.md of ggml-org/ggml.
_SCALARS = dict(enumerate(("B", "b", "H", "h", "I", "i", "f", "?"))) | {10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
_LONGEST_LIST = 4096
"""More than any model has layers: longer lists are vocabularies."""

Value = int | float | str | tuple[int | float, ...]


@dataclass(frozen=True)
class Head:
    """size: bytes of all its files. keys: those that were read before the beginning ended; empty of what is no GGUF."""

    size: int
    keys: Mapping[str, Value] = field(default_factory=dict)

    @property
    def trained(self) -> int:
        """Tokens that the model was trained on; 0 where it does not say."""
        return self._number("context_length")

    def memory(self, tokens: int) -> int:
        """Bytes that it keeps of so many tokens; 0 where it does not say, or keeps less than its sizes tell."""
        windowed = self.keys.get("general.architecture") in WINDOWED
        if windowed or any(part in key for key in self.keys for part in OTHERWISE):
            return 0
        layers, heads = self._number("block_count"), self._number("attention.head_count")
        kept: Value = self.keys.get(self._key("attention.head_count_kv"), heads)
        each_layer = kept if isinstance(kept, tuple) else (kept,) * layers
        if not (layers and heads and len(each_layer) == layers):
            return 0
        width = self._number("embedding_length") // heads
        length = sum(self._number(f"attention.{which}_length") or width for which in ("key", "value"))
        return sum(int(count) for count in each_layer if not isinstance(count, str)) * length * F16 * tokens

    def _key(self, name: str) -> str:
        return f"{self.keys.get('general.architecture', '')}.{name}"

    def _number(self, name: str) -> int:
        found = self.keys.get(self._key(name))
        return found if isinstance(found, int) else 0


def read(size: int, beginning: bytes) -> Head:
    """beginning: of the first file."""
    head = Head(size)
    for key, value in _pairs(beginning):
        if key.startswith("tokenizer.") and head.trained:
            break  # a vocabulary takes long to read, and nothing that is asked for comes behind it
        head = Head(size, {**head.keys, key: value})
    return head


def _pairs(data: bytes) -> Iterator[tuple[str, Value]]:
    """Up to where the beginning ends."""
    if data[:4] != b"GGUF":
        return
    try:
        version, _, count = struct.unpack_from("<IQQ", data, 4)
        place = 24
        for _ in range(count if version in (2, 3) else 0):
            name, place = _text(data, place)
            (kind,) = struct.unpack_from("<I", data, place)
            value, place = _value(data, place + 4, kind)
            if value is not None:
                yield name, value
    except (struct.error, KeyError, UnicodeDecodeError):
        return


def _value(data: bytes, place: int, kind: int) -> tuple[Value | None, int]:
    """The value, None for one that nobody asks for, and the place behind it."""
    if kind == _STRING:
        return _text(data, place)
    if kind != _ARRAY:
        return struct.unpack_from(f"<{_SCALARS[kind]}", data, place)[0], place + struct.calcsize(f"<{_SCALARS[kind]}")
    kind, count = struct.unpack_from("<IQ", data, place)
    place += 12
    if kind in _SCALARS:
        shape = f"<{count}{_SCALARS[kind]}"
        end = place + count * struct.calcsize(f"<{_SCALARS[kind]}")
        return (struct.unpack_from(shape, data, place) if count <= _LONGEST_LIST else None), end
    for _ in range(count):
        _, place = _value(data, place, kind)
    return None, place


def _text(data: bytes, place: int) -> tuple[str, int]:
    (length,) = struct.unpack_from("<Q", data, place)
    text = struct.unpack_from(f"<{min(length, len(data) + 1)}s", data, place + 8)[0]
    return text.decode(), place + 8 + length
