"""The quantiser of weights: exact on grids, never worse than the plain way, the same bits however it is run."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from gemwright import ops
from gemwright.weights import TensorType, dequantize

SEED = 20261125
F32 = npt.NDArray[np.float32]
QUANTISED = (TensorType.Q4_0, TensorType.Q5_0, TensorType.Q8_0, TensorType.Q4_K)


@pytest.fixture(autouse=True)
def _threads_as_they_were() -> Any:
    threads = ops.threads()
    yield
    ops.set_threads(threads)


def to_bf16(values: F32) -> F32:
    """Rounded to nearest, ties to even."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    return ((bits + (0x7FFF + (bits >> 16 & 1))) & 0xFFFF0000).astype(np.uint32).view(np.float32)


def stored(values: F32, kind: TensorType) -> npt.NDArray[np.uint8]:
    """The bytes of `values`, which must be exact in `kind`."""
    if kind is TensorType.BF16:
        return (np.ascontiguousarray(values).view(np.uint32) >> 16).astype("<u2").view(np.uint8).reshape(-1)
    return values.astype("<f2" if kind is TensorType.F16 else "<f4").view(np.uint8).reshape(-1)


def quantised(values: F32, to: TensorType, source: TensorType = TensorType.F32) -> F32:
    """`values` after a round trip."""
    blocks, bad = ops.requantise(stored(values, source), int(source), int(to))
    assert bad == -1
    assert blocks.size == values.size // to.block_values * to.block_bytes
    return dequantize(to, blocks).reshape(values.shape)


def plain(values: F32, to: TensorType) -> F32:
    """What quantising without a search gives: the scale from the largest magnitude (q4_k: from the range)."""
    groups = values.reshape(-1, 32)
    if to is TensorType.Q4_K:
        return _plain_q4_k(groups).reshape(values.shape)
    low, high = {TensorType.Q4_0: (-8, 7), TensorType.Q5_0: (-16, 15), TensorType.Q8_0: (-127, 127)}[to]
    extreme = groups[np.arange(len(groups)), np.abs(groups).argmax(axis=1)]
    scale = (extreme / np.float32(low)).astype(np.float16).astype(np.float32)[:, None]
    inverse = np.divide(np.float32(1), scale, out=np.zeros_like(scale), where=scale != 0)
    return (scale * np.clip(np.rint(groups * inverse), low, high)).reshape(values.shape)


def _plain_q4_k(groups: F32) -> F32:
    low, high = np.minimum(groups.min(axis=1), 0), np.maximum(groups.max(axis=1), 0)
    scale, minimum = ((high - low) / 15).reshape(-1, 8), -low.reshape(-1, 8)

    def six_bits(x: F32) -> F32:
        unit = (x.max(axis=1) / np.float32(63)).astype(np.float16).astype(np.float32)[:, None]
        whole = np.clip(np.rint(np.divide(x, unit, out=np.zeros_like(x), where=unit != 0)), 0, 63)
        return (unit * whole).reshape(-1, 1)

    s, m = six_bits(scale), six_bits(minimum)
    inverse = np.divide(np.float32(1), s, out=np.zeros_like(s), where=s != 0)
    return s * np.clip(np.rint((groups + m) * inverse), 0, 15) - m


def samples() -> dict[str, F32]:
    rng = np.random.default_rng(SEED)
    shape = (24, 768)
    return {
        "normal": (rng.normal(size=shape) * 0.02).astype(np.float32),
        "heavy tails": (rng.standard_t(3, size=shape) * 0.02).astype(np.float32),
        "one sign": rng.uniform(0.5, 1.5, size=shape).astype(np.float32),
        "mostly zero": np.where(rng.random(shape) < 0.9, 0, rng.normal(size=shape)).astype(np.float32),
        "tiny": (rng.normal(size=shape) * 1e-7).astype(np.float32),
        "huge": (rng.normal(size=shape) * 50_000).astype(np.float32),
        "zero": np.zeros(shape, np.float32),
    }


@pytest.mark.parametrize("to", QUANTISED, ids=lambda kind: kind.name)
@pytest.mark.parametrize("name", samples())
def test_no_block_is_worse_than_without_a_search(name: str, to: TensorType) -> None:
    values = samples()[name]
    errors = [
        np.square((values - made(values, to)).reshape(-1, to.block_values).astype(np.float64)).sum(axis=1)
        for made in (quantised, plain)
    ]
    assert (errors[0] <= errors[1] * (1 + 1e-5) + 1e-30).all()


@pytest.mark.parametrize(
    ("to", "most"),
    [(TensorType.Q4_0, 0.95), (TensorType.Q5_0, 0.98), (TensorType.Q4_K, 0.96)],
    ids=lambda value: getattr(value, "name", ""),
)
def test_the_search_pays_on_ordinary_weights(to: TensorType, most: float) -> None:
    """Root mean square error against the plain way, on normally distributed weights."""
    values = samples()["normal"]
    ours, theirs = (np.linalg.norm(values - made(values, to)) for made in (quantised, plain))
    assert ours <= most * theirs


