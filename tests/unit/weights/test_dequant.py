"""What stored blocks mean, against the output of the `gguf` package (goldens/dequant.json says which)."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from gemwright.weights import Tensor, TensorType, dequantize, open_checkpoint
from support.gguf_writer import Stored

GOLDENS = Path(__file__).parent / "goldens"


@pytest.mark.parametrize("kind", TensorType, ids=lambda kind: kind.name)
def test_blocks_decode_bit_for_bit_as_the_reference(kind: TensorType) -> None:
    with np.load(GOLDENS / "dequant.npz") as goldens:
        blocks, bits = goldens[f"{kind.name}_blocks"], goldens[f"{kind.name}_bits"]
    assert len(bits) == len(blocks) // kind.block_bytes * kind.block_values > 0
    values = dequantize(kind, blocks)
    assert values.dtype == np.float32
    np.testing.assert_array_equal(values.view(np.uint32), bits)


@pytest.mark.parametrize("kind", TensorType, ids=lambda kind: kind.name)
def test_blocks_may_lie_anywhere_in_memory(kind: TensorType) -> None:
    with np.load(GOLDENS / "dequant.npz") as goldens:
        blocks, bits = goldens[f"{kind.name}_blocks"], goldens[f"{kind.name}_bits"]
    for shift in (1, 2, 3):
        room = np.zeros(len(blocks) + shift, np.uint8)
        room[shift:] = blocks
        np.testing.assert_array_equal(dequantize(kind, room[shift:]).view(np.uint32), bits)


@pytest.mark.parametrize("kind", [TensorType.BF16, TensorType.Q5_0, TensorType.Q4_K], ids=lambda kind: kind.name)
def test_a_tensor_longer_than_one_chunk_decodes_as_its_rows_do(kind: TensorType) -> None:
    rows, cols = 700, 256  # 179,200 values: more than one chunk, and not a whole number of them
    stored = Stored.random(np.random.default_rng(3), kind, (rows, cols))
    tensor = Tensor("x", kind, stored.shape, np.frombuffer(stored.data, np.uint8))
    row_bytes = len(stored.data) // rows
    values = tensor.to_f32()
    assert values.shape == (rows, cols)
    for row in (0, 1, 511, 512, 513, 699):
        alone = dequantize(kind, tensor.data[row * row_bytes : (row + 1) * row_bytes])
        np.testing.assert_array_equal(values[row], alone)


def test_an_infinite_scale_gives_what_arithmetic_says_and_no_warning(recwarn: pytest.WarningsRecorder) -> None:
    block = np.zeros(18, np.uint8)
    block[:2] = np.frombuffer(np.float16(np.inf).tobytes(), np.uint8)
    block[2] = 0x98  # value 0 is 8 - 8, value 16 is 9 - 8
    values = dequantize(TensorType.Q4_0, block)
    assert np.isnan(values[0])
    assert values[16] == np.inf
    assert values[1] == -np.inf
    assert not recwarn.list


@pytest.mark.real
def test_tensors_of_the_real_file_decode_bit_for_bit_as_the_reference(default_model_path: Path) -> None:
    digests = json.loads((GOLDENS / "dequant.json").read_text())["real_tensors_sha256"]
    tensors = open_checkpoint(default_model_path).tensors
    assert {tensors[name].type.name for name in digests} == {"F32", "Q5_0", "Q8_0", "Q4_K", "Q6_K"}
    for name, digest in digests.items():
        assert hashlib.sha256(tensors[name].to_f32().tobytes()).hexdigest() == digest, name
