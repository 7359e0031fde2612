"""`gemwright inspect` shows what a file holds, and obeys nothing in it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from gemwright.cli.inspect import shown
from gemwright.weights import TensorType
from support.gguf_writer import Stored, gguf

METADATA = {
    "general.architecture": "gemma3",
    "general.name": "Evil\x1b]0;title\x07 [red]name[/red]",
    "gemma3.block_count": 2,
    "tokenizer.ggml.tokens": [f"piece{i}" for i in range(100)],
    "tokenizer.ggml.scores": np.arange(100, dtype=np.float32),
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    rng = np.random.default_rng(1)
    tensors = {
        "a.weight": Stored.random(rng, TensorType.Q4_K, (4, 512)),
        "b.weight": Stored.f32(np.zeros(8)),
        "c.weight": Stored.f32(np.zeros((2, 8))),
    }
    path = tmp_path / "model.gguf"
    path.write_bytes(gguf(METADATA, tensors).data)
    return path


def test_metadata_tensors_and_sizes_are_shown(run, file: Path) -> None:
    ran = run("inspect", str(file))
    lines = [line.split() for line in ran.out.splitlines()]
    assert ran.status == 0
    assert ["gemma3.block_count", "2"] in lines
    assert ["a.weight", "Q4_K", "4×512", "1,152"] in lines
    assert ["F32", "2", "24", "96"] in lines
    assert ["total", "3", "2,072", "1,248"] in lines


def test_json_holds_the_same_with_long_arrays_as_their_length(run, file: Path) -> None:
    found = json.loads(run("inspect", str(file), "--json").out)
    assert found["architecture"] == "gemma3"
    assert found["metadata"]["gemma3.block_count"] == 2
    assert found["metadata"]["tokenizer.ggml.tokens"] == {"length": 100}
    assert found["tensors"][0] == {"name": "a.weight", "type": "Q4_K", "shape": [4, 512], "bytes": 1152}
    assert {"type": "F32", "tensors": 2, "parameters": 24, "bytes": 96} in found["sizes"]


def test_a_file_cannot_control_the_terminal_or_the_layout(run, file: Path) -> None:
    out = run("inspect", str(file)).out
    assert "\x1b" not in out
    assert "\x07" not in out
    assert "Evil\\x1b]0;title\\x07 [red]name[/red]" in out


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (7, "7"),
        (True, "True"),
        ("two\nlines\tand tab", "two\\nlines\\tand tab"),
        ("x" * 100, "x" * 72 + "… (100 characters)"),
        (b"\xffraw", "\\xffraw"),
        (["a", "b"], "[a, b] (2 values)"),
        (list(range(9)), "[0, 1, 2, 3, 4, 5, 6, 7, …] (9 values)"),
        ([], "[] (0 values)"),
        ({"rope_type": "linear"}, '{"rope_type": "linear"}'),
    ],
)
def test_a_value_is_one_line_and_says_what_was_cut(value: object, text: str) -> None:
    assert shown(value) == text


def test_a_missing_file_is_status_3(run, tmp_path: Path) -> None:
    ran = run("inspect", str(tmp_path / "none.gguf"))
    assert ran.status == 3
    assert "none.gguf" in ran.err


def test_a_file_that_is_no_model_is_status_3_and_says_so_as_json(run, tmp_path: Path) -> None:
    (tmp_path / "x.gguf").write_bytes(b"hello, I am a text")
    ran = run("inspect", str(tmp_path / "x.gguf"), "--json")
    assert ran.status == 3
    assert json.loads(ran.out)["error"]["code"] == "model_format"
