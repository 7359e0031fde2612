"""`open_checkpoint`: what it says about paths that hold no model."""

from __future__ import annotations

import gzip
import io
import json
import os
import pickle
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from gemwright.errors import FileError, ModelFormatError, UnsupportedModel
from gemwright.weights import open_checkpoint, require_architecture
from support.gguf_writer import Stored, gguf
from support.safetensors_writer import safetensors

CONFIG = '{"model_type": "gemma3_text"}'
WEIGHTS = safetensors({"a": np.zeros(2, np.float32)})


def zipped(name: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(name, "content")
    return buffer.getvalue()


def tarred() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("model.gguf"))
    return buffer.getvalue()


FOREIGN = {
    "a ZIP archive": zipped("model.gguf"),
    "a Python pickle": zipped("archive/data.pkl"),
    "PyTorch": pickle.dumps({"weight": [1.0]}, protocol=2),
    "run code": pickle.dumps({"weight": [1.0]}, protocol=4),
    "a Git LFS pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n",
    "a web page": b"\n<!DOCTYPE html><html><body>404</body></html>",
    "an XML document": b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>',
    "a gzip archive": gzip.compress(b"x"),
    "a tar archive": tarred(),
    "a JSON document": b'{"error": "not found"}',
    "of the time before GGUF": b"tjgg\1\0\0\0" + bytes(100),
    "nothing but zeros": bytes(5000),
    "an HDF5 file": b"\x89HDF\r\n\x1a\n" + bytes(50),
    "neither GGUF nor safetensors": b"Entry not found",
    "is empty": b"",
}


@pytest.mark.parametrize("kind", FOREIGN)
@pytest.mark.parametrize("name", ["model.gguf", "model.safetensors", "model"])
def test_a_foreign_file_is_called_what_it_is(tmp_path: Path, kind: str, name: str) -> None:
    (tmp_path / "config.json").write_text(CONFIG)
    file = tmp_path / name
    file.write_bytes(FOREIGN[kind])
    with pytest.raises(ModelFormatError) as caught:
        open_checkpoint(file)
    assert kind in str(caught.value)
    assert str(file) in str(caught.value)
    assert caught.value.hint


def test_a_file_is_known_by_its_content_not_its_name(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(CONFIG)
    (tmp_path / "one").write_bytes(gguf({"general.architecture": "gemma3"}, {"a": Stored.f32([1])}).data)
    (tmp_path / "two").write_bytes(WEIGHTS)
    assert open_checkpoint(tmp_path / "one").kind == "gguf"
    assert open_checkpoint(str(tmp_path / "two")).kind == "safetensors"


def test_a_header_whose_length_looks_like_another_magic_is_still_safetensors(tmp_path: Path) -> None:
    """0x5A4D bytes of header make a file begin with "MZ", as programs do."""
    (tmp_path / "config.json").write_text(CONFIG)
    length = int.from_bytes(b"MZ", "little")
    header = WEIGHTS[8 : 8 + int.from_bytes(WEIGHTS[:8], "little")].rstrip().ljust(length)
    (tmp_path / "model.safetensors").write_bytes(length.to_bytes(8, "little") + header + WEIGHTS[-8:])
    assert open_checkpoint(tmp_path).tensors.keys() == {"a"}


@pytest.mark.parametrize("path", ["missing.gguf", "nowhere/model.gguf"])
def test_a_missing_file_is_called_missing(tmp_path: Path, path: str) -> None:
    with pytest.raises(FileError, match="does not exist") as caught:
        open_checkpoint(tmp_path / path)
    assert not isinstance(caught.value, ModelFormatError)


@pytest.mark.parametrize("path", ["a\0b", "x" * 5000, "file/below"])
def test_an_impossible_path_is_an_error_of_ours(tmp_path: Path, path: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FileError, match="cannot be opened"):
        open_checkpoint(tmp_path / path)


def test_a_pipe_is_refused_instead_of_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.gguf")
    with pytest.raises(FileError, match="is not a file"):
        open_checkpoint(tmp_path / "pipe.gguf")


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ([], "has no config.json"),
        (["model.gguf"], "Name the file in it: "),
        (["pytorch_model.bin"], "can run code"),
        (["model.safetensors"], "has no config.json"),
        (["config.json"], "neither model.safetensors nor model.safetensors.index.json"),
        (["config.json", "pytorch_model.bin"], "get the safetensors"),
    ],
)
def test_a_directory_without_a_model_says_what_is_missing(tmp_path: Path, files: list[str], words: str) -> None:
    for name in files:
        (tmp_path / name).write_text(CONFIG)
    with pytest.raises(FileError) as caught:
        open_checkpoint(tmp_path)
    assert words in str(caught.value)


def test_a_safetensors_file_needs_its_config(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(WEIGHTS)
    with pytest.raises(FileError, match=r"config\.json does not exist"):
        open_checkpoint(tmp_path / "model.safetensors")


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ("", "not sound JSON"),
        ("[]", "not a JSON object"),
        ("{}", "does not say the architecture"),
        ('{"model_type": 3}', "does not say the architecture"),
        ('{"model_type": "a", "model_type": "b"}', "occurs twice"),
        ('{"x": ' + "[" * 99 + "]" * 99 + "}", "nested"),
        ('{"x": "' + "y" * (1 << 20) + '"}', "at most 1,048,576"),
        (b'{"x": "\xe4"}', "not sound JSON"),
    ],
)
def test_an_unsound_config_gets_a_sentence(tmp_path: Path, config: str | bytes, words: str) -> None:
    (tmp_path / "model.safetensors").write_bytes(WEIGHTS)
    (tmp_path / "config.json").write_bytes(config if isinstance(config, bytes) else config.encode())
    with pytest.raises(ModelFormatError) as caught:
        open_checkpoint(tmp_path)
    assert words in str(caught.value)
    assert "config.json" in str(caught.value)


def test_an_architecture_we_do_not_run_is_named_with_those_we_do(tmp_path: Path) -> None:
    file = tmp_path / "model.gguf"
    file.write_bytes(gguf({"general.architecture": "llama"}, {"a": Stored.f32([1])}).data)
    checkpoint = open_checkpoint(file)
    with pytest.raises(UnsupportedModel, match=r"'llama'.*gemma3, gemma3_text"):
        require_architecture(checkpoint, {"gemma3_text", "gemma3"})
    assert require_architecture(checkpoint, ["llama"]) == "llama"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("recurrent_gemma", "recurrent state"),
        ("t5gemma", "encoder and a decoder"),
        ("t5gemma2", "encoder and a decoder"),
        ("paligemma", "image"),
        ("diffusion_gemma", "diffusion"),
        ("shieldgemma2", "judges images"),
        ("clip", "part of a model"),
    ],
)
def test_a_model_of_the_family_that_is_not_run_is_refused_with_the_reason(
    tmp_path: Path, name: str, reason: str
) -> None:
    (tmp_path / "model.safetensors").write_bytes(WEIGHTS)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": name}), "utf-8")
    with pytest.raises(UnsupportedModel, match=rf"'{name}', which is not supported\. .*{reason}.*gemma3"):
        require_architecture(open_checkpoint(tmp_path), ["gemma3"])
