"""Products with packed matrices: every stored type, every target, awkward sizes."""

from __future__ import annotations

import numpy as np
import pytest

from gemwright import _native, ops
from gemwright.ops import reference
from gemwright.step import F32
from gemwright.weights import TensorType, dequantize
from support.blocks import ALL, F16_FIELDS, QUANTISED, random_tensor

PLAIN = [TensorType.Q5_0, TensorType.Q8_0, TensorType.Q4_1, TensorType.IQ4_NL]  # blocks of 32 columns
ROWS = 41  # two whole tiles and one of nine rows
COLS = 512  # two super-blocks


def stored(kind: TensorType, rows: int, cols: int, rng: np.random.Generator, **options: bool) -> tuple[np.ndarray, F32]:
    data = random_tensor(kind, rows, cols, rng, **options)
    return data, dequantize(kind, data).reshape(rows, cols)


def activations(tokens: int, cols: int, rng: np.random.Generator) -> F32:
    """Like a transformer's: most channels small, a few very large."""
    x = rng.normal(size=(tokens, cols)).astype(np.float32)
    x[:, rng.choice(cols, 6, replace=False)] *= 40
    return x


def as_quantised(x: F32, *, wide: bool) -> np.ndarray:
    """What the kernels see of x, in float64."""
    rows = []
    for row in x:
        codes, scale, at, kept = _native.quantise(row, wide)
        seen = codes.astype(np.float64) * np.repeat(scale.astype(np.float64), 32)
        if not wide:
            seen[at] = kept
        rows.append(seen)
    return np.array(rows)


def assert_product(y: F32, x: np.ndarray, w: F32) -> None:
    exact = x.astype(np.float64) @ w.T.astype(np.float64)
    room = 2e-6 * (np.abs(x) @ np.abs(w.T.astype(np.float64))) + 1e-7
    assert np.all(np.abs(y - exact) <= room), float(np.max(np.abs(y - exact) / room))


@pytest.mark.parametrize("kind", ALL, ids=lambda k: k.name)
def test_a_packed_matrix_unpacks_to_what_its_type_defines(kind, rng):
    data, w = stored(kind, ROWS, COLS, rng)
    matrix = ops.Matrix(int(kind), data, ROWS, COLS, wide=False)
    np.testing.assert_array_equal(matrix.to_f32(), w)
    assert (matrix.rows, matrix.cols) == (ROWS, COLS)


