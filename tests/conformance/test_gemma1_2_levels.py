"""Gemma 1, Gemma 2 and VaultGemma as users load them: by path, at every level, from either kind of file, and the
two-stage head under soft-capped logits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gemwright import DraftModel, Lookup, load
from gemwright.errors import UnsupportedModel
from gemwright.models import ARCHITECTURES, Network
from gemwright.ops import KVFormat
from gemwright.quantising import quantise_file
from gemwright.text.shield import POLICIES, judge_prompt, verdict_ids
from gemwright.weights import LEVELS, open_checkpoint
from support.grouping import in_chunks
from support.small_gemma1_2 import CONFIGS, small_model
from support.tiny_gemma1_2 import NAMES, golden

TEXT = "table aab\n\n   der  Uet"
TOKENS = np.random.default_rng(7).integers(3, 300, 48).astype(np.int32)


@pytest.fixture(autouse=True)
def _cache_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMWRIGHT_CACHE_DIR", str(tmp_path / "cache"))


def network(path: Path, level: str, **config: Any) -> Network:
    """At that level, with these fields of config.json changed."""
    checkpoint = replace(open_checkpoint(path), level=level)
    checkpoint = replace(checkpoint, config={**checkpoint.config, **config})
    return ARCHITECTURES[checkpoint.architecture].build(checkpoint, LEVELS[level].precision)


def error(found: np.ndarray, expected: np.ndarray) -> float:
    """Root mean square, relative."""
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("kind", ["gemma", "gemma2"])
def test_a_written_file_computes_bit_for_bit_what_loading_at_the_level_does(
    tmp_path: Path, kind: str, level: str
) -> None:
    source = small_model(tmp_path / "small", kind)
    quantise_file(source, tmp_path / "made.gguf", level=level)
    direct, file = load(source, level=level), load(tmp_path / "made.gguf", precision=LEVELS[level].precision)
    assert (direct.describe()["architecture"], file.describe()["architecture"]) == (kind, kind)
    assert file.encode(TEXT) == direct.encode(TEXT)
    assert np.array_equal(file.logits(file.encode(TEXT)), direct.logits(direct.encode(TEXT)))
    assert file.network.config.context_tokens == direct.network.config.context_tokens == 4096


def test_a_file_of_sixteen_bit_matrices_is_the_checkpoint(tmp_path: Path) -> None:
    for kind in ("gemma", "gemma2"):
        source = small_model(tmp_path / kind, kind)
        quantise_file(source, tmp_path / f"{kind}.gguf", matrices="BF16")
        file, direct = load(tmp_path / f"{kind}.gguf"), load(source)
        assert np.array_equal(file.logits(file.encode(TEXT)), direct.logits(direct.encode(TEXT)))


def test_vaultgemma_is_not_written_as_gguf(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedModel, match="no form for VaultGemma"):
        quantise_file(small_model(tmp_path / "small", "vaultgemma"), tmp_path / "made.gguf")
    assert not (tmp_path / "made.gguf").exists()


@pytest.mark.parametrize("kind", CONFIGS)
def test_fewer_bits_are_less_exact_but_not_by_much(tmp_path: Path, kind: str) -> None:
    path = small_model(tmp_path / "small", kind)
    nets = {level: network(path, level) for level in LEVELS}
    logits = {level: net.logits(in_chunks(net, TOKENS, len(TOKENS))) for level, net in nets.items()}
    errors = [error(logits[level], logits["stored"]) for level in ("maximum_efficiency", "balanced", "performance")]
    four, eight, sixteen = errors
    assert sixteen <= 1e-3 < eight < 0.05 < four < 0.5, f"errors {errors}"


@pytest.mark.parametrize(
    ("level", "most"), [("stored", 1e-5), ("performance", 0.015), ("balanced", 0.05), ("maximum_efficiency", 0.25)]
)
@pytest.mark.parametrize("name", NAMES)
def test_models_of_widths_that_few_blocks_fit_load_at_every_level(name: str, level: str, most: float) -> None:
    g = golden(name)
    net = network(g.path, level)
    net.kv_format = KVFormat.F32  # the levels are about weights
    assert error(net.logits(in_chunks(net, g.tokens, len(g.tokens))), g.logits) <= most


# The two-stage head, docs/decisions/two-stage-head.md


@pytest.mark.parametrize("cap", [30.0, 4.0, 0.5, 0.05, 1e-4])
@pytest.mark.parametrize("kind", ["gemma2", "vaultgemma"])
def test_candidates_under_a_soft_cap_are_the_largest_of_the_capped_logits(
    tmp_path: Path, kind: str, cap: float
) -> None:
    """The smaller the cap the more logits are rounded to one: at 1e-4 hundreds of rows are equal."""
    path = small_model(tmp_path / "small", kind)
    net = network(path, "balanced", final_logit_softcapping=cap)
    assert net.embed.is_split
    assert net.final_softcap == cap
    hidden = in_chunks(net, TOKENS, len(TOKENS))
    rows = net.logits(hidden)
    assert np.abs(rows).max() <= cap
    vocabulary = rows.shape[1]
    for k, below in [(1, vocabulary), (40, vocabulary), (7, 50), (43, 50), (50, 50), (vocabulary, vocabulary)]:
        ids, values = net.candidates(hidden, k, below)
        expected = np.argsort(-rows[:, :below], axis=1, kind="stable")[:, :k]
        np.testing.assert_array_equal(ids, expected, f"k {k}, below {below}")
        np.testing.assert_array_equal(values, np.take_along_axis(rows, expected, axis=1))


def test_the_smallest_cap_makes_ties_beyond_the_candidates_fetched(tmp_path: Path) -> None:
    """So that the test above sees rows that have to be computed whole."""
    net = network(small_model(tmp_path / "small", "gemma2"), "balanced", final_logit_softcapping=1e-4)
    rows = net.logits(in_chunks(net, TOKENS, len(TOKENS)))
    assert ((rows == rows.max(axis=1, keepdims=True)).sum(axis=1) > 60).all()


def test_a_hidden_state_that_is_not_finite_gives_nan_under_a_soft_cap(tmp_path: Path) -> None:
    net = network(small_model(tmp_path / "small", "gemma2"), "balanced")
    hidden = in_chunks(net, TOKENS[:3], 3)
    clean = net.candidates(hidden, 5, 300)
    hidden[1, 4] = np.nan
    ids, values = net.candidates(hidden, 5, 300)
    assert np.isnan(values[1]).all()
    np.testing.assert_array_equal(ids[[0, 2]], clean[0][[0, 2]])


# The rest of the machinery


@pytest.mark.parametrize("level", ["stored", "balanced"])
@pytest.mark.parametrize("kind", CONFIGS)
def test_answers_do_not_depend_on_cache_batch_or_guesses(tmp_path: Path, kind: str, level: str) -> None:
    model = load(small_model(tmp_path / "small", kind), level=level, precision="exact")
    prompt = [2, *TOKENS.tolist()]
    options: Any = {"max_tokens": 24, "logit_bias": dict.fromkeys(model.tokenizer.stop_ids, -1000.0)}
    for sampling in ({"temperature": 0.0}, {"seed": 5, "top_k": 40}):
        plain = model.generate(prompt, **options, **sampling)
        again, other = model.generate_batch([prompt, prompt[:9]], **options, **sampling)
        assert (again.tokens, again.cached_tokens) == (plain.tokens, 32)
        assert other.tokens == model.without_cache().generate(prompt[:9], **options, **sampling).tokens
        for speculation in (Lookup(4), DraftModel(model.network)):
            guessed = model.generate(prompt, **options, **sampling, speculation=speculation)
            assert guessed.tokens == plain.tokens
        assert guessed.drafted_tokens > 0


def test_a_verdict_comes_from_the_exact_logits_of_yes_and_no(tmp_path: Path) -> None:
    model = load(small_model(tmp_path / "small", "gemma2"))
    prompt = judge_prompt(POLICIES["harassment"], "table", "der", model.tokenizer)
    yes, no = (float(model.logits(prompt)[-1, id]) for id in verdict_ids(model.tokenizer))
    verdict = model.classify("harassment", user_message="table", response="der")
    assert verdict == pytest.approx(1 / (1 + np.exp(no - yes)), abs=1e-6)
    assert model.infill("ta", "er", max_tokens=4, seed=1).prompt_tokens == 6
