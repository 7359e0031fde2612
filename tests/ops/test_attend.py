"""Attention over the paged cache against whole-sequence NumPy attention."""

from __future__ import annotations

import numpy as np
import pytest

from gemwright import ops
from gemwright.cache import KVCache, LayerShape
from gemwright.ops import reference
from gemwright.step import F32, Step

LENGTH = 700  # more than two spans of 256 keys


FORMATS = list(ops.KVFormat)


def make_cache(
    window: int,
    kv_heads: int,
    head_dim: int,
    *,
    step_tokens: int = LENGTH,
    sequences: int = 3,
    format: ops.KVFormat = ops.KVFormat.F32,
) -> KVCache:
    return KVCache(
        [LayerShape(window, kv_heads, head_dim)],
        capacity_tokens=3 * 768,
        max_step_tokens=step_tokens,
        max_sequences=sequences,
        format=format,
    )


def stored(x: F32, format: ops.KVFormat) -> F32:
    """Keys or values [S, K, H] as the cache keeps them."""
    if format == ops.KVFormat.F32:
        return x
    if format == ops.KVFormat.F16:
        return x.astype(np.float16).astype(np.float32)
    amax = np.abs(x).max(axis=2, keepdims=True)
    return np.rint(x * (np.float32(127) / amax)) * (amax / np.float32(127))


def run(cache: KVCache, q: F32, k: F32, v: F32, slots: np.ndarray, positions: np.ndarray, softcap: float = 0.0) -> F32:
    step = Step(np.zeros(len(q), np.int32), positions.astype(np.int32), slots.astype(np.int32))
    ops.cache_write(cache.layer(0), step, k, v)
    return ops.attend(q, cache.layer(0), step, 0.25, softcap)


def in_chunks(cache: KVCache, size: int, q: F32, k: F32, v: F32, softcap: float = 0.0) -> F32:
    slot, parts = cache.open(len(q)), []
    for i in range(0, len(q), size):
        n = len(q[i : i + size])
        parts.append(
            run(cache, q[i : i + n], k[i : i + n], v[i : i + n], np.full(n, slot), np.arange(i, i + n), softcap)
        )
    cache.close(slot)
    return np.concatenate(parts)


def qkv(rng: np.random.Generator, length: int, heads: int, kv_heads: int, head_dim: int) -> tuple[F32, F32, F32]:
    q = rng.normal(size=(length, heads, head_dim)).astype(np.float32)
    k, v = (rng.normal(size=(length, kv_heads, head_dim)).astype(np.float32) for _ in range(2))
    return q, k, v


