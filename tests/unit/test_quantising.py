"""GGUF files written from checkpoints: they are what loading at the level computes with, whole or not there."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gguf import GGUFReader

from gemwright import load
from gemwright.cli.app import run_program
from gemwright.errors import FileError, NotFinite, UnsupportedModel, UsageError
from gemwright.quantising import TYPES, quantise_file
from gemwright.weights import TensorType, open_checkpoint
from support.small_gemma3 import CONFIG, small_arrays, small_model, write_weights
from unit.text.toy import Toy, toy_sentencepiece

TEXT = "table aab\n\n   der  Uet"
LEVELS = ("maximum_efficiency", "balanced", "performance", "stored")


@pytest.fixture(autouse=True)
def _cache_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMWRIGHT_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return small_model(tmp_path / "small-it")


@pytest.mark.parametrize("level", LEVELS)
def test_the_file_computes_bit_for_bit_what_loading_at_the_level_does(tmp_path: Path, source: Path, level: str) -> None:
    target = tmp_path / "made.gguf"
    written = quantise_file(source, target, level=level)
    assert written.bytes == target.stat().st_size
    direct, file = load(source, level=level, precision="exact"), load(target, precision="exact")
    assert file.encode(TEXT) == direct.encode(TEXT)
    assert np.array_equal(file.logits(file.encode(TEXT)), direct.logits(direct.encode(TEXT)))
    assert (file.is_chat_tuned, file.describe()["name"]) == (True, "small-it")
    assert file.network.config.windows == direct.network.config.windows


def test_another_program_reads_the_file(tmp_path: Path, source: Path) -> None:
    """The `gguf` package of llama.cpp's authors."""
    quantise_file(source, tmp_path / "made.gguf")
    reader = GGUFReader(tmp_path / "made.gguf")
    ours = open_checkpoint(tmp_path / "made.gguf")
    fields = {name: field.contents() for name, field in reader.fields.items()}
    assert fields["general.architecture"] == "gemma3"
    assert fields["gemma3.attention.sliding_window"] == 16
    assert fields["gemma3.attention.layer_norm_rms_epsilon"] == pytest.approx(1e-6)
    assert fields["tokenizer.ggml.add_bos_token"] is True
    assert fields["tokenizer.ggml.tokens"][-1].startswith("[PAD")
    assert "      " in fields["tokenizer.ggml.tokens"], "llama.cpp looks for runs of spaces, not of U+2581"
    assert fields["general.file_type"] == 8, "most of it is Q5_0, because few of its rows are of 256 values"
    assert {t.name: t.tensor_type.name for t in reader.tensors} == {n: t.type.name for n, t in ours.tensors.items()}
    for tensor in reader.tensors:
        assert tensor.data.tobytes() == ours.tensors[tensor.name].data.tobytes()


def test_a_vocabulary_in_tokenizer_model_gives_the_same_pieces(tmp_path: Path, source: Path) -> None:
    (source / "tokenizer.json").unlink()
    (source / "tokenizer.model").write_bytes(toy_sentencepiece(Toy.of()))
    quantise_file(source, tmp_path / "made.gguf")
    assert load(tmp_path / "made.gguf").encode(TEXT) == load(source).encode(TEXT)


@pytest.mark.parametrize(("name", "end"), [("small-it", 7), ("small", 1)])
def test_an_answer_ends_as_the_model_was_taught(tmp_path: Path, name: str, end: int) -> None:
    """<end_of_turn> is piece 7 of the toy's vocabulary, <eos> piece 1."""
    quantise_file(small_model(tmp_path / name), tmp_path / "made.gguf")
    assert open_checkpoint(tmp_path / "made.gguf").config["tokenizer.ggml.eos_token_id"] == end


@pytest.mark.parametrize("place", ["chat_template.jinja", "tokenizer_config.json"])
def test_the_chat_template_is_handed_on_as_it_stands(tmp_path: Path, source: Path, place: str) -> None:
    template = "{{ bos_token }}{% for m in messages %}…{% endfor %}"
    content = template if place.endswith("jinja") else json.dumps({"chat_template": template})
    (source / place).write_text(content, "utf-8")
    quantise_file(source, tmp_path / "made.gguf")
    assert open_checkpoint(tmp_path / "made.gguf").config["tokenizer.chat_template"] == template


def test_norms_get_the_one_that_gguf_files_have_added(tmp_path: Path, source: Path) -> None:
    quantise_file(source, tmp_path / "made.gguf")
    made = open_checkpoint(tmp_path / "made.gguf").tensors["output_norm.weight"]
    stored = open_checkpoint(source).tensors["model.norm.weight"]
    assert made.type is TensorType.F32
    assert np.array_equal(made.to_f32(), stored.to_f32() + np.float32(1))


