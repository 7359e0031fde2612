"""Which tokens a checkpoint says are never to be drawn, from either kind of file."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gemwright
from gemwright.errors import ModelFormatError
from gemwright.quantising import quantise_file
from gemwright.text.suppressed import GGUF_KEY, suppressed_tokens
from gemwright.weights import open_checkpoint
from support.small_gemma3 import small_model


def listing(directory: Path, value: Any) -> Path:
    """A small model whose generation_config.json says that."""
    path = small_model(directory)
    (path / "generation_config.json").write_text(json.dumps({"suppress_tokens": value}))
    return path


def test_both_kinds_of_file_say_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMWRIGHT_CACHE_DIR", str(tmp_path / "cache"))
    path = listing(tmp_path / "model", [7, 9, 300_000])
    quantise_file(path, tmp_path / "model.gguf", matrices="BF16")
    for file in (path, tmp_path / "model.gguf"):
        assert suppressed_tokens(open_checkpoint(file), 1000) == {7, 9}
    assert open_checkpoint(tmp_path / "model.gguf").config[GGUF_KEY].tolist() == [7, 9]
    assert suppressed_tokens(open_checkpoint(small_model(tmp_path / "other")), 1000) == frozenset()


def test_an_answer_of_the_loaded_model_has_none_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMWRIGHT_CACHE_DIR", str(tmp_path / "cache"))
    options: dict[str, Any] = {"max_tokens": 12, "temperature": 0.0}
    usual = gemwright.load(small_model(tmp_path / "usual")).generate("table", **options).tokens
    assert usual
    model = gemwright.load(listing(tmp_path / "model", sorted(set(usual))))
    assert not {*usual} & {*model.generate("table", **options).tokens}


@pytest.mark.parametrize("value", ["7", 7, [7.5], [True], [None], list(range(1025)), {"7": 7}])
def test_what_is_no_list_of_tokens_is_refused(tmp_path: Path, value: Any) -> None:
    with pytest.raises(ModelFormatError, match="never to be drawn"):
        suppressed_tokens(open_checkpoint(listing(tmp_path, value)), 1000)


def test_an_array_of_floats_in_gguf_is_refused(tmp_path: Path) -> None:
    checkpoint = open_checkpoint(small_model(tmp_path))
    told = replace(checkpoint, kind="gguf", config={GGUF_KEY: np.array([1.0], np.float32)})
    with pytest.raises(ModelFormatError, match="never to be drawn"):
        suppressed_tokens(told, 1000)