@pytest.mark.parametrize("kind", [TensorType.BF16, TensorType.F16, TensorType.F32], ids=lambda kind: kind.name)
def test_weights_trained_on_a_q4_0_grid_are_recognised_and_come_back_exactly(kind: TensorType) -> None:
    """Either sign of scale, extremes at -8 or below, zero blocks; rounded to the type they are stored in."""
    rng = np.random.default_rng(SEED)
    scales = (rng.uniform(2e-4, 0.3, 4096) * rng.choice([-1, 1], 4096)).astype(np.float16).astype(np.float32)
    codes = rng.integers(-8, 8, (4096, 32)).astype(np.float32)
    codes[:500] = rng.integers(-7, 8, (500, 32))
    codes[500:600] = rng.integers(-1, 2, (100, 32))
    codes[600:650] = 0
    exact = scales[:, None] * codes
    rounded = {
        TensorType.BF16: to_bf16,
        TensorType.F16: lambda x: x.astype(np.float16).astype(np.float32),
        TensorType.F32: lambda x: x,
    }[kind]
    values = rounded(exact)
    assert ops.is_on_q4_0_grid(stored(values, kind), int(kind))
    found = quantised(values, TensorType.Q4_0, kind)
    assert np.array_equal(rounded(found), values)
    if kind is TensorType.F32:
        assert np.array_equal(found, exact)


def test_scales_that_bf16_holds_give_every_value_back_bit_for_bit() -> None:
    rng = np.random.default_rng(SEED)
    scales = to_bf16(rng.uniform(1e-3, 0.2, (2048, 1)).astype(np.float32)) * 0 + np.float32(2.0) ** rng.integers(
        -9, -2, (2048, 1)
    ).astype(np.float32) * rng.integers(8, 16, (2048, 1)).astype(np.float32)
    values = scales * rng.integers(-8, 8, (2048, 32)).astype(np.float32)
    assert np.array_equal(to_bf16(values), values), "the test's values are not exact in bf16"
    assert np.array_equal(quantised(values, TensorType.Q4_0, TensorType.BF16), values)


def test_one_value_off_the_grid_is_noticed() -> None:
    values = np.float32(0.5) * np.random.default_rng(SEED).integers(-8, 8, (64, 256)).astype(np.float32)
    assert ops.is_on_q4_0_grid(stored(values, TensorType.BF16), int(TensorType.BF16))
    values[40, 77] = 0.3125
    assert not ops.is_on_q4_0_grid(stored(values, TensorType.BF16), int(TensorType.BF16))


def test_a_code_of_plus_eight_is_not_on_the_grid() -> None:
    values = np.zeros((1, 32), np.float32)
    values[0, :3] = (8.0, -8.0, 1.0)
    assert not ops.is_on_q4_0_grid(stored(values, TensorType.F32), int(TensorType.F32))


@pytest.mark.parametrize("to", [*QUANTISED, TensorType.BF16, TensorType.F16], ids=lambda kind: kind.name)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_the_place_of_the_first_value_that_is_no_number_is_reported(to: TensorType, value: float) -> None:
    values = np.random.default_rng(SEED).normal(size=(64, 256)).astype(np.float32)
    values.reshape(-1)[[12_345, 16_000]] = value
    for threads in (1, 2, 3):
        ops.set_threads(threads)
        assert ops.requantise(values.view(np.uint8).reshape(-1), int(TensorType.F32), int(to))[1] == 12_345


@pytest.mark.parametrize("to", [*QUANTISED, TensorType.F16], ids=lambda kind: kind.name)
def test_what_no_float16_scale_can_reach_is_reported_not_clipped(to: TensorType) -> None:
    values = np.zeros(256, np.float32)
    values[7] = 1e6
    assert ops.requantise(values.view(np.uint8), int(TensorType.F32), int(to))[1] == 7


def test_float32_is_rounded_to_bf16_to_the_nearest_and_ties_to_even() -> None:
    values = np.concatenate([samples()["heavy tails"].reshape(-1), np.float32([1.00390625, 1.01171875, -0.0, 1e-40])])
    blocks, bad = ops.requantise(values.view(np.uint8), int(TensorType.F32), int(TensorType.BF16))
    assert bad == -1
    assert np.array_equal(dequantize(TensorType.BF16, blocks).view(np.uint32), to_bf16(values).view(np.uint32))


GOLDEN = {
    TensorType.Q4_0: "782344b646957bdb053092b5bbe4a673fb4ada898324faff6b10e7e38d94d880",
    TensorType.Q5_0: "93425b56c92ba9fa55a17e22f21720fb71bfd676fa54da0a6598af8a5c5a9142",
    TensorType.Q8_0: "f1e5d8a75c3e6ecd651580658c2122e71e2caf7683c877ce52560e1b4e0f6e2e",
    TensorType.Q4_K: "61c68613900409bfa1e3dfee8168e34026922f8120328aad5f585e91bd018abc",
}
"""SHA-256 of the blocks of `whole_numbers()`; AVX2 and baseline code, with -O1 and -O3, gave the same."""


def whole_numbers() -> F32:
    """Bell-shaped values that no mathematical library has a hand in."""
    draws = np.random.default_rng(SEED).integers(-4000, 4001, (4, 64 * 768)).sum(axis=0)
    return draws.astype(np.float32) / np.float32(1 << 18)


@pytest.mark.parametrize("to", QUANTISED, ids=lambda kind: kind.name)
def test_the_bits_are_the_same_on_any_number_of_threads_and_any_machine(to: TensorType) -> None:
    values = whole_numbers()
    digests = set()
    for threads in (1, 2, 3):
        ops.set_threads(threads)
        blocks, bad = ops.requantise(values.view(np.uint8).reshape(-1), int(TensorType.F32), int(to))
        assert bad == -1
        digests.add(hashlib.sha256(blocks.tobytes()).hexdigest())
    assert digests == {GOLDEN[to]}


def test_types_that_are_too_coarse_already_are_refused() -> None:
    with pytest.raises(ValueError, match="not between these types"):
        ops.requantise(np.zeros(210, np.uint8), int(TensorType.Q6_K), int(TensorType.Q4_0))
    with pytest.raises(ValueError, match="whole number of blocks"):
        ops.requantise(np.zeros(128, np.uint8), int(TensorType.F32), int(TensorType.Q4_K))