@pytest.mark.parametrize("name", TYPES)
def test_every_matrix_can_be_written_in_one_type(tmp_path: Path, source: Path, name: str) -> None:
    quantise_file(source, tmp_path / "made.gguf", matrices=name.lower())
    tensors = open_checkpoint(tmp_path / "made.gguf").tensors.values()
    assert {tensor.type.name for tensor in tensors if len(tensor.shape) == 2} == {name}


def test_a_gguf_file_of_floats_is_quantised_and_keeps_what_it_says(tmp_path: Path, source: Path) -> None:
    quantise_file(source, tmp_path / "wide.gguf", level="performance")
    quantise_file(tmp_path / "wide.gguf", tmp_path / "narrow.gguf", level="balanced")
    quantise_file(source, tmp_path / "direct.gguf", level="balanced")
    assert (tmp_path / "narrow.gguf").read_bytes() == (tmp_path / "direct.gguf").read_bytes()


def test_weights_of_few_bits_are_not_written_in_another_type(tmp_path: Path, source: Path) -> None:
    quantise_file(source, tmp_path / "narrow.gguf")
    with pytest.raises(UsageError, match=r"stored as Q(4_K|5_0), which is not converted again"):
        quantise_file(tmp_path / "narrow.gguf", tmp_path / "other.gguf", matrices="Q8_0")


def test_a_file_that_exists_is_only_replaced_when_that_was_asked_for(tmp_path: Path, source: Path) -> None:
    target = tmp_path / "made.gguf"
    target.write_bytes(b"precious")
    with pytest.raises(FileError, match=r"made\.gguf exists.*--force"):
        quantise_file(source, target)
    assert target.read_bytes() == b"precious"
    quantise_file(source, target, force=True)
    assert target.read_bytes()[:4] == b"GGUF"


@pytest.mark.parametrize("target", [".", "missing/made.gguf"])
def test_a_place_that_cannot_be_written_to_is_refused_first(tmp_path: Path, target: str) -> None:
    with pytest.raises(FileError, match=r"is a directory|no directory"):
        quantise_file("never looked at", tmp_path / target)


def test_a_full_disk_is_noticed_before_anything_is_written(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def full(descriptor: int, offset: int, size: int) -> None:
        asked.append(size)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    with pytest.raises(FileError, match=r"no room for .*made\.gguf"):
        quantise_file(source, tmp_path / "made.gguf")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "small-it"]
    monkeypatch.undo()
    monkeypatch.setenv("GEMWRIGHT_CACHE_DIR", str(tmp_path / "cache"))
    assert asked == [quantise_file(source, tmp_path / "made.gguf").bytes]


def test_a_weight_that_is_no_number_leaves_no_file_behind(tmp_path: Path, source: Path) -> None:
    arrays = small_arrays({**CONFIG, "vocab_size": open_checkpoint(source).config["vocab_size"]})
    arrays["model.layers.5.mlp.down_proj.weight"][63, 255] = np.inf
    write_weights(source, arrays)
    with pytest.raises(NotFinite, match="down_proj"):
        quantise_file(source, tmp_path / "made.gguf")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "small-it"]


@pytest.mark.parametrize("changes", [{"query_pre_attn_scalar": 40}, {"sliding_window_pattern": 2}])
def test_what_a_gguf_file_cannot_say_is_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    path = small_model(tmp_path / "other", **changes)
    with pytest.raises(UnsupportedModel, match="GGUF cannot say"):
        quantise_file(path, tmp_path / "made.gguf")


def test_progress_ends_at_the_size_of_the_file(tmp_path: Path, source: Path) -> None:
    seen: list[tuple[int, int]] = []
    written = quantise_file(source, tmp_path / "made.gguf", progress=lambda done, total: seen.append((done, total)))
    assert seen == sorted(seen)
    assert seen[-1] == (written.bytes, written.bytes)


def test_the_command_writes_a_file_and_says_what_is_in_it(
    tmp_path: Path, source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "made.gguf"
    assert run_program(["quantise", str(source), str(target), "--level", "balanced"]) == 0
    shown = capsys.readouterr()
    assert "Q8_0" in shown.out
    assert f"{target.stat().st_size:,} bytes" in shown.out
    assert shown.err == "", "progress is for terminals"
    assert run_program(["quantise", str(source), str(target), "--json"]) == 3
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "file_error"
    assert run_program(["quantise", str(source), str(target), "--json", "--force", "--type", "Q4_0"]) == 0
    assert set(json.loads(capsys.readouterr().out)["by_type"]) == {"Q4_0", "F32"}


def test_a_type_that_is_not_written_is_a_wrong_option(tmp_path: Path, source: Path) -> None:
    with pytest.raises(UsageError, match=r"'Q2_K'.*BF16, F16, Q8_0, Q5_0, Q4_0"):
        quantise_file(source, tmp_path / "made.gguf", matrices="Q2_K")
