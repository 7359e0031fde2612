"""From names and paths to models, on the tiny checkpoints and on files that cannot be."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gemwright import loading, ops
from gemwright.errors import FileError, NotFinite, UnsupportedModel, UsageError
from gemwright.loading import DEFAULT_MODEL, load, load_optimized_gemma
from gemwright.weights import LEVELS
from support.real_model import checkpoint as real_checkpoint
from support.small_gemma3 import CONFIG, small_arrays, small_model, write_weights
from support.tiny_gemma3 import assert_near, golden
from support.toy_tokenizer import ToyTokenizer
from unit.text.toy import Toy


@pytest.fixture(autouse=True)
def _kernels_as_they_were() -> Any:
    threads, target = ops.threads(), ops.active_target()
    yield
    ops.set_threads(threads)
    ops.use_target(target)


@pytest.mark.parametrize(
    "name", ["model.norm.weight", "model.layers.3.mlp.up_proj.weight", "model.embed_tokens.weight"]
)
@pytest.mark.parametrize("dtype", ["F32", "F16", "BF16"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_weight_that_is_no_number_is_named(tmp_path: Path, name: str, dtype: str, value: float) -> None:
    path = small_model(tmp_path / "model")
    arrays = small_arrays({**CONFIG, "vocab_size": len(Toy.of().spellings) + 3})
    arrays[name].flat[-1] = value
    write_weights(path, arrays, dtype)
    for store in (tmp_path / "cache", tmp_path / "cache"):  # nothing of it was kept
        with pytest.raises(NotFinite, match=name):
            load(path, cache_dir=store)


@pytest.mark.parametrize("name", ["gemma-3-8b-it", "google/gemma-3-8b-it", "google/Gemma-3-8B", "gemma-3-8b-pt"])
def test_a_gemma_3_of_8b_is_told_not_to_exist(name: str) -> None:
    with pytest.raises(UsageError, match=r"no Gemma 3 of 8B.*gemma-3-4b-it.*gemma-3-12b-it"):
        load(name)


@pytest.mark.parametrize(
    ("name", "fact", "nearest"),
    [
        ("gemma-2.5-7b", "no Gemma 2.5", "gemma-2-9b-it"),
        ("google/gemma-vl", "no Gemma-VL", "paligemma2"),
        ("Gemma-1.5", "no Gemma 1.5", "gemma-1.1-2b-it"),
    ],
)
def test_names_that_never_existed_are_answered_with_the_nearest_real_ones(name: str, fact: str, nearest: str) -> None:
    with pytest.raises(UsageError) as caught:
        load(name)
    assert fact in str(caught.value)
    assert nearest in caught.value.hint


@pytest.mark.parametrize("name", ["gemma-3-4b-it", "google/gemma-3-1b-it", "mistral", ""])
def test_a_name_we_do_not_have_is_refused_and_what_there_is_is_named(name: str) -> None:
    with pytest.raises(UsageError, match=DEFAULT_MODEL):
        load(name)


@pytest.mark.parametrize("path", ["missing.gguf", "./missing", "some/where", "~/missing.safetensors"])
def test_a_path_to_nothing_is_a_file_error(path: str) -> None:
    with pytest.raises(FileError, match=r"missing|some/where"):
        load(path)


def test_the_default_model_goes_by_its_name_and_by_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[Path] = []

    class Reached(Exception):  # noqa: N818
        pass

    def assemble(directory: Path, announce: object) -> Path:
        asked.append(directory)
        raise Reached

    monkeypatch.setattr(loading, "default_model", assemble)
    monkeypatch.setenv("GEMWRIGHT_CACHE_DIR", str(tmp_path / "settings"))
    for name in (None, "gemma-3-270m", "google/gemma-3-270m"):
        with pytest.raises(Reached):
            load(name)
        with pytest.raises(Reached):
            load(name, cache_dir=tmp_path / "given")
    assert asked == [tmp_path / "settings", tmp_path / "given"] * 3


@pytest.mark.parametrize("options", [{"precision": "double"}, {"threads": 0}, {"threads": 100_000}])
def test_an_option_that_cannot_be_is_refused_before_the_weights_are_read(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=str(next(iter(options.values())))):
        load("missing.gguf", **options)


def test_a_level_that_does_not_exist_is_refused_with_the_list() -> None:
    with pytest.raises(UsageError, match=r"'turbo'.*maximum_efficiency, balanced, performance"):
        load_optimized_gemma("missing.gguf", "turbo")


@pytest.mark.parametrize(
    ("level", "precision", "kind"),
    [("maximum_efficiency", "default", 12), ("balanced", "default", 8), ("performance", "exact", 30)],
)
def test_a_level_decides_types_and_precision_of_a_float_checkpoint(
    tmp_path: Path, level: str, precision: str, kind: int
) -> None:
    path = small_model(tmp_path)
    by_level, asked = load_optimized_gemma(path, level), load(path, level=level, precision="exact")
    assert (by_level.describe()["level"], by_level.describe()["precision"]) == (level, precision)
    assert asked.describe()["precision"] == "exact", "what is asked for counts more than what the level suggests"
    assert (
        by_level.network.layers[0].down.nbytes
        == ops.Matrix(kind, np.zeros(_BYTES[kind], np.uint8), 64, 256, wide=True).nbytes
    )
    assert by_level.generate("ab", max_tokens=3, temperature=0).tokens


_BYTES = {12: 64 * 144, 8: 64 * 8 * 34, 30: 64 * 256 * 2}
"""Of a [64, 256] matrix in Q4_K, Q8_0 and BF16."""


def test_without_a_level_weights_are_as_stored(tmp_path: Path) -> None:
    described = load(small_model(tmp_path)).describe()
    assert (described["level"], described["precision"]) == ("stored", "default")


@pytest.mark.real
@pytest.mark.parametrize("level", ["maximum_efficiency", "balanced", "performance"])
def test_the_quantised_default_model_is_as_stored_at_every_level(level: str) -> None:
    model, stored = load_optimized_gemma("gemma-3-270m", level), load(precision=LEVELS[level].precision)
    assert np.array_equal(model.logits([2, 100, 200]), stored.logits([2, 100, 200]))


def test_a_directory_of_safetensors_loads_and_computes_what_its_reference_does(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Tiny checkpoints have no vocabulary files, so the toy's stands in for that one part."""
    monkeypatch.setattr(loading.Tokenizer, "from_checkpoint", lambda checkpoint: ToyTokenizer())
    expected = golden("grouped")
    for name, is_tuned in [("tiny", False), ("tiny-it", True)]:
        directory = shutil.copytree(expected.path, tmp_path / name)
        model = load(directory, precision="exact")
        assert_near(model.logits(expected.tokens.tolist()), expected.logits, 1e-4)
        assert model.is_chat_tuned == is_tuned
        assert model.describe()["name"] == name
        assert model.describe()["precision"] == "exact"
        assert len(model.generate("hello", max_tokens=5, logit_bias={1: -1000.0, 5: -1000.0}).tokens) == 5


