"""GGUF files that have a beginning and no weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gguf import GGUFWriter


def gguf(path: Path, architecture: str = "llama", **values: Any) -> bytes:
    """A file without tensors. values: of the architecture's keys, `__` for a dot; lists become arrays."""
    writer = GGUFWriter(path, architecture)
    writer.add_name("a model")
    writer.add_tags(["one", "two"])
    sizes = {"context_length": 4096, "embedding_length": 1024, "block_count": 8, "attention__head_count": 16}
    for key, value in (sizes | values).items():
        name = f"{architecture}.{key.replace('__', '.')}"
        if isinstance(value, list):
            writer.add_array(name, value)
        elif value is not None:
            writer.add_uint32(name, value)
    writer.add_tokenizer_model("llama")
    writer.add_token_list([f"token {number}" for number in range(2000)])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    return path.read_bytes()