@pytest.mark.parametrize("softcap", [0.0, 5.0])
@pytest.mark.parametrize("window", [0, 1, 8, 33, 512])
@pytest.mark.parametrize(("heads", "kv_heads", "head_dim"), [(4, 1, 16), (3, 3, 6), (8, 2, 40), (2, 1, 256)])
def test_attend_is_the_reference(target, heads, kv_heads, head_dim, window, softcap, rng):
    length = LENGTH if target != "scalar" else 300
    q, k, v = qkv(rng, length, heads, kv_heads, head_dim)
    positions = np.arange(length)
    y = in_chunks(make_cache(window, kv_heads, head_dim), length, q, k, v, softcap)
    expected = reference.attend(q, k, v, positions, positions, 0.25, window or None, softcap or None)
    np.testing.assert_allclose(y, expected, rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("window", [0, 1, 40, 300])
def test_a_reach_lets_tokens_see_what_follows_them(target, window, rng):
    length = 600 if target != "scalar" else 290
    q, k, v = qkv(rng, length, 4, 2, 24)
    positions = np.arange(length)
    reach = np.minimum(positions + rng.integers(0, 400, length), length - 1).astype(np.int32)
    cache = make_cache(window, 2, 24)
    slot = cache.open(length)
    step = Step(np.zeros(length, np.int32), positions.astype(np.int32), np.full(length, slot, np.int32))
    ops.cache_write(cache.layer(0), step, k, v)
    y = ops.attend(q, cache.layer(0), step, 0.25, reach=reach)
    expected = reference.attend(q, k, v, positions, positions, 0.25, window or None, reach=reach)
    np.testing.assert_allclose(y, expected, rtol=2e-4, atol=2e-5)
    own = ops.attend(q, cache.layer(0), step, 0.25, reach=step.positions)
    np.testing.assert_array_equal(own, ops.attend(q, cache.layer(0), step, 0.25))


def test_a_reach_that_cannot_be_is_refused(rng):
    cache = make_cache(0, 1, 16)
    slot = cache.open(40)
    q, k, v = qkv(rng, 2, 2, 1, 16)
    step = Step(np.zeros(2, np.int32), np.arange(2, dtype=np.int32), np.full(2, slot, np.int32))
    ops.cache_write(cache.layer(0), step, k, v)
    for reach, words in (([0, 0], "sees itself"), ([1, 700], "page"), ([1], "as long as slots")):
        with pytest.raises(ValueError, match=words):
            ops.attend(q, cache.layer(0), step, 1.0, reach=np.array(reach, np.int32))


@pytest.mark.parametrize("format", FORMATS, ids=lambda f: f.name)
@pytest.mark.parametrize("window", [0, 40])
def test_attend_sees_keys_and_values_rounded_to_the_format(target, format, window, rng):
    q, k, v = qkv(rng, 300, 8, 2, 40)
    positions = np.arange(len(q))
    y = in_chunks(make_cache(window, 2, 40, format=format), 100, q, k, v)
    expected = reference.attend(q, stored(k, format), stored(v, format), positions, positions, 0.25, window or None)
    np.testing.assert_allclose(y, expected, rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("value", [0.0, -0.0, 6e-8, -3e-8, 1e-7, 6.1e-5, 1.0, 1.0004885, 1.0014649, 65519.0, -7e4])
def test_half_precision_values_are_rounded_to_even_on_every_target(target, value, rng):
    q, k, v = qkv(rng, 1, 1, 1, 16)
    v[:] = value
    y = in_chunks(make_cache(0, 1, 16, format=ops.KVFormat.F16), 1, q, k, v)
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(y, v.astype(np.float16).astype(np.float32))


@pytest.mark.parametrize("format", FORMATS, ids=lambda f: f.name)
@pytest.mark.parametrize("window", [0, 40, 512])
def test_chunks_and_threads_never_change_a_bit(target, window, format, rng):
    def make_cache(*args, **options):
        return globals()["make_cache"](*args, format=format, **options)

    q, k, v = qkv(rng, 600, 4, 1, 32)
    whole = in_chunks(make_cache(window, 1, 32), 600, q, k, v)
    for size in (1, 7, 32, 100, 333):
        cache = make_cache(window, 1, 32, step_tokens=size)
        np.testing.assert_array_equal(in_chunks(cache, size, q, k, v), whole)
    for threads in (1, 3):
        ops.set_threads(threads)
        np.testing.assert_array_equal(in_chunks(make_cache(window, 1, 32), 600, q, k, v), whole)
        np.testing.assert_array_equal(in_chunks(make_cache(window, 1, 32, step_tokens=64), 64, q, k, v), whole)
    ops.use_target("scalar")
    np.testing.assert_array_equal(in_chunks(make_cache(window, 1, 32), 600, q, k, v), whole)


def test_sequences_in_one_step_do_not_see_each_other(target, rng):
    parts = [qkv(rng, n, 4, 2, 16) for n in (50, 1, 90)]
    alone = [in_chunks(make_cache(24, 2, 16), len(q), q, k, v) for q, k, v in parts]
    cache = make_cache(24, 2, 16)
    slots = np.concatenate([np.full(len(p[0]), cache.open(100)) for p in parts])
    positions = np.concatenate([np.arange(len(p[0])) for p in parts])
    q, k, v = (np.concatenate([p[i] for p in parts]) for i in range(3))
    np.testing.assert_array_equal(run(cache, q, k, v, slots, positions), np.concatenate(alone))


def test_a_reused_page_shows_nothing_of_its_last_owner(target, rng):
    cache = make_cache(0, 1, 16, sequences=1)
    q, k, v = qkv(rng, 70, 2, 1, 16)
    first = in_chunks(cache, 70, q, k, v)
    in_chunks(cache, 70, q, np.full_like(k, 100), np.full_like(v, np.nan))
    np.testing.assert_array_equal(in_chunks(cache, 9, q, k, v), first)


def test_a_ring_smaller_than_the_window_is_refused(rng):
    cache = make_cache(64, 1, 16, step_tokens=1)
    layer = cache.layer(0)
    cache.open(700)
    narrow = ops.PagedLayer(layer.k, layer.v, np.ascontiguousarray(layer.table[:, :1]), 64, layer.format)
    step = Step(np.zeros(1, np.int32), np.array([100], np.int32), np.zeros(1, np.int32))
    with pytest.raises(ValueError, match="ring is smaller"):
        ops.attend(rng.normal(size=(1, 2, 16)).astype(np.float32), narrow, step, 1.0)


def test_a_position_without_a_page_is_refused(rng):
    cache = make_cache(0, 1, 16)
    slot = cache.open(32)
    q, k, v = qkv(rng, 1, 2, 1, 16)
    with pytest.raises(ValueError, match="page"):
        run(cache, q, k, v, np.array([slot]), np.array([32]))
