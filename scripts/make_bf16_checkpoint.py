"""Makes a bf16 safetensors checkpoint of the default model: the inverse of quantising, for tests and measurements.

    python scripts/make_bf16_checkpoint.py FOLDER [MODEL.gguf]

FOLDER gets model.safetensors (every weight decoded and rounded to bf16), config.json and tokenizer.model. The weights
keep the grid of the file they come from, up to bf16's rounding: a format that has the same grid looks better on them
than it would on the original bf16 weights, which no package index delivers.
"""

from __future__ import annotations

import json
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from gemwright.embedded import default_model
from gemwright.models import gemma3
from gemwright.settings import load_settings
from gemwright.text.gguf_source import gguf_pieces
from gemwright.text.pieces import PieceType
from gemwright.weights import Checkpoint, Tensor, Weight, match, open_checkpoint, release

SLAB_ROWS = 4096


def main(folder: Path, source: Path) -> None:
    checkpoint = open_checkpoint(source)
    config = gemma3.Config.from_gguf(checkpoint.config)
    rows = gemma3.weights(config)
    tensors = match(rows, checkpoint)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "model.safetensors").open("wb") as file:
        write_tensors(file, rows, tensors)
    (folder / "config.json").write_text(json.dumps(as_json(config), indent=2) + "\n", "utf-8")
    (folder / "tokenizer.model").write_bytes(b"".join(sentencepiece(checkpoint)))


def write_tensors(file: BinaryIO, rows: tuple[Weight, ...], tensors: dict[str, Tensor]) -> None:
    header, at = {}, 0
    for row in rows:
        size = 2 * tensors[row.name].values
        header[f"model.{row.safetensors}"] = {"dtype": "BF16", "shape": row.shape, "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    file.write(struct.pack("<Q", len(text)) + text)
    for row in rows:
        for values in slabs(tensors[row.name]):
            file.write(bf16(values - np.float32(row.add_one)))


def slabs(tensor: Tensor) -> Iterator[np.ndarray]:
    """The values, some rows at a time, so that no large tensor is ever in memory as float32."""
    rows = tensor.shape[0] if len(tensor.shape) > 1 else 1
    step = len(tensor.data) // rows * SLAB_ROWS
    for at in range(0, len(tensor.data), step):
        part = tensor.data[at : at + step]
        yield Tensor(tensor.name, tensor.type, (-1,), part).to_f32()
        release(part)


def bf16(values: np.ndarray) -> bytes:
    """Rounded to nearest, ties to even."""
    bits = values.view(np.uint32)
    return ((bits + (0x7FFF + (bits >> 16 & 1))) >> 16).astype("<u2").tobytes()


def as_json(c: gemma3.Config) -> dict[str, object]:
    return {
        "model_type": "gemma3_text",
        "vocab_size": c.vocabulary,
        "hidden_size": c.hidden,
        "intermediate_size": c.feed_forward,
        "num_hidden_layers": c.layers,
        "num_attention_heads": c.heads,
        "num_key_value_heads": c.kv_heads,
        "head_dim": c.head_dim,
        "layer_types": ["sliding_attention" if window else "full_attention" for window in c.windows],
        "sliding_window": max(c.windows),
        "rms_norm_eps": c.eps,
        "query_pre_attn_scalar": c.query_scale**-2,
        "rope_theta": c.global_base,
        "rope_local_base_freq": c.local_base,
        "max_position_embeddings": c.context_tokens,
        "torch_dtype": "bfloat16",
    }


def sentencepiece(checkpoint: Checkpoint) -> Iterator[bytes]:
    """tokenizer.model, field by field; numbers of the fields as in gemwright.text.sentencepiece_model."""
    pieces = gguf_pieces(checkpoint)
    spellings = iter(checkpoint.config["tokenizer.ggml.tokens"])
    for spelling, score, kind in zip(spellings, pieces.scores.tolist(), pieces.types.tolist(), strict=True):
        if kind == PieceType.USER_DEFINED and not spelling.strip(b" "):
            spelling = spelling.replace(b" ", "▁".encode())
        yield field(1, field(1, spelling) + b"\x15" + struct.pack("<f", score) + b"\x18" + varint(kind))
    yield field(2, b"\x18\x02" + varint(35 << 3) + b"\x01")  # byte-pair encoding, falling back to bytes
    yield field(3, b"\x18\x00\x20\x00")  # no space in front, no spaces removed


def field(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


if __name__ == "__main__":
    settings = load_settings()
    main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else default_model(settings.cache_dir, print))
