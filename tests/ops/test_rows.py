"""Operations on single rows against their NumPy meaning, on every target, past every vector width."""

from __future__ import annotations

import numpy as np
import pytest

from gemwright import ops
from gemwright.ops import reference

SIZES = [1, 7, 8, 9, 15, 16, 17, 31, 32, 33, 48, 640, 1152]


@pytest.mark.parametrize("cols", SIZES)
def test_rms_norm_is_the_reference(target, cols, rng):
    x, scale = rng.normal(size=(3, cols)).astype(np.float32) * 30, rng.normal(size=cols).astype(np.float32)
    np.testing.assert_allclose(ops.rms_norm(x, scale, 1e-6), reference.rms_norm(x, scale, 1e-6), rtol=1e-5, atol=1e-6)


def test_rms_norm_takes_heads(target, rng):
    x, scale = rng.normal(size=(5, 4, 24)).astype(np.float32), rng.normal(size=24).astype(np.float32)
    np.testing.assert_allclose(ops.rms_norm(x, scale, 1e-6), reference.rms_norm(x, scale, 1e-6), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("head_dim", [2, 6, 16, 32, 34, 64, 256])
def test_rope_is_the_reference(target, head_dim, rng):
    positions = np.array([0, 1, 511, 131_071], np.int32)
    x = rng.normal(size=(4, 3, head_dim)).astype(np.float32)
    for base, stretch in ((10_000.0, 1.0), (1_000_000.0, 8.0)):
        y = ops.rope(x, ops.rope_table(positions, head_dim, base, stretch))
        expected = reference.rope(x, reference.rope_table(positions, head_dim, base, stretch))
        np.testing.assert_allclose(y, expected, rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("cols", SIZES)
def test_geglu_is_the_reference(target, cols, rng):
    gate, up = (rng.normal(size=(2, cols)).astype(np.float32) * 4 for _ in range(2))
    g = gate.astype(np.float64)  # float32 would lose what 1 + tanh cancels
    exact = g / (1 + np.exp(-2 * np.sqrt(2 / np.pi) * (g + 0.044715 * g**3))) * up
    np.testing.assert_allclose(
        ops.geglu_mul(gate, up), exact, rtol=2e-5, atol=1e-30
    )  # the argument of exp carries 80 units
    np.testing.assert_allclose(reference.geglu_mul(gate, up), exact, rtol=1e-3, atol=1e-5)


def test_geglu_survives_huge_gates(target):
    gate = np.array([[-1e5, -88, -20, -1e-20, 0, 1e-20, 20, 88, 1e5]], np.float32)
    y = ops.geglu_mul(gate, np.ones_like(gate))
    np.testing.assert_allclose(y, [[0, 0, 0, -5e-21, 0, 5e-21, 20, 88, 1e5]], atol=1e-30, rtol=1e-6)


@pytest.mark.parametrize("cols", SIZES)
def test_add_adds(target, cols, rng):
    a, b = (rng.normal(size=(3, cols)).astype(np.float32) for _ in range(2))
    np.testing.assert_array_equal(ops.add(a, b), a + b)


@pytest.mark.parametrize("cols", SIZES)
def test_softcap_is_the_reference(target, cols, rng):
    x = rng.normal(size=(3, cols)).astype(np.float32) * 60
    y = ops.softcap(x, 30.0)
    np.testing.assert_allclose(y, reference.softcap(x, 30.0), atol=3e-5)
    assert (np.abs(y) <= 30).all()


@pytest.mark.parametrize("cols", SIZES)
def test_softmax_is_the_reference(target, cols, rng):
    x = rng.normal(size=(3, cols)).astype(np.float32) * 9
    np.testing.assert_allclose(ops.softmax(x), reference.softmax(x), rtol=1e-5, atol=1e-30)


@pytest.mark.parametrize("cols", SIZES)
def test_sparsify_is_the_reference(target, cols, rng):
    x = rng.normal(size=(3, cols)).astype(np.float32) * 4 + 3
    for deviations in (-1.0, 0.0, 1.6448536):
        y = ops.sparsify(x, deviations)
        np.testing.assert_allclose(y, reference.sparsify(x, deviations), rtol=1e-4, atol=1e-5)
    assert not ops.sparsify(x, 100.0).any()
    if cols > 1:
        assert ops.sparsify(x, 0.0).any()


@pytest.mark.parametrize("cols", SIZES)
def test_mean_square_is_the_reference(target, cols, rng):
    x = rng.normal(size=(5, cols)).astype(np.float32) * 4
    np.testing.assert_allclose(ops.mean_square(x), reference.mean_square(x), rtol=1e-5)


@pytest.mark.parametrize("cols", SIZES)
@pytest.mark.parametrize(("outputs", "inputs"), [(4, 4), (1, 3), (2, 1)])
def test_mix_and_spread_are_the_reference(target, cols, outputs, inputs, rng):
    x = rng.normal(size=(5, inputs, cols)).astype(np.float32)
    factor = rng.normal(size=(5, outputs, inputs)).astype(np.float32)
    np.testing.assert_allclose(ops.mix(x, factor), reference.mix(x, factor), rtol=1e-5, atol=1e-5)
    shares, change = rng.normal(size=(5, inputs)).astype(np.float32), rng.normal(size=(5, cols)).astype(np.float32)
    np.testing.assert_allclose(ops.spread(x, shares, change), reference.spread(x, shares, change), atol=1e-5)


def test_operations_on_streams_refuse_what_does_not_fit(rng):
    x = rng.normal(size=(5, 4, 8)).astype(np.float32)
    with pytest.raises(ValueError, match="do not fit"):
        ops.mix(x, np.zeros((5, 4, 3), np.float32))
    with pytest.raises(ValueError, match="do not fit"):
        ops.spread(x, np.zeros((5, 3), np.float32), x[:, 0].copy())
    with pytest.raises(ValueError, match="positive cap"):
        ops.softcap(x[:, 0].copy(), 0.0)


@pytest.mark.parametrize("turned", [0, 1, 5, 16])
def test_only_the_first_pairs_are_turned(target, turned, rng):
    positions = np.array([0, 7, 9000], np.int32)
    x = rng.normal(size=(3, 2, 32)).astype(np.float32)
    y = ops.rope(x, ops.rope_table(positions, 32, 10_000.0, 1.0, turned))
    table = reference.rope_table(positions, 32, 10_000.0, 1.0, turned)
    np.testing.assert_allclose(y, reference.rope(x, table), rtol=1e-5, atol=2e-6)
    kept = [*range(turned, 16), *range(16 + turned, 32)]
    np.testing.assert_array_equal(y[..., kept], x[..., kept])


@pytest.mark.parametrize("cols", [*SIZES, 262_144])
def test_argmax_takes_the_first_of_equals(target, cols, rng):
    x = rng.normal(size=cols).astype(np.float32)
    for at in {0, cols // 2, cols - 1}:
        y = x.copy()
        y[at:] = 9
        assert ops.argmax(y) == at


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("at", [0, 16, 39])
def test_argmax_refuses_what_is_not_finite(target, at, bad, rng):
    x = rng.normal(size=40).astype(np.float32)
    x[at] = bad
    assert ops.argmax(x) == -1


@pytest.mark.parametrize("cols", [64, 65, 1000, 262_144])
def test_top_k_is_the_stable_sort(target, cols, rng):
    x = rng.normal(size=cols).astype(np.float32).round(2)  # rounding makes many equals
    order = np.lexsort((np.arange(cols), -x))
    for k in (1, 2, 40, 64):
        at, values = ops.top_k(x, k)
        np.testing.assert_array_equal(at, order[:k])
        np.testing.assert_array_equal(values, x[order[:k]])


def test_top_k_of_everything_is_a_sort(target, rng):
    x = rng.normal(size=77).astype(np.float32)
    np.testing.assert_array_equal(ops.top_k(x, 77)[1], np.sort(x)[::-1])


@pytest.mark.parametrize("k", [0, 78])
def test_top_k_refuses_an_impossible_k(k):
    with pytest.raises(ValueError, match="between 1 and"):
        ops.top_k(np.zeros(77, np.float32), k)


@pytest.mark.parametrize("cols", [*SIZES, 262_144])
def test_log_sum_exp_is_the_reference(target, cols, rng):
    x = rng.normal(size=cols).astype(np.float32) * 20
    exact = float(np.log(np.sum(np.exp(x.astype(np.float64) - x.max()))) + x.max())
    assert abs(ops.log_sum_exp(x) - exact) <= 2e-6 * max(1.0, abs(exact))


def test_every_target_gives_the_bits_of_the_scalar_one(target, rng):
    x, y = (rng.normal(size=(5, 333)).astype(np.float32) * 3 for _ in range(2))
    heads = rng.normal(size=(5, 3, 34)).astype(np.float32)
    table = ops.rope_table(np.arange(5, dtype=np.int32), 34, 10_000.0)

    def everything() -> list[object]:
        return [
            ops.rms_norm(x, y[0], 1e-6),
            ops.geglu_mul(x, y),
            ops.rope(heads, table),
            ops.add(x, y),
            ops.log_sum_exp(x[0]),
        ]

    here = everything()
    ops.use_target("scalar")
    for a, b in zip(here, everything(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("n", [6, 16, 40, 256])
def test_fused_rows_are_bit_for_bit_what_their_parts_give(target, n, rng):
    x, y = (rng.normal(size=(5, n)).astype(np.float32) for _ in range(2))
    scale, following = (rng.normal(size=n).astype(np.float32) for _ in range(2))
    total = ops.add(x, ops.rms_norm(y, scale, 1e-6))
    sums, normed = ops.add_norm(x, y, scale, following, 1e-6)
    np.testing.assert_array_equal(sums, total)
    np.testing.assert_array_equal(normed, ops.rms_norm(total, following, 1e-6))

    heads = rng.normal(size=(7, 3, n)).astype(np.float32)
    table = ops.rope_table(np.arange(7, dtype=np.int32), n, 1e4)
    turned = ops.rope(ops.rms_norm(heads, scale, 1e-6), table)
    np.testing.assert_array_equal(ops.norm_rope(heads, scale, 1e-6, table), turned)
