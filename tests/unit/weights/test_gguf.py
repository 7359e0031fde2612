"""Reading sound GGUF files, and the sentence each unsound one gets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gemwright.errors import ModelFormatError, UnsupportedModel
from gemwright.weights import StringArray, TensorType, open_checkpoint
from support.gguf_writer import Stored, gguf

VALUES = np.arange(12, dtype=np.float32).reshape(3, 4)
META = {"general.architecture": "gemma3"}
ONE = {"a": Stored.f32(VALUES)}


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "model.gguf"


@pytest.mark.parametrize("version", [2, 3])
def test_a_file_gives_back_what_was_written(file: Path, version: int) -> None:
    metadata = {
        "general.architecture": "gemma3",
        "int": 7,
        "negative": np.int64(-(2**63)),
        "large": np.uint64(2**64 - 1),
        "byte": np.uint8(255),
        "half": 0.5,
        "double": np.float64(0.1),
        "yes": True,
        "no": False,
        "name": "Zürich ✓",
        "empty": "",
        "scores": np.array([-1.5, 0.0, 2.5], np.float32),
        "types": np.array([1, -2], np.int32),
        "flags": np.array([True, False]),
        "texts": ["", "a", "ü"],
        "none": [],
    }
    rng = np.random.default_rng(1)
    tensors = {
        "f32": Stored.f32(VALUES),
        "q4_0": Stored.random(rng, TensorType.Q4_0, (2, 64)),
        "q6_k": Stored.random(rng, TensorType.Q6_K, (3, 256)),
        "bf16": Stored.random(rng, TensorType.BF16, (5,)),
        "cube": Stored.f32(np.arange(24).reshape(2, 3, 4)),
    }
    checkpoint = open_checkpoint(write(file, gguf(metadata, tensors, version=version).data))

    assert (checkpoint.kind, checkpoint.architecture) == ("gguf", "gemma3")
    assert checkpoint.config.keys() == metadata.keys()
    for key, value in metadata.items():
        found = checkpoint.config[key]
        if isinstance(value, list):
            assert isinstance(found, StringArray)
            assert [text.decode() for text in found] == value
            assert len(found) == len(value)
        elif isinstance(value, np.ndarray):
            np.testing.assert_array_equal(found, value)
            assert found.dtype == value.dtype
            assert found.flags.aligned
            assert not found.flags.writeable
        else:
            assert found == value
            assert type(found) in (int, float, bool, str)
    assert checkpoint.tensors.keys() == tensors.keys()
    for name, stored in tensors.items():
        tensor = checkpoint.tensors[name]
        assert (tensor.name, tensor.type, tensor.shape) == (name, stored.type, stored.shape)
        assert tensor.data.tobytes() == stored.data
        assert not tensor.data.flags.writeable
        assert tensor.to_f32().shape == stored.shape
    np.testing.assert_array_equal(checkpoint.tensors["f32"].to_f32(), VALUES)
    assert checkpoint.tensors["q6_k"].values == 3 * 256


def test_tensors_are_views_of_the_file(file: Path) -> None:
    """Nothing is copied: a change of the file shows through the view."""
    tensor = open_checkpoint(write(file, gguf(META, ONE).data)).tensors["a"]
    with file.open("r+b") as opened:
        opened.seek(-48 - 16, 2)  # the last 16 of 64 bytes are padding
        opened.write(np.float32(42).tobytes())
    assert tensor.to_f32()[0, 0] == 42


def test_another_alignment_is_followed(file: Path) -> None:
    data = gguf(META | {"general.alignment": 128}, {"a": Stored.f32([1]), "b": Stored.f32([2])}, alignment=128).data
    tensors = open_checkpoint(write(file, data)).tensors
    assert [tensors[name].to_f32().tolist() for name in "ab"] == [[1], [2]]


def test_strings_keep_bytes_that_are_not_utf8(file: Path) -> None:
    data = gguf(META | {"tokens": ["ab", "cd"]}, ONE).data.replace(b"ab", b"\xff\x00")
    tokens = open_checkpoint(write(file, data)).config["tokens"]
    assert list(tokens) == [b"\xff\x00", b"cd"]
    assert tokens.raw.tobytes() == b"\2" + bytes(7) + b"\xff\x00" + b"\2" + bytes(7) + b"cd"


def damaged(what: str, value: int, *, nth: int = 0, meta: dict[str, object] | None = None) -> bytes:
    """The small file with the nth header field called `what` replaced."""
    written = gguf(META if meta is None else meta, {"a": Stored.f32(VALUES), "b": Stored.f32([1, 2])})
    field = [field for field in written.fields if field.what == what][nth]
    return written.data[: field.at] + value.to_bytes(field.size, "little") + written.data[field.at + field.size :]


UNSOUND = {
    "version 1": (damaged("version", 1), UnsupportedModel, "GGUF version 1"),
    "version 4": (damaged("version", 4), UnsupportedModel, "GGUF version 4"),
    "version 0": (damaged("version", 0), UnsupportedModel, "GGUF version 0"),
    "big-endian": (damaged("version", 3 << 24), UnsupportedModel, "big-endian"),
    "too many tensors": (damaged("tensor count", 2**64 - 1), ModelFormatError, "18,446,744,073,709,551,615 tensors"),
    "one tensor more": (damaged("tensor count", 3), ModelFormatError, "tensor '' has 0 dimensions"),
    "too many keys": (damaged("key count", 1000), ModelFormatError, "1,000 metadata keys"),
    "long key": (damaged("key length", 2**63), ModelFormatError, "name of metadata key 0"),
    "long string": (damaged("string value length", 1 << 20), ModelFormatError, "general.architecture"),
    "longer string": (damaged("string value length", (1 << 20) + 1), ModelFormatError, "1,048,577 bytes long"),
    "unknown value type": (damaged("value type", 13), ModelFormatError, "unknown value type 13"),
    "unknown element type": (
        damaged("element type", 77, meta=META | {"x": np.zeros(3, "i4")}),
        ModelFormatError,
        "unknown value type 77",
    ),
    "array of arrays": (
        damaged("element type", 9, meta=META | {"x": np.zeros(3, "i4")}),
        ModelFormatError,
        "array of arrays",
    ),
    "long array": (
        damaged("array length", 2**62, meta=META | {"x": np.zeros(3, "i4")}),
        ModelFormatError,
        "metadata key 'x'",
    ),
    "many strings": (
        damaged("array length", 2**61, meta=META | {"x": ["a", "b"]}),
        ModelFormatError,
        "2,305,843,009,213,693,952 strings",
    ),
    "more strings than integers": (
        damaged("array length", 2**64 - 1, meta=META | {"x": ["a", "b"]}),
        ModelFormatError,
        "18,446,744,073,709,551,615 strings",
    ),
    "long array string": (
        damaged("array string length", 2**64 - 8, meta=META | {"x": ["a", "b"]}),
        ModelFormatError,
        "the 2 strings of metadata key 'x'",
    ),
    "neither true nor false": (
        damaged("value of x", 2, meta=META | {"x": True}),
        ModelFormatError,
        "neither 0 nor 1",
    ),
    "alignment 0": (gguf(META | {"general.alignment": 0}, ONE).data, ModelFormatError, "general.alignment is 0"),
    "alignment 48": (gguf(META | {"general.alignment": 48}, ONE).data, ModelFormatError, "general.alignment is 48"),
    "alignment 2^31": (gguf(META | {"general.alignment": 2**31}, ONE).data, ModelFormatError, "general.alignment"),
    "alignment as text": (gguf(META | {"general.alignment": "32"}, ONE).data, ModelFormatError, "'32'"),
    "no architecture": (gguf({"x": 1}, ONE).data, ModelFormatError, "does not say its architecture"),
    "architecture a number": (gguf({"general.architecture": 3}, ONE).data, ModelFormatError, "architecture"),
    "a part of several": (gguf(META | {"split.count": 3}, ONE).data, UnsupportedModel, "split into several"),
    "split an array": (gguf(META | {"split.count": np.ones(2, "i4")}, ONE).data, UnsupportedModel, "split"),
    "long tensor name": (damaged("tensor name length", 129), ModelFormatError, "129 bytes long"),
    "no dimensions": (damaged("dimension count", 0), ModelFormatError, "'a' has 0 dimensions"),
    "five dimensions": (damaged("dimension count", 5), ModelFormatError, "'a' has 5 dimensions"),
    "empty tensor": (damaged("dimension", 0), ModelFormatError, "'a' of shape (3, 0) is empty"),
    "dimensions that overflow": (damaged("dimension", 2**63), ModelFormatError, "past the end"),
    "unsupported type": (damaged("tensor type", 16), UnsupportedModel, "'a' is stored as IQ2_XXS"),
    "unknown type": (damaged("tensor type", 4096), UnsupportedModel, "'a' is stored as number 4096"),
    "rows no block fits": (damaged("tensor type", 12), ModelFormatError, "rows of 4 values, which Q4_K cannot store"),
    "offset off the grid": (damaged("tensor offset", 8), ModelFormatError, "offset 8, not a multiple of 32"),
    "offset past the end": (damaged("tensor offset", 1 << 40, nth=1), ModelFormatError, "'b'"),
    "overlapping tensors": (damaged("tensor offset", 32, nth=1), ModelFormatError, "'a' and 'b' overlap"),
    "tensor twice": (
        gguf(META, {"a": Stored.f32([1]), "b": Stored.f32([1])}).data.replace(b"b\1\0\0\0", b"a\1\0\0\0"),
        ModelFormatError,
        "'a' occurs twice",
    ),
    "key twice": (
        gguf(META | {"x": 1, "y": 1}, ONE).data.replace(b"y\4\0\0\0", b"x\4\0\0\0"),
        ModelFormatError,
        "'x' occurs twice",
    ),
    "name not UTF-8": (
        gguf(META | {"x": 1}, ONE).data.replace(b"x\4\0\0\0", b"\xff\4\0\0\0"),
        ModelFormatError,
        "UTF-8",
    ),
}


@pytest.mark.parametrize("case", UNSOUND)
def test_an_unsound_file_gets_a_sentence_that_names_the_fault(file: Path, case: str) -> None:
    data, error, words = UNSOUND[case]
    with pytest.raises(error) as caught:
        open_checkpoint(write(file, data))
    assert words in str(caught.value)
    assert str(file) in str(caught.value)


def test_every_truncation_is_noticed(file: Path) -> None:
    metadata = META | {"texts": ["a", "bc"], "scores": np.ones(3, np.float32), "n": 3}
    data = gguf(metadata, {"a": Stored.f32([1, 2, 3, 4, 5, 6, 7, 8])}).data  # 32 bytes: no padding at the end
    for size in range(len(data)):
        with pytest.raises(ModelFormatError):
            open_checkpoint(write(file, data[:size]))
    assert open_checkpoint(write(file, data)).tensors["a"].shape == (8,)


def test_a_truncated_file_is_called_that(file: Path) -> None:
    with pytest.raises(ModelFormatError, match=r"tensor 'a' .* 16 bytes past the end.*cut short"):
        open_checkpoint(write(file, gguf(META, ONE).data[:-32]))


def test_names_from_the_file_cannot_drive_the_terminal(file: Path) -> None:
    data = gguf(META, {"\x1b[2J": Stored.f32(VALUES)})
    field = next(field for field in data.fields if field.what == "tensor type")
    write(file, data.data[: field.at] + b"\x10" + data.data[field.at + 1 :])
    with pytest.raises(UnsupportedModel) as caught:
        open_checkpoint(file)
    assert "\x1b" not in str(caught.value)


@pytest.mark.real
def test_the_real_file_is_read_whole(default_model_path: Path) -> None:
    checkpoint = open_checkpoint(default_model_path)
    assert (checkpoint.architecture, len(checkpoint.tensors)) == ("gemma3", 236)
    tokens = checkpoint.config["tokenizer.ggml.tokens"]
    assert (len(tokens), len(checkpoint.config["tokenizer.ggml.scores"])) == (262_144, 262_144)
    pieces = list(tokens)
    assert (pieces[2], pieces[105], pieces[107]) == (b"<bos>", b"<start_of_turn>", b"\n")
    embedding = checkpoint.tensors["token_embd.weight"]
    assert (embedding.type, embedding.shape) == (TensorType.Q8_0, (262_144, 640))
    assert sum(tensor.values for tensor in checkpoint.tensors.values()) == 268_098_176
    end = max(tensor.data.ctypes.data + tensor.data.nbytes for tensor in checkpoint.tensors.values())
    start = min(tensor.data.ctypes.data for tensor in checkpoint.tensors.values())
    assert end - start == 253_113_024 - 6_525_120  # from the first aligned byte after the header to the file's end
