"""The files of sentence-transformers around a checkpoint: read with bounds, never followed to other places."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gemwright.errors import FileError, ModelFormatError
from gemwright.weights import open_checkpoint
from support.small_embedding import DENSE, POOLING, modules, small_embedding, write


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return small_embedding(tmp_path / "m", prompts={"prompts": {"query": "q: "}})


def test_the_pipeline_s_files_are_part_of_the_checkpoint(path: Path) -> None:
    write(path / "sentence_bert_config.json", {"max_seq_length": 100})
    checkpoint = open_checkpoint(path)
    steps = checkpoint.config["modules.json"]
    assert [step["type"] for step in steps] == ["Transformer", "Pooling", "Dense", "Dense", "Normalize"]
    assert [step["config"] for step in steps] == [{}, POOLING, *DENSE.values(), {}]
    assert checkpoint.config["config_sentence_transformers.json"] == {"prompts": {"query": "q: "}}
    assert checkpoint.config["sentence_bert_config.json"] == {"max_seq_length": 100}
    assert checkpoint.tensors["2_Dense.linear.weight"].shape == (96, 64)
    assert len(checkpoint.stamps) == 3


def test_without_modules_json_nothing_beside_the_model_is_read(path: Path) -> None:
    (path / "modules.json").unlink()
    (path / "2_Dense" / "model.safetensors").write_bytes(b"rubbish")
    checkpoint = open_checkpoint(path)
    assert "config_sentence_transformers.json" not in checkpoint.config
    assert not [name for name in checkpoint.tensors if "Dense" in name]


@pytest.mark.parametrize(
    "folder", ["../2_Dense", "/etc", "2_Dense/..", "2_Dense/", "Dense", "2_" + "D" * 50, "2_Dén", "..", "2_Dense\n"]
)
def test_a_folder_that_could_be_elsewhere_is_refused(path: Path, folder: str) -> None:
    steps = modules()
    steps[2]["path"] = folder
    write(path / "modules.json", steps)
    with pytest.raises(ModelFormatError, match="not a plain folder"):
        open_checkpoint(path)


@pytest.mark.parametrize(
    "content",
    [
        "{}",
        "[]",
        "[1]",
        '[{"type": "x"}]',
        '[{"type": 1, "path": ""}]',
        '{"a": [',
        json.dumps(modules() * 4),
        "[[[[]]]]",
    ],
)
def test_modules_that_are_no_list_of_steps_are_refused(path: Path, content: str) -> None:
    (path / "modules.json").write_text(content)
    with pytest.raises(ModelFormatError, match=r"modules\.json"):
        open_checkpoint(path)


@pytest.mark.parametrize("name", ["modules.json", "config_sentence_transformers.json", "2_Dense/config.json"])
def test_files_that_are_too_long_are_not_read(path: Path, name: str) -> None:
    (path / name).write_text(" " * (1 << 20) + "{}")
    with pytest.raises(ModelFormatError, match="at most"):
        open_checkpoint(path)


@pytest.mark.parametrize("name", ["2_Dense/model.safetensors", "2_Dense/config.json"])
def test_a_truncated_file_of_a_step_is_named(path: Path, name: str) -> None:
    content = (path / name).read_bytes()
    (path / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(ModelFormatError, match="2_Dense"):
        open_checkpoint(path)


def test_a_directory_in_the_place_of_a_file_is_a_file_error(path: Path) -> None:
    (path / "2_Dense" / "model.safetensors").unlink()
    (path / "2_Dense" / "model.safetensors").mkdir()
    with pytest.raises(FileError):
        open_checkpoint(path)


def test_types_of_every_version_are_known_by_their_last_part(path: Path) -> None:
    steps: list[dict[str, Any]] = modules()
    for step in steps:
        step["type"] = f"sentence_transformers.base.modules.{step['type'].rpartition('.')[2]}"
    write(path / "modules.json", steps)
    assert [step["type"] for step in open_checkpoint(path).config["modules.json"]][2] == "Dense"
