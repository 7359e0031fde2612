"""Which type each matrix gets at a level, and what a level refuses."""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest

from gemwright.errors import NotFinite, UnsupportedModel, UsageError
from gemwright.weights import LEVELS, Checkpoint, Tensor, TensorType, converted, plan_types
from support.blocks import random_tensor

T = TensorType
ROWS = 16


def tensor(kind: TensorType, cols: int, *, on_grid: bool = False) -> Tensor:
    rng = np.random.default_rng(1)
    data = random_tensor(kind, ROWS, cols, rng)
    if on_grid:
        values = rng.integers(-8, 8, (ROWS, cols)).astype(np.float32) * np.float32(0.0625)
        data = {T.F32: values, T.F16: values.astype("<f2"), T.BF16: (values.view(np.uint32) >> 16).astype("<u2")}[kind]
        data = data.view(np.uint8).reshape(-1)
    return Tensor("some.weight", kind, (ROWS, cols), data)


def plan(level: str, **tensors: Tensor) -> dict[str, TensorType]:
    config, named = MappingProxyType({}), MappingProxyType(tensors)
    checkpoint = Checkpoint(Path("toy"), "gguf", "gemma3", config, named, stamps=(), level=level)
    return plan_types(checkpoint, tensors)


@pytest.mark.parametrize(
    ("level", "embed", "wide", "narrow"),
    [
        ("maximum_efficiency", T.Q8_0, T.Q4_K, T.Q5_0),
        ("balanced", T.Q8_0, T.Q8_0, T.Q8_0),
        ("performance", T.BF16, T.BF16, T.BF16),
        ("stored", T.BF16, T.BF16, T.BF16),
    ],
)
def test_bf16_matrices_get_the_types_of_the_level(level: str, embed: T, wide: T, narrow: T) -> None:
    found = plan(level, embed=tensor(T.BF16, 256), o=tensor(T.BF16, 512), q=tensor(T.BF16, 160))
    assert found == {"embed": embed, "o": wide, "q": narrow}


def test_performance_rounds_float32_to_bf16_and_keeps_float16() -> None:
    assert plan("performance", a=tensor(T.F32, 64), b=tensor(T.F16, 64)) == {"a": T.BF16, "b": T.F16}


@pytest.mark.parametrize("kind", [T.F32, T.F16, T.BF16], ids=lambda kind: kind.name)
@pytest.mark.parametrize("level", ["maximum_efficiency", "balanced"])
def test_a_matrix_trained_on_a_q4_0_grid_becomes_q4_0(level: str, kind: TensorType) -> None:
    found = plan(level, q=tensor(kind, 256, on_grid=True), k=tensor(kind, 256))
    assert found["q"] is T.Q4_0
    assert found["k"] is not T.Q4_0


def test_columns_that_no_block_divides_stay_floats() -> None:
    assert plan("maximum_efficiency", a=tensor(T.F32, 40), b=tensor(T.F16, 40)) == {"a": T.BF16, "b": T.F16}


def test_routers_of_streams_stay_in_16_bits() -> None:
    router = {"altup_router": tensor(T.F32, 64)}
    for level in ("maximum_efficiency", "balanced", "performance"):
        assert plan(level, **router) == {"altup_router": T.BF16}
    tensors = {f"{i}.q": tensor(T.Q8_0, 256) for i in range(8)}
    found = plan("maximum_efficiency", **tensors, **{"0.altup_router": tensor(T.Q8_0, 256)})
    assert found == dict.fromkeys(tensors, T.Q4_K) | {"0.altup_router": T.Q8_0}


def test_vectors_are_never_converted() -> None:
    norm = Tensor("norm", T.F32, (64,), np.zeros(256, np.uint8))
    assert all(plan(level, norm=norm) == {"norm": T.F32} for level in LEVELS)


@pytest.mark.parametrize("level", [level for level in LEVELS if level != "maximum_efficiency"])
@pytest.mark.parametrize("kind", [T.Q4_0, T.Q4_K, T.Q5_0, T.Q6_K, T.Q8_0], ids=lambda kind: kind.name)
def test_quantised_weights_stay_as_they_are_stored(level: str, kind: TensorType) -> None:
    assert plan(level, q=tensor(kind, 256), embed=tensor(kind, 256)) == {"q": kind, "embed": kind}


def test_four_bits_are_made_of_eight_but_not_of_six() -> None:
    assert plan("maximum_efficiency", q=tensor(T.Q8_0, 256), embed=tensor(T.Q8_0, 256)) == {
        "q": T.Q4_K,
        "embed": T.Q8_0,
    }
    with pytest.raises(UnsupportedModel, match=r"6\.6 bits.*maximum_efficiency promises at most 6.*original"):
        plan("maximum_efficiency", q=tensor(T.Q6_K, 256))


def test_a_mixture_of_few_bits_keeps_the_promise_by_its_mean() -> None:
    """The usual Q4_K_M files hold some Q6_K, and Q8_0 on purpose where it matters."""
    tensors = {f"{i}.q": tensor(T.Q4_K, 256) for i in range(6)}
    tensors |= {"0.v": tensor(T.Q6_K, 256), "1.v": tensor(T.Q8_0, 256)}
    assert plan("maximum_efficiency", **tensors) == {name: t.type for name, t in tensors.items()}


def test_a_level_that_does_not_exist_is_refused_with_the_list() -> None:
    with pytest.raises(UsageError, match=r"'turbo'.*maximum_efficiency, balanced, performance"):
        plan("turbo", q=tensor(T.BF16, 64))


@pytest.mark.parametrize("to", [T.Q4_K, T.Q5_0, T.Q8_0, T.BF16], ids=lambda kind: kind.name)
def test_a_weight_that_is_no_number_is_an_error_that_names_the_tensor(to: TensorType) -> None:
    values = np.ones((ROWS, 256), np.float32)
    values[3, 5] = np.nan
    broken = Tensor("layers.7.up", T.F32, values.shape, values.view(np.uint8).reshape(-1))
    with pytest.raises(NotFinite, match=r"'layers\.7\.up' holds nan") as caught:
        converted(broken, broken.data, to)
    assert caught.value.code == "not_finite"


def test_a_weight_too_large_for_the_type_is_an_error_with_its_value() -> None:
    values = np.full((ROWS, 256), 1e20, np.float32)
    large = Tensor("up", T.F32, values.shape, values.view(np.uint8).reshape(-1))
    with pytest.raises(UnsupportedModel, match=r"'up' holds 1e\+20, too large for Q8_0"):
        converted(large, large.data, T.Q8_0)
