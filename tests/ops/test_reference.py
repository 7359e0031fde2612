"""The reference ops against formulas written another way: scalar loops in double precision, and known values."""

from __future__ import annotations

import math

import numpy as np
import pytest

from gemwright.ops import reference


def normal(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.normal(size=shape).astype(np.float32)


def test_embed_takes_rows_and_scales_them(rng: np.random.Generator) -> None:
    table = normal(rng, 5, 3)
    y = reference.embed(table, np.array([4, 0, 4], np.int32), scale=2.0)
    assert y.dtype == np.float32
    np.testing.assert_array_equal(y, [table[4] * 2, table[0] * 2, table[4] * 2])


def test_linear_is_a_dot_product_for_every_output(rng: np.random.Generator) -> None:
    x, w = normal(rng, 3, 7), normal(rng, 5, 7)
    expected = [[math.fsum(float(a) * float(b) for a, b in zip(row, out, strict=True)) for out in w] for row in x]
    np.testing.assert_allclose(reference.linear(x, w), expected, rtol=1e-5, atol=1e-6)


def test_rms_norm_leaves_a_root_mean_square_of_one(rng: np.random.Generator) -> None:
    x = normal(rng, 2, 3, 11) * 50
    y = reference.rms_norm(x, np.ones(11, np.float32), eps=0.0)
    np.testing.assert_allclose(np.sqrt(np.mean(y**2, axis=-1)), 1.0, rtol=1e-6)


def test_rms_norm_adds_eps_to_the_mean_square_and_multiplies_by_the_scale() -> None:
    y = reference.rms_norm(np.array([[3.0, 4.0]], np.float32), np.array([1.0, -2.0], np.float32), eps=0.5)
    np.testing.assert_allclose(y, [[3 / math.sqrt(13), -8 / math.sqrt(13)]], rtol=1e-6)


def test_rope_is_multiplication_by_a_complex_number_of_length_one(rng: np.random.Generator) -> None:
    positions, dim, base, factor = np.array([0, 1, 7, 30_000], np.int32), 10, 10_000.0, 8.0
    x = normal(rng, len(positions), 3, dim)
    y = reference.rope(x, reference.rope_table(positions, dim, base, factor))
    for t, position in enumerate(positions):
        for h in range(dim // 2):
            turn = complex(math.cos(a := position / factor / base ** (2 * h / dim)), math.sin(a))
            pair = (x[t, :, h] + 1j * x[t, :, h + dim // 2]) * turn
            np.testing.assert_allclose(y[t, :, h], pair.real, atol=1e-6)
            np.testing.assert_allclose(y[t, :, h + dim // 2], pair.imag, atol=1e-6)
    np.testing.assert_array_equal(y[0], x[0])


def test_scores_after_rope_depend_on_the_distance_only(rng: np.random.Generator) -> None:
    q, k = normal(rng, 1, 1, 16), normal(rng, 1, 1, 16)

    def score(q_at: int, k_at: int) -> float:
        turned = [
            reference.rope(x, reference.rope_table(np.array([at], np.int32), 16, 1e4))
            for x, at in ((q, q_at), (k, k_at))
        ]
        return float(np.sum(turned[0] * turned[1]))

    assert score(9, 4) == pytest.approx(score(1009, 1004), abs=1e-5)
    assert score(9, 4) != pytest.approx(score(9, 3), abs=1e-3)


def test_geglu_is_the_tanh_gelu_times_up() -> None:
    for gate in (-12.0, -3.0, -0.5, 0.0, 1e-4, 0.7, 4.0, 20.0):
        inner = math.sqrt(2 / math.pi) * (gate + 0.044715 * gate**3)
        expected = 0.5 * gate * (1 + math.tanh(inner)) * 1.5
        y = reference.geglu_mul(np.array([gate], np.float32), np.array([1.5], np.float32))
        assert y.dtype == np.float32
        assert float(y[0]) == pytest.approx(expected, rel=1e-5, abs=1e-6)


def test_softmax_sums_to_one_and_ignores_what_is_masked() -> None:
    y = reference.softmax(np.array([[1000.0, 1000.0, -np.inf], [0.0, math.log(3.0), -np.inf]], np.float32))
    np.testing.assert_allclose(y, [[0.5, 0.5, 0.0], [0.25, 0.75, 0.0]], rtol=1e-6)


@pytest.mark.parametrize("window", [None, 1, 2, 4, 100])
@pytest.mark.parametrize("softcap", [None, 2.0])
@pytest.mark.parametrize(("heads", "kv_heads"), [(4, 1), (4, 2), (3, 3)])
def test_attend_is_a_weighted_mean_over_the_keys_in_sight(
    rng: np.random.Generator, heads: int, kv_heads: int, softcap: float | None, window: int | None
) -> None:
    keys, dim, scale = 6, 5, 0.7
    q_positions, k_positions = np.array([3, 4, 5], np.int32), np.arange(keys, dtype=np.int32)
    q, k, v = normal(rng, 3, heads, dim), normal(rng, keys, kv_heads, dim), normal(rng, keys, kv_heads, dim)
    y = reference.attend(q, k, v, q_positions, k_positions, scale, window, softcap)
    assert y.shape == q.shape
    for t, at in enumerate(q_positions):
        for n in range(heads):
            kv = n * kv_heads // heads
            total, mean = 0.0, np.zeros(dim)
            for s in range(max(0, at - (window or keys) + 1), at + 1):
                score = scale * float(np.dot(q[t, n].astype(float), k[s, kv].astype(float)))
                score = softcap * math.tanh(score / softcap) if softcap else score
                total += math.exp(score)
                mean += math.exp(score) * v[s, kv]
            np.testing.assert_allclose(y[t, n], mean / total, rtol=1e-4, atol=1e-6)


def test_add_adds() -> None:
    np.testing.assert_array_equal(reference.add(np.float32([1, 2]), np.float32([10, 20])), np.float32([11, 22]))


def test_argmax_and_top_k_prefer_the_lowest_index_among_equals() -> None:
    row = np.float32([1, 5, 3, 5, -2, 3])
    assert reference.argmax(row) == 1
    ids, values = reference.top_k(row, 4)
    assert ids.tolist() == [1, 3, 2, 5]
    assert values.tolist() == [5, 5, 3, 3]


@pytest.mark.parametrize("poison", [np.nan, np.inf, -np.inf])
def test_argmax_of_a_row_that_is_not_finite_is_no_token(poison: float) -> None:
    assert reference.argmax(np.float32([1, poison, 9])) == -1


def test_log_sum_exp_turns_logits_into_log_probabilities() -> None:
    assert reference.log_sum_exp(np.float32([0, 0, 0, 0])) == pytest.approx(math.log(4))
    assert reference.log_sum_exp(np.float32([1000, 1000])) == pytest.approx(1000 + math.log(2))


def test_quantised_activations_keep_outliers_exactly_and_the_rest_within_half_a_step(rng: np.random.Generator) -> None:
    x = normal(rng, 6, 96) * np.exp(normal(rng, 6, 96) * 2).astype(np.float32)
    quantised = reference.quantise_activations(x)
    back = quantised.to_f32()
    for t in range(len(x)):
        largest = sorted(sorted(range(96), key=lambda i: (-abs(x[t, i]), i))[: reference.outliers_of(96)])
        assert quantised.outlier_at[t].tolist() == largest
        for i in range(96):
            if i in largest:
                assert back[t, i] == x[t, i]
                assert quantised.codes[t, i] == 0
            else:
                group = [x[t, j] for j in range(i // 32 * 32, i // 32 * 32 + 32) if j not in largest]
                assert abs(back[t, i] - x[t, i]) <= max(map(abs, group)) / 127 * 0.5001
    assert np.abs(quantised.codes).max() == 127


def test_equal_magnitudes_make_the_lowest_columns_outliers() -> None:
    x = np.ones((1, 64), np.float32) * np.where(np.arange(64) % 2, 1, -1).astype(np.float32)
    assert reference.quantise_activations(x).outlier_at[0].tolist() == list(range(reference.outliers_of(64)))


def test_codes_are_rounded_half_to_even() -> None:
    x = np.zeros((1, 32), np.float32)
    x[0, :5] = [127.0, 0.5, 1.5, 2.5, -0.5]
    assert reference.quantise_activations(x, outliers=0).codes[0, :5].tolist() == [127, 0, 2, 2, 0]


@pytest.mark.parametrize("tiny", [0.0, 1e-40, 1e-37])
def test_a_group_too_small_for_a_scale_is_zeros_and_never_nan(tiny: float) -> None:
    quantised = reference.quantise_activations(np.full((2, 64), tiny, np.float32))
    assert not quantised.codes.any()
    assert np.isfinite(quantised.scale).all()
    assert np.abs(quantised.to_f32()).max() <= np.float32(tiny)


def test_linear_int16_is_a_hundred_times_nearer_than_int8_without_outliers(rng: np.random.Generator) -> None:
    x, w = normal(rng, 8, 64), normal(rng, 16, 64)
    exact = x.astype(np.float64) @ w.T.astype(np.float64)
    fine, coarse = (
        np.abs(y - exact).max() for y in (reference.linear_int16(x, w), reference.linear_int8(x, w, outliers=0))
    )
    assert coarse > 100 * fine


def test_sixteen_bit_codes_are_a_hundred_times_finer(rng: np.random.Generator) -> None:
    x = normal(rng, 4, 64)
    eight = np.abs(reference.quantise_activations(x, outliers=0).to_f32() - x).max()
    sixteen = np.abs(reference.quantise_activations(x, limit=reference.WIDE_LIMIT, outliers=0).to_f32() - x).max()
    assert sixteen < eight / 100


def test_linear_int8_is_off_by_half_a_step_of_every_column_at_most(rng: np.random.Generator) -> None:
    x, w = normal(rng, 8, 64), normal(rng, 16, 64)
    exact = reference.linear(x, w)
    half_steps = np.repeat(reference.quantise_activations(x).scale / 2, reference.GROUP, axis=1)
    assert (np.abs(reference.linear_int8(x, w) - exact) <= half_steps @ np.abs(w).T + 1e-4).all()


def test_outliers_kept_exact_make_linear_int8_ten_times_nearer(rng: np.random.Generator) -> None:
    x, w = normal(rng, 8, 64), normal(rng, 16, 64)
    x[:, [3, 40]] *= 100  # two channels that would take the whole range of their groups
    exact = reference.linear(x, w)
    kept, lost = (np.abs(reference.linear_int8(x, w, outliers=n) - exact).max() for n in (None, 0))
    assert lost > 10 * kept
