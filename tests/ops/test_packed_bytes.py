"""Packed matrices taken out of the engine and put back, and the checksum over them."""

from __future__ import annotations

import gc
import mmap
from pathlib import Path

import numpy as np
import pytest

from gemwright import _native, ops
from gemwright.weights import TensorType
from support.blocks import ALL, random_tensor

ROWS, COLS = 41, 512  # two whole tiles and one of nine rows; two super-blocks


def matrix(kind: TensorType, rng: np.random.Generator, *, wide: bool = False) -> ops.Matrix:
    return ops.Matrix(int(kind), random_tensor(kind, ROWS, COLS, rng), ROWS, COLS, wide=wide)


def mapped_copy(data: np.ndarray, path: Path) -> np.ndarray:
    """The bytes on a page of their own in a file, mapped read-only."""
    path.write_bytes(bytes(4096) + data.tobytes())
    with path.open("rb") as file:
        return np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), np.uint8)[4096:]


@pytest.mark.parametrize("wide", [False, True], ids=["int8", "int16"])
@pytest.mark.parametrize("kind", ALL, ids=lambda k: k.name)
def test_a_matrix_over_the_bytes_of_another_is_the_same_to_the_bit(kind, wide, rng, tmp_path):
    made = matrix(kind, rng, wide=wide)
    assert made.packed.nbytes == made.nbytes == ops.packed_bytes(int(kind), ROWS, COLS)
    found = ops.Matrix.over(int(kind), mapped_copy(made.packed, tmp_path / "m"), ROWS, COLS, wide=wide)
    np.testing.assert_array_equal(found.packed, made.packed)
    np.testing.assert_array_equal(found.to_f32(), made.to_f32())
    for tokens in (1, 2, 13, 150):
        x = rng.normal(size=(tokens, COLS)).astype(np.float32)
        np.testing.assert_array_equal(ops.linear(x, found)[0], ops.linear(x, made)[0])
    ids = np.array([0, 40, 16], np.int32)
    np.testing.assert_array_equal(ops.embed(found, ids, 2.5), ops.embed(made, ids, 2.5))


def test_packing_twice_gives_the_same_bytes(rng):
    data = random_tensor(TensorType.Q4_K, ROWS, COLS, rng)
    one, two = (ops.Matrix(int(TensorType.Q4_K), data, ROWS, COLS, wide=False) for _ in range(2))
    np.testing.assert_array_equal(one.packed, two.packed)


def test_the_bytes_live_as_long_as_the_matrix_or_a_view_of_them(rng, tmp_path):
    made = matrix(TensorType.Q8_0, rng)
    expected = made.to_f32()
    found = ops.Matrix.over(int(TensorType.Q8_0), mapped_copy(made.packed, tmp_path / "m"), ROWS, COLS, wide=False)
    view, copied = made.packed, made.packed.copy()
    del made
    gc.collect()
    np.testing.assert_array_equal(found.to_f32(), expected)
    np.testing.assert_array_equal(view, copied)


def test_bytes_that_do_not_fit_are_refused(rng):
    kind = int(TensorType.Q8_0)
    packed = matrix(TensorType.Q8_0, rng).packed
    for wrong in (packed[:-1], packed[:-64], packed[:0]):
        with pytest.raises(ValueError, match="size"):
            ops.Matrix.over(kind, wrong, ROWS, COLS, wide=False)
    room = np.zeros(packed.size + 128, np.uint8)
    start = -room.ctypes.data % 64 + 8
    with pytest.raises(ValueError, match="aligned"):
        ops.Matrix.over(kind, room[start : start + packed.size], ROWS, COLS, wide=False)
    for rows, cols in ((0, COLS), (-16, COLS), (ROWS, 33), (ROWS, 0)):
        with pytest.raises(ValueError, match="columns"):
            ops.packed_bytes(kind, rows, cols)
    with pytest.raises(ValueError, match="type"):
        ops.packed_bytes(99, ROWS, COLS)


def test_memory_of_somebody_else_is_never_filled(rng):
    data = random_tensor(TensorType.Q8_0, ROWS, COLS, rng)
    packed = matrix(TensorType.Q8_0, rng).packed
    borrowed = _native.Packed(int(TensorType.Q8_0), ROWS, COLS, packed)
    with pytest.raises(ValueError, match="not its own"):
        borrowed.fill(data, 0, ROWS)
    with pytest.raises(ValueError, match="read-only"):
        packed[0] = 0


@pytest.mark.parametrize("size", [0, 1, 7, 8, 63, 64, 65, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, (3 << 20) + 100])
def test_a_checksum_sees_every_bit_and_every_length(size, rng):
    data = rng.integers(0, 256, size, dtype=np.uint8)
    sums = {ops.checksum(data), ops.checksum(np.append(data, np.uint8(0)))}
    places = {0, size // 2, size - 1} | set(rng.integers(0, size, 30).tolist()) if size else set()
    for place in places:
        for bit in (1, 16, 128):
            data[place] ^= bit
            sums.add(ops.checksum(data))
            data[place] ^= bit
    assert len(sums) == 2 + 3 * len(places)
    if size > 1:
        sums.add(ops.checksum(np.roll(data, 1)))
        assert len(sums) == 3 + 3 * len(places)


def test_zeros_of_different_lengths_have_different_checksums():
    lengths = [0, 1, 8, 64, 4096, 1 << 20, (1 << 20) + 64, 2 << 20]
    assert len({ops.checksum(np.zeros(size, np.uint8)) for size in lengths}) == len(lengths)


def test_a_checksum_does_not_depend_on_threads_and_never_changes(rng):
    data = rng.integers(0, 256, (5 << 20) + 123, dtype=np.uint8)
    ops.set_threads(1)
    alone = ops.checksum(data)
    ops.set_threads(3)
    assert ops.checksum(data) == alone
    assert ops.checksum(np.arange(1000).astype(np.uint8)) == 0x80B388461CE0F3C0, "a new formula needs a new _MAGIC"
