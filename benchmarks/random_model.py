"""Models with random weights in the shapes of published ones: as fast as those, and free to make anywhere.

python benchmarks/random_model.py 'gemma-3-1b Q4_0'      makes that one and prints its path

What they say is noise, but every tensor has the shape and the type it would have after llama-quantize, the vocabulary
is that of the default model, and the norms keep all activations finite. Which tensors there are and what the file says
about them comes from gemwright's own architectures. Files are seeded, made once, and kept in `benchmarks` of the cache
folder: 0.7 to 3.5 GB each.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Iterator, Mapping
from itertools import islice
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from random_shapes import SHAPES

from gemwright.atomic import replacing, write_all
from gemwright.embedded import default_model
from gemwright.models import ARCHITECTURES
from gemwright.settings import load_settings
from gemwright.weights import Entry, StringArray, TensorType, Weight, file_bytes, open_checkpoint, write_gguf

Bytes = npt.NDArray[np.uint8]

SEED = 20250312
SPREAD = 0.02
"""About the standard deviation of the weights, as in trained models."""

FILE_TYPES = {"Q4_0": 2, "Q4_K_M": 15}
"""What files of that kind call themselves (ggml's `llama_ftype`)."""

_SLAB_VALUES = 1 << 24  # made at a time


def random_model(name: str) -> Path:
    """The file called like "gemma-3-1b Q4_0", made if it is not there."""
    shape, kind = name.split()
    settings = load_settings()
    path = settings.cache_dir / "benchmarks" / f"random-{shape}-{kind.lower()}.gguf"
    if not path.is_file():
        print(f"making {path} (once)", file=sys.stderr, flush=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        source = default_model(settings.cache_dir, lambda sentence: print(sentence, file=sys.stderr))
        write_random_model(path, f"Random {shape}", SHAPES[shape], kind, source)
    return path


def write_random_model(path: Path, name: str, shape: Mapping[str, Any], kind: str, vocabulary_of: Path) -> None:
    """A GGUF file quantised like `kind` (Q4_0 or Q4_K_M), with the vocabulary of another one.

    shape: config.json of the model; its vocabulary is cut to that of the other file if it is larger.
    """
    tokenizer = _cut(open_checkpoint(vocabulary_of).config, shape.get("vocab_size"))
    architecture = ARCHITECTURES[shape["model_type"]]
    config = architecture.config.from_hf({**shape, "vocab_size": len(tokenizer["tokenizer.ggml.token_type"])})
    metadata = {"general.architecture": architecture.name, "general.type": "model", "general.name": name}
    metadata |= {**architecture.gguf_metadata(config), **tokenizer}
    metadata |= {"general.file_type": FILE_TYPES[kind], "general.quantization_version": 2}
    layers = metadata[f"{architecture.name}.block_count"]
    shapes = {row.gguf: _stored_shape(row) for row in architecture.weights(config)}  # rows of a stack are one tensor
    entries = [_entry(name, dims, tensor_type(name, dims, layers, kind)) for name, dims in shapes.items()]
    entries += [_constant(name, values) for name, values in architecture.constants(config).items()]
    with replacing(path, file_bytes(metadata, entries)) as descriptor:
        write_gguf(lambda part: write_all(descriptor, part), metadata, entries)


def tensor_type(name: str, dims: tuple[int, ...], layers: int, kind: str) -> TensorType:
    """What llama-quantize stores the tensor as. Source: `llama_tensor_get_type` of llama.cpp, release b11434.

    K types need rows of a multiple of 256; where they are not, the next larger plain type stands in.
    """
    if len(dims) == 1 or "ffn_gate_inp" in name:
        return TensorType.F32
    if any(part in name for part in ("altup", "laurel", "per_layer_model_proj")):
        return TensorType.F16
    fits = dims[-1] % 256 == 0
    if name.endswith("token_embd.weight"):  # it is the head too; a table for each layer is treated alike
        return TensorType.Q6_K if fits else TensorType.Q8_0
    if kind == "Q4_0":
        return TensorType.Q4_0
    if any(part in name for part in ("attn_v.", "ffn_down")) and _gets_more_bits(int(name.split(".")[1]), layers):
        return TensorType.Q6_K if fits else TensorType.Q8_0
    return TensorType.Q4_K if fits else TensorType.Q5_0


def random_values(name: str, dims: tuple[int, ...], type_: TensorType) -> Iterator[Bytes]:
    """Its bytes, some at a time: vectors near 1, and in matrices random codes whose scales give SPREAD."""
    rng = np.random.default_rng((SEED, zlib.crc32(name.encode())))
    if len(dims) == 1:
        yield rng.normal(1.0, 0.1, dims).astype(np.float32).view(np.uint8)
        return
    for first in range(0, prod(dims), _SLAB_VALUES):
        values = min(_SLAB_VALUES, prod(dims) - first)
        yield _floats(rng, values, type_) if type_ in _FLOATS else _blocks(rng, values // type_.block_values, type_)


def _floats(rng: np.random.Generator, values: int, type_: TensorType) -> Bytes:
    return (rng.standard_normal(values, np.float32) * np.float32(SPREAD)).astype(_FLOATS[type_]).view(np.uint8)


def _blocks(rng: np.random.Generator, blocks: int, type_: TensorType) -> Bytes:
    data = np.frombuffer(rng.bytes(blocks * type_.block_bytes), np.uint8).reshape(blocks, -1).copy()
    for at, factor in _SCALES[type_]:
        factors = rng.uniform(0.8, 1.2, blocks) * factor * SPREAD
        data[:, at : at + 2] = factors.astype("<f2").view(np.uint8).reshape(blocks, 2)
    if type_ is TensorType.Q6_K:
        data[:, 192:208] = rng.integers(24, 40, (blocks, 16), np.uint8)  # signed; random bits would cancel out
    return data.reshape(-1)


_FLOATS = {TensorType.F32: "<f4", TensorType.F16: "<f2"}

_SCALES = {
    TensorType.Q4_0: [(0, 1 / 4.6)],
    TensorType.Q5_0: [(0, 1 / 9.2)],
    TensorType.Q8_0: [(0, 1 / 74)],
    TensorType.Q4_K: [(0, 1 / 261), (2, 7.5 / 261)],
    TensorType.Q6_K: [(208, 1 / 592)],
}
"""Where a block has a float16 factor, and what it must be for weights of deviation 1 from uniform codes."""


def _stored_shape(row: Weight) -> tuple[int, ...]:
    return (row.gguf_rows, *row.shape[1:]) if row.gguf_rows else row.stored_shape("gguf")


def _entry(name: str, dims: tuple[int, ...], type_: TensorType) -> Entry:
    return Entry(name, type_, dims, lambda: random_values(name, dims, type_))


def _constant(name: str, values: npt.NDArray[np.float32]) -> Entry:
    return Entry(name, TensorType.F32, values.shape, lambda: [values.view(np.uint8)])


def _gets_more_bits(layer: int, layers: int) -> bool:
    """The first and last eighth of the layers, and every third between."""
    eighth = layers // 8
    return layer < eighth or layer >= 7 * layers // 8 or (layer - eighth) % 3 == 2


def _cut(config: Mapping[str, Any], most: int | None) -> dict[str, Any]:
    """The tokenizer of a file, of its first `most` tokens."""
    tokenizer = {key: value for key, value in config.items() if "tokenizer" in key}
    tokens, scores, types = (tokenizer[f"tokenizer.ggml.{name}"] for name in ("tokens", "scores", "token_type"))
    if most is not None and most < len(types):
        end = sum(8 + len(text) for text in islice(tokens, most))
        cut = {"tokens": StringArray(tokens.raw[:end], most), "scores": scores[:most], "token_type": types[:most]}
        tokenizer |= {f"tokenizer.ggml.{name}": values for name, values in cut.items()}
    return tokenizer


if __name__ == "__main__":
    print(random_model(sys.argv[1]))
