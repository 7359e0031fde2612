"""From names and paths to models, on the tiny checkpoints and on files that cannot be."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gemwright import loading, ops
from gemwright.errors import FileError, UnsupportedModel, UsageError
from gemwright.loading import DEFAULT_MODEL, LEVELS, load, load_optimized_gemma
from gemwright.weights import Tensor, TensorType
from support.real_model import checkpoint as real_checkpoint
from support.tiny_gemma3 import assert_near, golden
from support.toy_tokenizer import ToyTokenizer


@pytest.fixture(autouse=True)
def _kernels_as_they_were() -> Any:
    threads, target = ops.threads(), ops.active_target()
    yield
    ops.set_threads(threads)
    ops.use_target(target)


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


def test_levels_decide_the_precision_and_refuse_what_they_would_have_to_convert(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Opened:
        path = Path("toy")

        def __init__(self, kind: TensorType) -> None:
            self.tensors = {"w": Tensor("w", kind, (4, 256), np.zeros(1000, np.uint8))}

    built: list[str] = []
    monkeypatch.setattr(loading, "_build", lambda checkpoint, precision, *rest: built.append(precision))
    for kind, expected in [(TensorType.Q4_K, ["default", "default", "exact"]), (TensorType.BF16, ["default", "exact"])]:
        monkeypatch.setattr(loading, "_open", lambda name, settings, announce, kind=kind: Opened(kind))
        built.clear()
        refused = []
        for level in LEVELS:
            try:
                load_optimized_gemma("toy", level)
            except UnsupportedModel as error:
                refused.append((level, str(error)))
        assert built == expected
        assert [level for level, _ in refused] == (["maximum_efficiency"] if kind == TensorType.BF16 else [])
        assert all("16 bits" in text and "quantised GGUF" in text for _, text in refused)


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