@pytest.mark.parametrize("bits", [0x7C00, 0xFC00, 0x7E00, 0xFFFF], ids=["inf", "-inf", "nan", "-nan"])
@pytest.mark.parametrize("kind", [*QUANTISED, "split"], ids=str)
def test_a_matrix_knows_whether_its_scales_are_finite(kind, bits, rng):
    stored_as = TensorType.Q8_0 if kind == "split" else kind
    packed_as = ops.Q8_0_SPLIT if kind == "split" else int(kind)
    for field in F16_FIELDS[stored_as]:
        data = random_tensor(stored_as, ROWS, COLS, rng)
        assert ops.Matrix(packed_as, data, ROWS, COLS, wide=True).is_finite
        block = rng.integers(data.size // stored_as.block_bytes) * stored_as.block_bytes
        data[block + field : block + field + 2] = np.frombuffer(bits.to_bytes(2, "little"), np.uint8)
        assert not ops.Matrix(packed_as, data, ROWS, COLS, wide=True).is_finite


@pytest.mark.parametrize("wide", [False, True], ids=["int8", "int16"])
@pytest.mark.parametrize("tokens", [1, 2, 3, 4, 5, 8, 13, 150])
@pytest.mark.parametrize("kind", ALL, ids=lambda k: k.name)
def test_linear_is_the_product(target, kind, tokens, wide, rng):
    data, w = stored(kind, ROWS, COLS, rng)
    x = activations(tokens, COLS, rng)
    (y,) = ops.linear(x, ops.Matrix(int(kind), data, ROWS, COLS, wide=wide))
    assert_product(y, as_quantised(x, wide=wide) if kind in QUANTISED else x, w)


@pytest.mark.parametrize("rows", [1, 15, 16, 17, 32, 33])
@pytest.mark.parametrize("kind", PLAIN, ids=lambda k: k.name)
def test_linear_takes_any_number_of_rows_and_groups(target, kind, rows, rng):
    for cols in (32, 96, 288):
        data, w = stored(kind, rows, cols, rng)
        x = activations(7, cols, rng)
        (y,) = ops.linear(x, ops.Matrix(int(kind), data, rows, cols, wide=False))
        assert_product(y, as_quantised(x, wide=False), w)


@pytest.mark.parametrize("cols", [1, 5, 40, 72])
@pytest.mark.parametrize("kind", [TensorType.F32, TensorType.F16, TensorType.BF16], ids=lambda k: k.name)
def test_float_matrices_take_any_number_of_columns(target, kind, cols, rng):
    data, w = stored(kind, ROWS, cols, rng)
    x = rng.normal(size=(6, cols)).astype(np.float32)
    (y,) = ops.linear(x, ops.Matrix(int(kind), data, ROWS, cols, wide=False))
    assert_product(y, x, w)


@pytest.mark.parametrize("wide", [False, True], ids=["int8", "int16"])
@pytest.mark.parametrize("kind", QUANTISED, ids=lambda k: k.name)
def test_the_largest_codes_do_not_overflow(target, kind, wide, rng):
    data, w = stored(kind, 16, COLS, rng, extreme=True)
    x = np.where(rng.integers(0, 2, (5, COLS)) == 1, np.float32(3), np.float32(-3))
    x[0] = 3
    x[1] = -3
    (y,) = ops.linear(x, ops.Matrix(int(kind), data, 16, COLS, wide=wide))
    assert_product(y, as_quantised(x, wide=wide), w)


@pytest.mark.parametrize("wide", [False, True], ids=["int8", "int16"])
@pytest.mark.parametrize("kind", ALL, ids=lambda k: k.name)
def test_every_target_batch_and_thread_count_gives_the_same_bits(target, kind, wide, rng):
    data, _ = stored(kind, ROWS, COLS, rng)
    x = activations(21, COLS, rng)
    matrix = ops.Matrix(int(kind), data, ROWS, COLS, wide=wide)
    (y,) = ops.linear(x, matrix)
    for size in (1, 2, 3, 8):
        parts = [ops.linear(x[i : i + size], matrix)[0] for i in range(0, len(x), size)]
        np.testing.assert_array_equal(np.concatenate(parts), y)
    for threads in (1, 3):
        ops.set_threads(threads)
        np.testing.assert_array_equal(ops.linear(x, matrix)[0], y)
    ops.use_target("scalar")
    np.testing.assert_array_equal(ops.linear(x, matrix)[0], y)


def test_matrices_that_share_an_input_give_what_each_gives_alone(target, rng):
    x = activations(9, COLS, rng)
    kinds = (TensorType.Q5_0, TensorType.Q8_0, TensorType.F32, TensorType.Q4_K)
    matrices = [
        ops.Matrix(int(k), random_tensor(k, rows, COLS, rng), rows, COLS, wide=False)
        for k, rows in zip(kinds, (16, 40, 7, 33), strict=True)
    ]
    for together, matrix in zip(ops.linear(x, *matrices), matrices, strict=True):
        np.testing.assert_array_equal(together, ops.linear(x, matrix)[0])


def test_a_token_with_nan_is_nan_and_spoils_no_other(target, rng):
    data, _ = stored(TensorType.Q5_0, ROWS, COLS, rng)
    matrix = ops.Matrix(int(TensorType.Q5_0), data, ROWS, COLS, wide=False)
    x = activations(3, COLS, rng)
    clean = ops.linear(x, matrix)[0]
    x[1, 300] = np.nan
    y = ops.linear(x, matrix)[0]
    assert np.isnan(y[1]).all()
    np.testing.assert_array_equal(y[[0, 2]], clean[[0, 2]])


@pytest.mark.parametrize("cols", [32, 64, 640])
def test_activations_are_quantised_as_the_reference_says(target, cols, rng):
    x = activations(1, cols, rng)[0]
    x[:5] = x[7]  # equal magnitudes: the lowest columns are the outliers
    x[5] = -x[7]
    codes, scale, at, kept = _native.quantise(x, False)
    expected = reference.quantise_activations(x[None])
    np.testing.assert_array_equal(at, expected.outlier_at[0])
    np.testing.assert_array_equal(kept, x[at])
    np.testing.assert_array_equal(codes, expected.codes[0])
    np.testing.assert_array_equal(scale, expected.scale[0])


def test_a_group_of_zeros_has_scale_zero(target):
    codes, scale, _, _ = _native.quantise(np.zeros(64, np.float32), False)
    assert not codes.any()
    assert not scale.any()


def test_embed_takes_rows_and_scales_them(target, rng):
    data, w = stored(TensorType.Q8_0, ROWS, COLS, rng)
    matrix = ops.Matrix(int(TensorType.Q8_0), data, ROWS, COLS, wide=False)
    tokens = np.array([0, 40, 3, 3], np.int32)
    np.testing.assert_array_equal(ops.embed(matrix, tokens, 25.0), w[tokens] * np.float32(25))


@pytest.mark.parametrize("token", [-1, ROWS])
def test_embed_refuses_a_token_outside_the_table(token, rng):
    data, _ = stored(TensorType.Q8_0, ROWS, COLS, rng)
    matrix = ops.Matrix(int(TensorType.Q8_0), data, ROWS, COLS, wide=False)
    with pytest.raises(ValueError, match="outside the vocabulary"):
        ops.embed(matrix, np.array([token], np.int32), 1.0)


def test_data_of_another_size_is_refused(rng):
    data, _ = stored(TensorType.Q4_0, 16, 64, rng)
    with pytest.raises(ValueError, match="size"):
        ops.Matrix(int(TensorType.Q4_0), data[:-1], 16, 64, wide=False)
    with pytest.raises(ValueError, match="whole number of blocks"):
        ops.Matrix(int(TensorType.Q4_0), data, 16, 65, wide=False)
    with pytest.raises(ValueError, match="tensor type 77"):
        ops.Matrix(77, data, 16, 64, wide=False)


def test_a_matrix_of_several_slabs_is_packed_whole_and_each_slab_is_handed_back(monkeypatch, rng):
    monkeypatch.setattr("gemwright.ops.matrix.SLAB_BYTES", 3000)
    data, w = stored(TensorType.Q4_0, 100, 64, rng)
    parts = []
    matrix = ops.Matrix(int(TensorType.Q4_0), data, 100, 64, wide=False, done_with=parts.append)
    np.testing.assert_array_equal(matrix.to_f32(), w)
    assert len(parts) > 1
    np.testing.assert_array_equal(np.concatenate(parts), data)


@pytest.mark.parametrize("tokens", [1, 9, 150])
@pytest.mark.parametrize("rows", [16, 41])
@pytest.mark.parametrize("kinds", [(TensorType.Q5_0, TensorType.Q6_K), (TensorType.BF16, TensorType.Q4_0)], ids=str)
def test_a_gated_pair_is_bit_for_bit_its_parts(target, kinds, rows, tokens, rng):
    x = activations(tokens, COLS, rng)
    gate, up = (ops.Matrix(int(k), random_tensor(k, rows, COLS, rng), rows, COLS, wide=False) for k in kinds)
    np.testing.assert_array_equal(ops.linear_geglu(x, gate, up), ops.geglu_mul(*ops.linear(x, gate, up)))


@pytest.mark.parametrize("kind", [TensorType.BF16, TensorType.Q5_0], ids=str)
def test_no_tokens_have_no_products(kind, rng):
    data, _ = stored(kind, ROWS, COLS, rng)
    matrix = ops.Matrix(int(kind), data, ROWS, COLS, wide=False)
    nothing = np.empty((0, COLS), np.float32)
    assert ops.linear(nothing, matrix)[0].shape == ops.linear_geglu(nothing, matrix, matrix).shape == (0, ROWS)
