"""The largest few products, found from half of each weight: exactly those of the full product, on every target."""

from __future__ import annotations

import numpy as np
import pytest

from gemwright import ops
from gemwright.step import F32, I32
from gemwright.weights import TensorType
from support.blocks import random_tensor
from support.grouping import in_chunks
from support.real_model import network, tokens

COLS = 96
ROWS = 1003  # not a whole number of tiles or units


def split(data: np.ndarray, rows: int, cols: int, weigh: F32 | None = None) -> ops.Matrix:
    return ops.Matrix(ops.Q8_0_SPLIT, data, rows, cols, wide=True, weigh=weigh)


def sorted_rows(logits: F32, k: int, below: int) -> tuple[I32, F32]:
    """The definition: by value, largest first, the lowest id first among equals."""
    ids = np.argsort(-logits[:, :below], axis=1, kind="stable")[:, :k].astype(np.int32)
    return ids, np.take_along_axis(logits, ids, axis=1)


@pytest.mark.parametrize("cols", [32, COLS, 2080])  # 2080: more than one panel
def test_a_split_matrix_is_the_matrix(target, cols, rng):
    data = random_tensor(TensorType.Q8_0, 41, cols, rng)
    plain, parted = ops.Matrix(int(TensorType.Q8_0), data, 41, cols, wide=True), split(data, 41, cols)
    np.testing.assert_array_equal(parted.to_f32(), plain.to_f32())
    x = rng.normal(size=(9, cols)).astype(np.float32)
    for count in (1, 2, 9):
        np.testing.assert_array_equal(ops.linear(x[:count], parted)[0], ops.linear(x[:count], plain)[0])
    narrow, parted_narrow = (
        ops.Matrix(kind, data, 41, cols, wide=False) for kind in (int(TensorType.Q8_0), ops.Q8_0_SPLIT)
    )
    for count in (1, 9):
        np.testing.assert_array_equal(ops.linear(x[:count], parted_narrow)[0], ops.linear(x[:count], narrow)[0])


@pytest.mark.parametrize("tokens", [1, 2, 7, 33])
@pytest.mark.parametrize("k", [1, 2, 31, 64])
def test_the_largest_are_those_of_the_full_product(target, k, tokens, rng):
    data = random_tensor(TensorType.Q8_0, ROWS, COLS, rng)
    weigh = rng.normal(size=COLS).astype(np.float32) ** 3
    table = split(data, ROWS, COLS, weigh)
    x = (rng.normal(size=(tokens, COLS)) * weigh).astype(np.float32)
    x[0, 5] = 300  # an outlier outside the columns chosen
    (logits,) = ops.linear(x, table)
    for below in (ROWS, ROWS - 1, 990, 65):
        ids, values = ops.largest(x, table, k, below)
        expected_ids, expected = sorted_rows(logits, k, below)
        np.testing.assert_array_equal(values, expected)
        np.testing.assert_array_equal(ids, expected_ids)


def test_equal_products_come_lowest_row_first(target, rng):
    row = random_tensor(TensorType.Q8_0, 1, COLS, rng)
    data = np.tile(row, 500)
    ids, values = ops.largest(rng.normal(size=(2, COLS)).astype(np.float32), split(data, 500, COLS), 40, 500)
    np.testing.assert_array_equal(ids, np.tile(np.arange(40, dtype=np.int32), (2, 1)))
    assert (values == values[:, :1]).all()


def test_the_smallest_difference_decides(target, rng):
    """Rows that differ in the lowest bit of one code each: the scan sees them all alike."""
    data = np.tile(random_tensor(TensorType.Q8_0, 1, COLS, rng), 256).reshape(256, -1)
    codes = data[:, 2:34]
    codes[np.arange(256), np.arange(256) % 32] ^= 1
    table = split(data.ravel(), 256, COLS)
    x = np.abs(rng.normal(size=(5, COLS))).astype(np.float32)
    (logits,) = ops.linear(x, table)
    for k in (1, 8, 64):
        ids, values = ops.largest(x, table, k, 256)
        expected_ids, expected = sorted_rows(logits, k, 256)
        np.testing.assert_array_equal(ids, expected_ids)
        np.testing.assert_array_equal(values, expected)


