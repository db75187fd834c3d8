"""A llama model of random weights around a real vocabulary: it talks nonsense, everything else about it is real.

Run as a program, because numpy and pyinfra's greenlets need not meet: random_gguf.py VOCAB OUT LAYERS WIDTH
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType, GGUFReader, GGUFWriter, Keys
from numpy.typing import NDArray

HEADS = 8
CONTEXT = 32768
"""Tokens that the model claims to have been trained on; llama-server caps --ctx-size at it."""
SEED = 20261120


def write(vocabulary: Path, out: Path, layers: int, width: int) -> None:
    """Writes the GGUF; the same arguments give the same bytes."""
    reader = GGUFReader(vocabulary)
    writer = GGUFWriter(out, "llama")
    tokens = _copy_tokenizer(reader, writer)
    writer.add_name("halofleet random weights")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(width)
    writer.add_block_count(layers)
    writer.add_feed_forward_length(4 * width)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(width // HEADS)
    writer.add_vocab_size(tokens)
    rng = np.random.default_rng(SEED)

    def matrix(name: str, rows: int, columns: int) -> None:
        values: NDArray[np.float16] = (rng.standard_normal((rows, columns), dtype=np.float32) * 0.02).astype(np.float16)
        writer.add_tensor(f"{name}.weight", values, raw_dtype=GGMLQuantizationType.F16)

    def norm(name: str) -> None:
        writer.add_tensor(f"{name}.weight", np.ones(width, dtype=np.float32))

    matrix("token_embd", tokens, width)
    for layer in range(layers):
        block = f"blk.{layer}"
        norm(f"{block}.attn_norm")
        for part in ("attn_q", "attn_k", "attn_v", "attn_output"):
            matrix(f"{block}.{part}", width, width)
        norm(f"{block}.ffn_norm")
        matrix(f"{block}.ffn_gate", 4 * width, width)
        matrix(f"{block}.ffn_up", 4 * width, width)
        matrix(f"{block}.ffn_down", width, 4 * width)
    norm("output_norm")
    matrix("output", tokens, width)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _copy_tokenizer(reader: GGUFReader, writer: GGUFWriter) -> int:
    """Every tokenizer.* field as it is; returns the number of tokens."""
    for field in reader.fields.values():
        if field.name.startswith("tokenizer."):
            writer.add_key_value(
                field.name, field.contents(), field.types[0], field.types[-1] if len(field.types) > 1 else None
            )
    return len(reader.fields[Keys.Tokenizer.LIST].contents())


if __name__ == "__main__":
    write(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
