"""Reading safetensors models, whole and in shards, and the sentence each unsound one gets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gemwright.errors import FileError, GemwrightError, ModelFormatError, UnsupportedModel
from gemwright.weights import TensorType, open_checkpoint
from support.safetensors_writer import bf16, safetensors, with_header

ARRAYS = {
    "a": np.arange(6, dtype=np.float32).reshape(2, 3),
    "b": np.array([0.5, -2], np.float16),
    "c": bf16([1.0, -3.0]).reshape(1, 2),
    "d": np.float32(7).reshape(()),
}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A directory with a config.json; tests add the weights."""
    (tmp_path / "config.json").write_text('{"model_type": "gemma3_text", "hidden_size": 8}')
    return tmp_path


def put(model: Path, data: bytes, name: str = "model.safetensors") -> Path:
    (model / name).write_bytes(data)
    return model / name


def shards(model: Path, placement: dict[str, Any], files: dict[str, list[str]]) -> None:
    for name, keys in files.items():
        put(model, safetensors({key: ARRAYS[key] for key in keys}), name)
    (model / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": placement}))


def test_a_file_gives_back_what_was_written(model: Path) -> None:
    file = put(model, safetensors(ARRAYS, {"format": "pt"}))
    for path in (file, model):
        checkpoint = open_checkpoint(path)
        assert (checkpoint.kind, checkpoint.architecture, checkpoint.path) == ("safetensors", "gemma3_text", path)
        assert checkpoint.directory == model
        assert checkpoint.config["hidden_size"] == 8
        tensors = checkpoint.tensors
        assert {name: (tensor.type, tensor.shape) for name, tensor in tensors.items()} == {
            "a": (TensorType.F32, (2, 3)),
            "b": (TensorType.F16, (2,)),
            "c": (TensorType.BF16, (1, 2)),
            "d": (TensorType.F32, ()),
        }
        np.testing.assert_array_equal(tensors["a"].to_f32(), ARRAYS["a"])
        assert tensors["b"].to_f32().tolist() == [0.5, -2]
        assert tensors["c"].to_f32().tolist() == [[1, -3]]
        assert tensors["d"].to_f32() == 7


def test_tensors_may_lie_unaligned(model: Path) -> None:
    header = json.dumps({"x": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}).encode()
    header += b" " * (-len(header) % 8 + 1)
    put(model, len(header).to_bytes(8, "little") + header + np.array([1, 2], "<f4").tobytes())
    assert open_checkpoint(model).tensors["x"].to_f32().tolist() == [1, 2]


def test_lists_of_ids_are_checked_and_left_out(model: Path) -> None:
    put(model, safetensors({"x": np.array([1, 2], "<f4"), "ids": np.arange(3)}))
    assert open_checkpoint(model).tensors.keys() == {"x"}
    header = {"ids": {"dtype": "I64", "shape": [3], "data_offsets": [0, 12]}}
    put(model, with_header(json.dumps(header), bytes(12)))
    with pytest.raises(ModelFormatError, match="needs 24 bytes"):
        open_checkpoint(model)


def test_a_sharded_model_is_one_model(model: Path) -> None:
    shards(
        model,
        {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors",
         "c": "model-00001-of-00002.safetensors"},
        {"model-00001-of-00002.safetensors": ["a", "c"], "model-00002-of-00002.safetensors": ["b"]},
    )  # fmt: skip
    tensors = open_checkpoint(model).tensors
    assert tensors.keys() == {"a", "b", "c"}
    np.testing.assert_array_equal(tensors["a"].to_f32(), ARRAYS["a"])
    with pytest.raises(ModelFormatError, match="one shard of several"):
        open_checkpoint(model / "model-00001-of-00002.safetensors")


def test_shards_may_be_symbolic_links_as_in_download_caches(
    model: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    shards(model, {"a": "w.safetensors"}, {"w.safetensors": ["a"]})
    blob = tmp_path_factory.mktemp("blobs") / "e3b0c442"
    (model / "w.safetensors").rename(blob)
    (model / "w.safetensors").symlink_to(blob)
    assert open_checkpoint(model).tensors.keys() == {"a"}


LEADING_ELSEWHERE = [
    "../w.safetensors",
    "/w.safetensors",
    "sub/w.safetensors",
    "..\\w.safetensors",
    "c:w.safetensors",
    "w.safetensors\0",
    "w\n.safetensors",
    ".safetensors",
    "..safetensors",
    "-w.safetensors",
    "x" * 300 + ".safetensors",
    "w.bin",
    "",
    7,
    None,
    ["w.safetensors"],
]


@pytest.mark.parametrize("name", LEADING_ELSEWHERE)
def test_a_shard_name_that_could_lead_elsewhere_is_refused(model: Path, name: object) -> None:
    shards(model, {"a": name}, {"w.safetensors": ["a"]})
    (model.parent / "w.safetensors").write_bytes((model / "w.safetensors").read_bytes())
    with pytest.raises(ModelFormatError, match="not the plain name"):
        open_checkpoint(model)


def test_a_shard_holds_exactly_what_the_index_says(model: Path) -> None:
    shards(model, {"a": "w.safetensors", "b": "w.safetensors"}, {"w.safetensors": ["a"]})
    with pytest.raises(ModelFormatError, match="lacks tensor 'b'"):
        open_checkpoint(model)
    shards(model, {"a": "w.safetensors"}, {"w.safetensors": ["a", "b"]})
    with pytest.raises(ModelFormatError, match="holds tensor 'b'"):
        open_checkpoint(model)
    shards(model, {"a": "gone.safetensors"}, {})
    with pytest.raises(FileError, match=r"gone\.safetensors does not exist"):
        open_checkpoint(model)
    shards(model, {}, {})
    with pytest.raises(ModelFormatError, match="no weight_map"):
        open_checkpoint(model)
    shards(model, {str(i): f"w{i}.safetensors" for i in range(513)}, {})
    with pytest.raises(ModelFormatError, match="513 files"):
        open_checkpoint(model)


def entry(dtype: Any = "F32", shape: Any = (2,), offsets: Any = (0, 8), **more: Any) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets} | more


def file_of(body: bytes = bytes(8), **entries: Any) -> bytes:
    return with_header(json.dumps(entries), body)


UNSOUND: dict[str, tuple[bytes, type[GemwrightError], str]] = {
    "eight bytes": (b"\0" * 8, ModelFormatError, "nothing but zeros"),
    "header longer than the file": (
        (100).to_bytes(8, "little") + b"{" + b" " * 98,
        ModelFormatError,
        "ends inside its header of 100 bytes",
    ),
    "header of 2 GB": ((2**31).to_bytes(8, "little") + b"{}" * 50, ModelFormatError, "claims a header of 2,147,"),
    "header over the limit": (with_header(b"{}".ljust((8 << 20) + 1)), ModelFormatError, "at most 8,388,608"),
    "not JSON": (with_header("{nonsense"), ModelFormatError, "not sound JSON"),
    "not UTF-8": (with_header(b'{"\xff": 1}'), ModelFormatError, "not sound JSON"),
    "no tensors": (with_header('{"__metadata__": {}}'), ModelFormatError, "holds no tensors"),
    "metadata of numbers": (with_header('{"__metadata__": {"a": 1}}'), ModelFormatError, "strings to strings"),
    "metadata a list": (with_header('{"__metadata__": []}'), ModelFormatError, "strings to strings"),
    "key twice": (
        with_header('{"a": {"dtype":"F32","shape":[2],"data_offsets":[0,8]}, "a": {"dtype":"F32","shape":[2],'
                    '"data_offsets":[0,8]}}', bytes(8)),
        ModelFormatError,
        "'a' occurs twice",
    ),
    "dtype twice": (
        with_header('{"a": {"dtype":"F32","dtype":"F16","shape":[2],"data_offsets":[0,8]}}', bytes(8)),
        ModelFormatError,
        "'dtype' occurs twice",
    ),
    "deep nesting": (with_header('{"a":' + "[" * 100_000), ModelFormatError, "not sound JSON"),
    "nesting": (with_header('{"a":' + "[" * 40 + "]" * 40 + "}"), ModelFormatError, "nested more than 32 deep"),
    "very many values": (with_header('{"a":[' + "0," * 600_000 + "0]}"), ModelFormatError, "more than 524,288 values"),
    "an integer of 5,000 digits": (with_header('{"a":' + "9" * 5000 + "}"), ModelFormatError, "5,000 digits"),
    "NaN": (with_header('{"a": NaN}'), ModelFormatError, "NaN is not a JSON number"),
    "1e999": (with_header('{"a": 1e999}'), ModelFormatError, "beyond what a float can hold"),
    "entry a number": (file_of(a=3), ModelFormatError, "entry of tensor 'a'"),
    "entry with more": (file_of(a=entry(more=1)), ModelFormatError, "entry of tensor 'a'"),
    "shape a number": (file_of(a=entry(shape=2)), ModelFormatError, "no possible shape"),
    "shape negative": (file_of(a=entry(shape=[-2])), ModelFormatError, "no possible shape"),
    "shape of truth": (file_of(a=entry(shape=[True])), ModelFormatError, "no possible shape"),
    "shape of floats": (file_of(a=entry(shape=[2.0])), ModelFormatError, "no possible shape"),
    "nine axes": (file_of(a=entry(shape=[1] * 8 + [2])), ModelFormatError, "no possible shape"),
    "shape empty": (file_of(a=entry(shape=[0, 5])), ModelFormatError, "is empty"),
    "shape that overflows": (file_of(a=entry(shape=[2**33, 2**33])), ModelFormatError, "needs 295,147,905,179,"),
    "one offset": (file_of(a=entry(offsets=[0])), ModelFormatError, "no possible data_offsets"),
    "offsets backwards": (file_of(a=entry(offsets=[8, 0])), ModelFormatError, "needs 8 bytes, but has -8"),
    "size unlike shape": (file_of(a=entry(offsets=[0, 4])), ModelFormatError, "needs 8 bytes, but has 4"),
    "past the end": (file_of(a=entry(offsets=[8, 16])), ModelFormatError, "8 bytes past the end"),
    "cut short": (file_of(bytes(7), a=entry()), ModelFormatError, "cut short"),
    "overlap": (file_of(bytes(12), a=entry(), b=entry(offsets=[4, 12])), ModelFormatError, "'a' and 'b' overlap"),
    "hole": (file_of(bytes(20), a=entry(), b=entry(offsets=[12, 20])), ModelFormatError, "4 bytes belong to no tensor"),
    "left over": (file_of(bytes(12), a=entry()), ModelFormatError, "4 bytes belong to no tensor"),
    "unsupported type": (file_of(a=entry("I32", [1])), UnsupportedModel, "tensor 'a' is stored as 'I32'"),
    "type a number": (file_of(a=entry(3)), UnsupportedModel, "stored as 3"),
}  # fmt: skip


@pytest.mark.parametrize("case", UNSOUND)
def test_an_unsound_file_gets_a_sentence_that_names_the_fault(model: Path, case: str) -> None:
    data, error, words = UNSOUND[case]
    file = put(model, data)
    with pytest.raises(error) as caught:
        open_checkpoint(file)
    assert words in str(caught.value)
    assert str(file) in str(caught.value)


def test_every_truncation_is_noticed(model: Path) -> None:
    data = safetensors(ARRAYS)
    for size in range(len(data)):
        with pytest.raises(ModelFormatError):
            open_checkpoint(put(model, data[:size]))


def test_a_message_stays_short_when_names_are_long(model: Path) -> None:
    put(model, file_of(**{"x\x1b" * 100_000: entry("I32", [1])}))
    with pytest.raises(UnsupportedModel) as caught:
        open_checkpoint(model)
    assert len(str(caught.value)) < 1000
    assert "\x1b" not in str(caught.value)
