"""Makes tests/unit/weights/goldens: random blocks of every tensor type and what the `gguf` package decodes them to.

Run in an environment with the reference package (numpy and gguf 0.19), never at run time or in the tests:

    python scripts/make_dequant_goldens.py [PATH_OF_THE_DEFAULT_MODEL.gguf]

Blocks are random bytes with float16 scales that are finite and often extreme (zeros, subnormals, the largest). With
the default model's path, digests of some of its real tensors are written as well.
"""

from __future__ import annotations

import hashlib
import json
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType, GGUFReader
from gguf.constants import GGML_QUANT_SIZES
from gguf.quants import dequantize

GOLDENS = Path(__file__).parents[1] / "tests" / "unit" / "weights" / "goldens"
SEED = 20261123
EXTREME = np.array([0.0, -0.0, 6e-8, -6e-8, 6.1e-5, 1.0, -1.0, 65504.0, -65504.0], np.float16)

# Where each type's block holds float16 factors (byte offsets).
HALVES = {
    "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0], "IQ4_NL": [0], "IQ4_XS": [0],
    "Q2_K": [80, 82], "Q3_K": [108], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208],
}  # fmt: skip
PLAIN = ["F32", "F16", "BF16"]
REAL = ["blk.0.attn_k.weight", "blk.0.attn_v.weight", "blk.0.attn_output.weight", "blk.0.ffn_down.weight",
        "blk.17.ffn_gate.weight", "output_norm.weight"]  # fmt: skip


def main(model: str | None) -> None:
    rng = np.random.default_rng(SEED)
    arrays: dict[str, np.ndarray] = {}
    for name in PLAIN + sorted(HALVES):
        kind = GGMLQuantizationType[name]
        data = plain_numbers(rng, name) if name in PLAIN else blocks(rng, kind)
        values = dequantize(data, kind).reshape(-1)
        assert values.dtype == np.float32
        assert np.isfinite(values).all() or name in PLAIN
        arrays[f"{name}_blocks"] = data.reshape(-1).view(np.uint8)
        arrays[f"{name}_bits"] = values.view(np.uint32)
    np.savez_compressed(GOLDENS / "dequant.npz", **arrays)
    note = {"gguf": version("gguf"), "numpy": np.__version__, "seed": SEED, "script": Path(__file__).name}
    if model:
        note["real_tensors_sha256"] = real_digests(model)
    (GOLDENS / "dequant.json").write_text(json.dumps(note, indent=2) + "\n")


def plain_numbers(rng: np.random.Generator, name: str) -> np.ndarray:
    """Random bit patterns without NaN (whose payload no one promises), with both zeros and infinities."""
    width = 4 if name == "F32" else 2
    numbers = np.frombuffer(rng.bytes(256 * width), f"<u{width}").copy()
    special = {
        "F32": [0, 1 << 31, 0x7F800000, 0xFF800000, 1, 0x7F7FFFFF],
        "F16": [0, 1 << 15, 0x7C00, 0xFC00, 1, 0x7BFF],
        "BF16": [0, 1 << 15, 0x7F80, 0xFF80, 1, 0x7F7F],
    }[name]
    exponent = special[2]
    nan = ((numbers & exponent) == exponent) & ((numbers & ~np.array(special[3], numbers.dtype)) != 0)
    numbers[nan] = special[0]
    numbers[: len(special)] = special
    return numbers.view({"F32": np.float32, "F16": np.float16, "BF16": np.uint8}[name]).reshape(1, -1)


def blocks(rng: np.random.Generator, kind: GGMLQuantizationType) -> np.ndarray:
    values, size = GGML_QUANT_SIZES[kind]
    count = 40 if values == 32 else 12
    data = np.frombuffer(rng.bytes(count * size), np.uint8).reshape(count, size).copy()
    for offset in HALVES[kind.name]:
        scales = rng.normal(scale=0.05, size=count).astype(np.float16)
        scales[:9] = rng.permutation(EXTREME)
        data[:, offset : offset + 2] = scales.view(np.uint8).reshape(count, 2)
    return data


def real_digests(model: str) -> dict[str, str]:
    tensors = {tensor.name: tensor for tensor in GGUFReader(model).tensors}
    return {
        name: hashlib.sha256(dequantize(tensors[name].data, tensors[name].tensor_type).tobytes()).hexdigest()
        for name in REAL
    }


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None)