@pytest.mark.real
def test_the_real_model_loads_by_path_with_the_threads_and_context_asked_for() -> None:
    path = real_checkpoint().path
    model = load(path, threads=1, context_tokens=1000)
    described = model.describe()
    assert described["threads"] == 1
    assert described["context_tokens"] == 1024  # whole pages
    assert described["trained_context_tokens"] == 32_768
    assert described["parameters"] == 268_098_176
    assert described["architecture"] == "gemma3"
    assert described["precision"] == "default"
    assert not model.is_chat_tuned, "gemma-3-270m is the base model"
    assert model.generate("1, 2, 3, 4,", max_tokens=8, temperature=0).text.startswith(" 5, 6, 7")


@pytest.mark.real
def test_a_checkpoint_of_another_architecture_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    foreign = dataclasses.replace(real_checkpoint(), architecture="llama")
    monkeypatch.setattr(loading, "open_checkpoint", lambda path: foreign)
    with pytest.raises(UnsupportedModel, match=r"'llama'.*gemma3"):
        load("some/model.gguf")


@pytest.mark.real
def test_the_cache_keeps_keys_and_values_in_the_format_asked_for() -> None:
    sizes = {}
    for name in ("f32", "f16", "i8"):
        network = load(cache_format=name).network
        cache = network.new_cache(capacity_tokens=64, max_step_tokens=64, max_sequences=1)
        sizes[name] = cache.nbytes
    assert sizes["f32"] == 2 * sizes["f16"] > 2 * sizes["i8"] > sizes["f16"]
    assert load(precision="exact").network.kv_format.name == "F32"
    with pytest.raises(UsageError, match="f8"):
        load(cache_format="f8")
