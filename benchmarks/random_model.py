"""Models with random weights in the shapes of Gemma 3 1B and 4B: as fast as the real ones, and free to make anywhere.

python benchmarks/random_model.py '1B Q4_0'      makes that one and prints its path

What they say is noise, but every tensor has the shape and the type it would have after llama-quantize, the vocabulary
is that of the default model, and the norms keep all activations finite. Files are seeded, made once, and kept in
`benchmarks` of the cache folder: 0.7 to 2.5 GB each.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from gguf import GGMLQuantizationType, GGUFWriter

from gemwright.embedded import default_model
from gemwright.settings import load_settings
from gemwright.weights import TensorType, open_checkpoint

SEED = 20250312
SPREAD = 0.02
"""About the standard deviation of the weights, as in trained models."""


@dataclass(frozen=True)
class Shape:
    """Sizes of a Gemma 3 text model. Source: Gemma3TextConfig of the published checkpoints."""

    layers: int
    hidden: int
    feed_forward: int
    heads: int
    kv_heads: int
    window: int
    context: int
    stretch: float
    head_dim: int = 256


SHAPES = {
    "1B": Shape(26, 1152, 6912, heads=4, kv_heads=1, window=512, context=32_768, stretch=1.0),
    "4B": Shape(34, 2560, 10_240, heads=8, kv_heads=4, window=1024, context=131_072, stretch=8.0),
}

FILE_TYPES = {"Q4_0": 2, "Q4_K_M": 15}
"""What files of that kind call themselves (ggml's `llama_ftype`)."""


def random_model(name: str) -> Path:
    """The file called like "1B Q4_0" or "4B Q4_K_M", made if it is not there."""
    size, kind = name.split()
    settings = load_settings()
    path = settings.cache_dir / "benchmarks" / f"random-gemma-3-{size.lower()}-{kind.lower()}.gguf"
    if not path.is_file():
        print(f"making {path} (once)", file=sys.stderr, flush=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        source = default_model(settings.cache_dir, lambda sentence: print(sentence, file=sys.stderr))
        write_random_model(path, f"Random Gemma 3 {size}", SHAPES[size], kind, source)
    return path


def write_random_model(path: Path, name: str, shape: Shape, kind: str, vocabulary_of: Path) -> None:
    """A GGUF file of that shape, quantised like `kind` (Q4_0 or Q4_K_M), with the vocabulary of another one."""
    partial = path.with_name(path.name + ".partial")
    tokenizer = {key: value for key, value in open_checkpoint(vocabulary_of).config.items() if "tokenizer" in key}
    rows = len(tokenizer["tokenizer.ggml.tokens"])
    writer = GGUFWriter(partial, "gemma3")
    _add_metadata(writer, name, shape, tokenizer)
    writer.add_file_type(FILE_TYPES[kind])
    writer.add_quantization_version(2)
    tensors = [(name, dims, tensor_type(name, dims, shape.layers, kind)) for name, dims in _tensors(shape, rows)]
    for tensor, dims, type_ in tensors:
        size = int(np.prod(dims)) // type_.block_values * type_.block_bytes
        dtype: Any = np.dtype(np.float32) if type_ is TensorType.F32 else np.dtype(np.uint8)
        stored = dims if type_ is TensorType.F32 else (*dims[:-1], size // int(np.prod(dims[:-1])))
        writer.add_tensor_info(tensor, stored, dtype, size, GGMLQuantizationType(int(type_)))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for tensor, dims, type_ in tensors:
        writer.write_tensor_data(random_tensor(tensor, dims, type_))
    writer.close()
    partial.replace(path)


def tensor_type(name: str, dims: tuple[int, ...], layers: int, kind: str) -> TensorType:
    """What llama-quantize stores the tensor as. Source: `llama_tensor_get_type` of llama.cpp, release b11434.

    K types need rows of a multiple of 256; where they are not, the next larger plain type stands in.
    """
    if len(dims) == 1:
        return TensorType.F32
    fits = dims[-1] % 256 == 0
    if name == "token_embd.weight":  # it is the head too
        return TensorType.Q6_K if fits else TensorType.Q8_0
    if kind == "Q4_0":
        return TensorType.Q4_0
    if name.endswith(("attn_v.weight", "ffn_down.weight")) and _gets_more_bits(int(name.split(".")[1]), layers):
        return TensorType.Q6_K if fits else TensorType.Q8_0
    return TensorType.Q4_K if fits else TensorType.Q5_0


def random_tensor(name: str, dims: tuple[int, ...], type_: TensorType) -> npt.NDArray[Any]:
    """Norm scales near 1 in float32[dims], or uint8[rows, bytes] of random codes with scales that give SPREAD."""
    rng = np.random.default_rng((SEED, zlib.crc32(name.encode())))
    if type_ is TensorType.F32:
        return rng.normal(1.0, 0.1, dims).astype(np.float32)
    blocks = int(np.prod(dims)) // type_.block_values
    data = np.frombuffer(rng.bytes(blocks * type_.block_bytes), np.uint8).reshape(blocks, -1).copy()
    for at, factor in _SCALES[type_]:
        factors = rng.uniform(0.8, 1.2, blocks) * factor * SPREAD
        data[:, at : at + 2] = factors.astype("<f2").view(np.uint8).reshape(blocks, 2)
    if type_ is TensorType.Q6_K:
        data[:, 192:208] = rng.integers(24, 40, (blocks, 16), np.uint8)  # signed; random bits would cancel out
    return data.reshape(dims[0], -1)


_SCALES = {
    TensorType.Q4_0: [(0, 1 / 4.6)],
    TensorType.Q5_0: [(0, 1 / 9.2)],
    TensorType.Q8_0: [(0, 1 / 74)],
    TensorType.Q4_K: [(0, 1 / 261), (2, 7.5 / 261)],
    TensorType.Q6_K: [(208, 1 / 592)],
}
"""Where a block has a float16 factor, and what it must be for weights of deviation 1 from uniform codes."""


def _gets_more_bits(layer: int, layers: int) -> bool:
    """The first and last eighth of the layers, and every third between."""
    eighth = layers // 8
    return layer < eighth or layer >= 7 * layers // 8 or (layer - eighth) % 3 == 2


def _tensors(s: Shape, rows: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    queries, keys = s.heads * s.head_dim, s.kv_heads * s.head_dim
    layer: dict[str, tuple[int, ...]] = {
        "attn_norm": (s.hidden,),
        "attn_q": (queries, s.hidden),
        "attn_k": (keys, s.hidden),
        "attn_v": (keys, s.hidden),
        "attn_output": (s.hidden, queries),
        "attn_q_norm": (s.head_dim,),
        "attn_k_norm": (s.head_dim,),
        "post_attention_norm": (s.hidden,),
        "ffn_norm": (s.hidden,),
        "ffn_gate": (s.feed_forward, s.hidden),
        "ffn_up": (s.feed_forward, s.hidden),
        "ffn_down": (s.hidden, s.feed_forward),
        "post_ffw_norm": (s.hidden,),
    }
    yield "token_embd.weight", (rows, s.hidden)
    yield "output_norm.weight", (s.hidden,)
    for i in range(s.layers):
        yield from ((f"blk.{i}.{name}.weight", dims) for name, dims in layer.items())


def _add_metadata(writer: GGUFWriter, name: str, s: Shape, tokenizer: dict[str, Any]) -> None:
    writer.add_name(name)
    writer.add_block_count(s.layers)
    writer.add_embedding_length(s.hidden)
    writer.add_feed_forward_length(s.feed_forward)
    writer.add_head_count(s.heads)
    writer.add_head_count_kv(s.kv_heads)
    writer.add_key_length(s.head_dim)
    writer.add_value_length(s.head_dim)
    writer.add_context_length(s.context)
    writer.add_sliding_window(s.window)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(1e6)
    if s.stretch != 1.0:
        writer.add_string("gemma3.rope.scaling.type", "linear")
        writer.add_float32("gemma3.rope.scaling.factor", s.stretch)
    for key, value in tokenizer.items():
        if isinstance(value, str):
            writer.add_string(key, value)
        elif isinstance(value, bool):
            writer.add_bool(key, value)
        elif isinstance(value, int):
            writer.add_uint32(key, value)
        else:
            writer.add_array(key, [item.item() if isinstance(item, np.generic) else item for item in value])


if __name__ == "__main__":
    print(random_model(sys.argv[1]))