def test_a_token_that_is_not_finite_gives_nan_and_spoils_no_other(target, rng):
    data = random_tensor(TensorType.Q8_0, ROWS, COLS, rng)
    table = split(data, ROWS, COLS)
    x = rng.normal(size=(3, COLS)).astype(np.float32)
    clean = ops.largest(x, table, 5, ROWS)
    x[1, 40] = np.nan
    ids, values = ops.largest(x, table, 5, ROWS)
    assert np.isnan(values[1]).all()
    np.testing.assert_array_equal(ids[[0, 2]], clean[0][[0, 2]])


def test_a_weight_that_is_not_finite_is_found_wherever_it_is(target, rng):
    data = random_tensor(TensorType.Q8_0, ROWS, COLS, rng).reshape(ROWS, -1)
    for bad in (np.nan, np.inf):
        spoilt = data.copy()
        spoilt[700, :2] = np.frombuffer(np.float16(bad).tobytes(), np.uint8)
        _, values = ops.largest(
            rng.normal(size=(1, COLS)).astype(np.float32), split(spoilt.ravel(), ROWS, COLS), 3, ROWS
        )
        assert np.isnan(values).all()


def test_zeros_are_products_too(target):
    data = np.zeros(ROWS * COLS // 32 * 34, np.uint8)
    ids, values = ops.largest(np.zeros((1, COLS), np.float32), split(data, ROWS, COLS), 3, ROWS)
    assert ids.tolist() == [[0, 1, 2]]
    assert not values.any()


@pytest.mark.parametrize("columns", [[0] * 24, list(range(1, 25)), [*range(7), 40, *range(32, 40), *range(64, 72)]])
def test_columns_outside_their_group_are_refused(columns):
    table = split(np.zeros(COLS // 32 * 34, np.uint8), 1, COLS)
    with pytest.raises(ValueError, match="columns"):
        table._packed.choose(np.array(columns, np.int32))


@pytest.mark.real
@pytest.mark.parametrize("k", [1, 64])
def test_the_real_head_gives_what_its_full_product_gives(k):
    """On texts of several scripts: tokens whose next one is certain, and tokens where thousands of rows compete."""
    net = network("default")
    for text in ("english", "code", "declaration"):
        ids = tokens(text)[:60]
        hidden = np.ascontiguousarray(in_chunks(net, ids, 60)[::4])
        found, values = net.candidates(hidden, k, 262_144)
        expected_ids, expected = sorted_rows(net.logits(hidden), k, 262_144)
        np.testing.assert_array_equal(found, expected_ids)
        np.testing.assert_array_equal(values, expected)


def test_where_all_rows_are_alike_the_full_product_decides(target, rng):
    """Too many rows to look at twice: another way through the code, the same answer."""
    rows = 4800
    data = np.tile(random_tensor(TensorType.Q8_0, 40, COLS, rng).reshape(40, -1), (rows // 40, 1)).ravel()
    table = split(data, rows, COLS)
    x = rng.normal(size=(3, COLS)).astype(np.float32)
    x[1] = 0
    (logits,) = ops.linear(x, table)
    for k in (1, 64):
        ids, values = ops.largest(x, table, k, rows - 3)
        expected_ids, expected = sorted_rows(logits, k, rows - 3)
        np.testing.assert_array_equal(ids, expected_ids)
        np.testing.assert_array_equal(values, expected)
    x[2, 7] = np.nan
    assert np.isnan(ops.largest(x, table, 5, rows)[1][2]).all()


def test_each_token_of_a_batch_goes_the_way_that_is_its_own(target, rng):
    """One row stands out for the even tokens, for the odd ones thousands compete: neither disturbs the other."""
    rows = 4800
    data = np.tile(random_tensor(TensorType.Q8_0, 40, COLS, rng).reshape(40, -1), (rows // 40, 1))
    blocks = data[1234].reshape(-1, 34)
    blocks[:, :2] = np.frombuffer(np.float16(0.5).tobytes(), np.uint8)
    table = split(data.ravel(), rows, COLS)
    x = rng.normal(size=(6, COLS)).astype(np.float32)
    x[::2] = table.to_f32()[1234] * np.float32(0.1)
    (logits,) = ops.linear(x, table)
    for k in (1, 20):
        ids, values = ops.largest(x, table, k, rows)
        expected_ids, expected = sorted_rows(logits, k, rows)
        np.testing.assert_array_equal(values, expected)
        np.testing.assert_array_equal(ids, expected_ids)
        np.testing.assert_array_equal(ids[::2, 0], [1234] * 3)
