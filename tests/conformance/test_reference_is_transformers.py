"""The NumPy oracle against transformers' goldens: what judges the engine is judged first."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gemwright.weights import open_checkpoint
from support import fp32_gemma3
from support.tiny_gemma3 import FOLDER, NAMES, assert_near, golden

TOLERANCE = 2e-5  # float32 sums in another order, 13 layers deep


@pytest.mark.parametrize("name", NAMES)
def test_the_fp32_reference_computes_what_transformers_computes(name: str) -> None:
    g = golden(name)
    model = fp32_gemma3.from_checkpoint(open_checkpoint(g.path))
    hidden = model.hidden(g.tokens)
    assert_near(hidden, g.hidden, TOLERANCE)
    assert_near(model.logits(hidden), g.logits, TOLERANCE)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"window": 1}, id="window"),
        pytest.param({"base_local": 1.0}, id="local rope base"),
        pytest.param({"base_global": 1.0}, id="global rope base"),
        pytest.param({"factor_global": 2.0}, id="global rope factor"),
        pytest.param({"query_scale": 1.0}, id="query scale"),
        pytest.param({"eps": 1e-2}, id="eps"),
    ],
)
def test_every_fact_of_the_configuration_shows_in_the_goldens(name: str, change: dict[str, float]) -> None:
    """A golden that does not feel a field proves nothing about it: each must move the logits by 100 tolerances."""
    g = golden(name)
    model = fp32_gemma3.from_checkpoint(open_checkpoint(g.path))
    wrong = replace(model, config=replace(model.config, **change))
    with pytest.raises(AssertionError, match="relative error"):
        assert_near(wrong.logits(wrong.hidden(g.tokens)), g.logits, 100 * TOLERANCE)


@pytest.mark.parametrize("name", NAMES)
def test_the_windows_edge_shows_in_the_goldens(name: str) -> None:
    """One key more or less than the window is seen by the comparison."""
    g = golden(name)
    model = fp32_gemma3.from_checkpoint(open_checkpoint(g.path))
    for off in (-1, 1):
        wrong = replace(model, config=replace(model.config, window=model.config.window + off))
        with pytest.raises(AssertionError, match="relative error"):
            assert_near(wrong.logits(wrong.hidden(g.tokens)), g.logits, 100 * TOLERANCE)


def test_every_golden_is_in_the_list() -> None:
    assert {path.name for path in FOLDER.iterdir() if path.is_dir()} == set(NAMES)
