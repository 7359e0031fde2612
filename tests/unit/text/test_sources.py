"""GGUF, tokenizer.json and tokenizer.model of one vocabulary are one tokenizer; files of another kind are refused."""

from __future__ import annotations

import json
import struct
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gemwright.errors import FileError, GemwrightError, ModelFormatError, UnsupportedModel
from gemwright.text import tokenizer_json
from gemwright.text.pieces import PieceType, pack
from gemwright.text.sentencepiece_model import sentencepiece_pieces
from gemwright.text.tokenizer import Tokenizer
from unit.text.toy import (
    CONTROL,
    NORMALIZER,
    TRAINER,
    Toy,
    gguf_checkpoint,
    json_definition,
    sentencepiece_bytes,
    toy_sentencepiece,
    write_json,
)

TOY = Toy.of()


def test_the_three_sources_give_the_same_ids(tmp_path: Path, goldens: dict[str, Any]) -> None:
    write_json(tmp_path / "json", json_definition(TOY))
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "tokenizer.model").write_bytes(toy_sentencepiece(TOY))
    tokenizers = [
        Tokenizer.from_gguf(gguf_checkpoint(TOY)),
        Tokenizer.from_directory(tmp_path / "json"),
        Tokenizer.from_directory(tmp_path / "model"),
    ]
    for text in [*goldens["texts"], *CONTROL, " ▁  ▁▁   ▁", "<table></b>\n\n\n\n\t aaaaaaab"]:
        user = {tuple(t.encode(text)) for t in tokenizers}
        trusted = {tuple(t.encode_trusted_with_control_tokens(text, bos=False)) for t in tokenizers}
        assert len(user) == len(trusted) == 1, text


def test_tokenizer_json_counts_where_both_exist(tmp_path: Path) -> None:
    write_json(tmp_path, json_definition(TOY))
    (tmp_path / "tokenizer.model").write_bytes(b"not read")
    assert Tokenizer.from_directory(tmp_path).vocabulary_size == len(TOY.spellings)


def test_a_directory_without_a_vocabulary_says_so(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"neither tokenizer\.json nor tokenizer\.model"):
        Tokenizer.from_directory(tmp_path)


def test_an_added_token_beyond_the_vocabulary_has_its_id(tmp_path: Path) -> None:
    definition = json_definition(TOY)
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    definition["added_tokens"].append({"id": len(TOY.spellings), "content": "<image_soft_token>", **flags})
    write_json(tmp_path, definition)
    tokenizer = Tokenizer.from_directory(tmp_path)
    assert tokenizer.control_id("<image_soft_token>") == len(TOY.spellings)
    assert len(TOY.spellings) not in tokenizer.encode("<image_soft_token>")


def test_merges_written_as_one_string_are_the_same(tmp_path: Path) -> None:
    definition = json_definition(TOY)
    definition["model"]["merges"] = [" ".join(pair) for pair in definition["model"]["merges"]]
    write_json(tmp_path, definition)
    assert (
        Tokenizer.from_directory(tmp_path).encode("stable")[1:]
        == Tokenizer.from_pieces(TOY.pieces()).encode("stable")[1:]
    )


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("model", "type"), "Unigram", "model.type = 'Unigram'"),
        (("model", "byte_fallback"), False, "model.byte_fallback = False"),
        (("model", "ignore_merges"), True, "model.ignore_merges = True"),
        (("normalizer",), {"type": "NFC"}, "normalises"),
        (("normalizer",), None, "normalises"),
        (("pre_tokenizer",), {"type": "ByteLevel"}, "splits text"),
        (("added_tokens", 0, "lstrip"), True, "has conditions"),
        (("added_tokens", 0, "normalized"), True, "has conditions"),
    ],
)
def test_a_tokenizer_json_that_works_differently_is_refused(
    tmp_path: Path, path: Any, value: Any, message: str
) -> None:
    definition = json_definition(TOY)
    place: Any = definition
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    write_json(tmp_path, definition)
    with pytest.raises(UnsupportedModel, match=message):
        Tokenizer.from_directory(tmp_path)


def test_a_merge_list_that_is_not_the_one_the_pieces_imply_is_refused(tmp_path: Path) -> None:
    good = json_definition(TOY)["model"]["merges"]
    at = good.index(["ta", "ble"]) if ["ta", "ble"] in good else good.index(["t", "able"])
    lists = [
        good[:-1],
        good[:at] + good[at + 1 :],
        good[:1] + good,
        [*good[:2], good[3], good[2], *good[4:]],
        [*good, ["a", "的"]],
        [*good, ["nowhere", "a"]],
        [*good, ["<", "bos>"]],
        list(reversed(good)),
    ]
    for merges in lists:
        definition = json_definition(TOY)
        definition["model"]["merges"] = merges
        write_json(tmp_path, definition)
        with pytest.raises(UnsupportedModel, match="merges in an order"):
            Tokenizer.from_directory(tmp_path)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ((), []),
        (("model",), None),
        (("model", "vocab"), None),
        (("model", "vocab"), {"a": "1"}),
        (("model", "vocab"), {"a": 1.0}),
        (("model", "vocab", "table"), 0),
        (("model", "vocab", "table"), -1),
        (("model", "vocab", "table"), 10**30),
        (("model", "vocab", "\ud800"), len(TOY.spellings)),
        (("model", "merges"), None),
        (("model", "merges"), [["a"]]),
        (("model", "merges"), [["a", 1]]),
        (("model", "merges"), ["a b c"]),
        (("added_tokens",), [3]),
        (("added_tokens", 0, "id"), "0"),
        (("added_tokens", 0, "content"), None),
    ],
)
def test_a_tokenizer_json_of_wrong_shape_is_refused(tmp_path: Path, path: Any, value: Any) -> None:
    definition: Any = json_definition(TOY)
    place = definition
    for key in path[:-1]:
        place = place[key]
    if path:
        place[path[-1]] = value
    else:
        definition = value
    write_json(tmp_path, definition)
    with pytest.raises(ModelFormatError):
        Tokenizer.from_directory(tmp_path)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[" * 100_000, b"null", b'{"model": {"type": "BPE"'])
def test_a_tokenizer_json_that_is_no_json_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "tokenizer.json").write_bytes(content)
    with pytest.raises(ModelFormatError):
        Tokenizer.from_directory(tmp_path)


def test_a_file_beyond_its_bound_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokenizer_json, "MAX_BYTES", 100)
    write_json(tmp_path, json_definition(TOY))
    with pytest.raises(ModelFormatError, match="longer than 100 bytes"):
        Tokenizer.from_directory(tmp_path)


@pytest.mark.parametrize(
    ("trainer", "normalizer", "message"),
    [
        ({**TRAINER, 3: 1}, NORMALIZER, "model_type = 1"),
        ({35: 1}, NORMALIZER, "model_type = 1"),
        ({3: 2}, NORMALIZER, "byte_fallback = 0"),
        (TRAINER, {**NORMALIZER, 3: 1}, "add_dummy_prefix = 1"),
        (TRAINER, {2: b"", 4: 0}, "add_dummy_prefix = 1"),
        (TRAINER, {**NORMALIZER, 4: 1}, "remove_extra_whitespaces = 1"),
        (TRAINER, {**NORMALIZER, 2: b"map"}, "precompiled_charsmap = 3 bytes"),
    ],
)
def test_a_sentencepiece_model_that_works_differently_is_refused(
    tmp_path: Path, trainer: Any, normalizer: Any, message: str
) -> None:
    (tmp_path / "tokenizer.model").write_bytes(sentencepiece_bytes([(b"a", 0.0, 1)], trainer, normalizer))
    with pytest.raises(UnsupportedModel, match=message):
        Tokenizer.from_directory(tmp_path)


def test_scores_and_types_of_a_sentencepiece_model_are_read(tmp_path: Path) -> None:
    (tmp_path / "m").write_bytes(sentencepiece_bytes([(b"a", -1.5, 1), (b"<x>", 0.0, 4)]))
    pieces = sentencepiece_pieces(tmp_path / "m")
    assert pieces.raw.tobytes() == struct.pack("<Q", 1) + b"a" + struct.pack("<Q", 3) + b"<x>"
    np.testing.assert_array_equal(pieces.scores, np.array([-1.5, 0.0], np.float32))
    np.testing.assert_array_equal(pieces.types, [1, 4])


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_a_damaged_sentencepiece_model_is_refused_or_read(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    raw = bytearray(toy_sentencepiece(TOY))
    for _ in range(data.draw(st.integers(1, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    del raw[data.draw(st.integers(len(raw) // 2, len(raw))) :]
    path = tmp_path_factory.getbasetemp() / "tokenizer.model"
    path.write_bytes(raw)
    with suppress(GemwrightError):
        Tokenizer.from_pieces(sentencepiece_pieces(path))


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"model": None}, ModelFormatError, "holds no tokenizer"),
        ({"model": "gpt2"}, UnsupportedModel, "of kind 'gpt2'"),
        ({"add_space_prefix": True}, UnsupportedModel, "puts a space before"),
        ({"tokens": None}, ModelFormatError, "tokens is not an array of strings"),
        ({"tokens": np.zeros(3)}, ModelFormatError, "tokens is not an array of strings"),
        ({"scores": None}, ModelFormatError, "scores is not an array of"),
        ({"scores": np.zeros(3, np.float32)}, ModelFormatError, "scores is not an array of"),
        ({"token_type": np.zeros(len(TOY.spellings), np.float32)}, ModelFormatError, "token_type is not an array of"),
    ],
)
def test_a_gguf_file_without_gemmas_tokenizer_is_refused(
    changes: Any, error: type[GemwrightError], message: str
) -> None:
    with pytest.raises(error, match=message):
        Tokenizer.from_gguf(gguf_checkpoint(TOY, **changes))


def test_a_checkpoint_brings_its_own_tokenizer(tmp_path: Path) -> None:
    assert Tokenizer.from_checkpoint(gguf_checkpoint(TOY)).vocabulary_size == len(TOY.spellings)
    write_json(tmp_path, json_definition(TOY))
    checkpoint = gguf_checkpoint(TOY, tmp_path / "model.safetensors")
    checkpoint.kind = "safetensors"
    assert (
        Tokenizer.from_checkpoint(checkpoint).control_id("<bos>")
        == json.loads((tmp_path / "tokenizer.json").read_text("utf-8"))["model"]["vocab"]["<bos>"]
    )


def gemma4_checkpoint(toy: Toy, **changes: Any) -> Any:
    """As Gemma 4's GGUF files are: a merge list, no scores, and runs and <unused0> listed like words."""
    plain = [PieceType.NORMAL if t == PieceType.USER_DEFINED else t for t in toy.types]
    plain[toy.id("<unused0>")] = PieceType.NORMAL
    merges = [f"{left} {right}".encode() for left, right in toy.merges()]
    packed = pack(merges, [0.0] * len(merges), [1] * len(merges), "")
    values = {
        "model": "gemma4",
        "add_bos_token": False,
        "tokens": SimpleNamespace(raw=toy.pieces().raw, count=len(toy.spellings)),
        "scores": np.full(len(toy.spellings), -1000, np.float32),
        "token_type": np.array(plain, np.int32),
        "merges": SimpleNamespace(raw=packed.raw, count=len(merges)),
    }
    return gguf_checkpoint(toy, **{**values, **changes})


def test_the_merge_list_of_a_gemma_4_file_gives_the_ids_of_its_scores(goldens: dict[str, Any]) -> None:
    tokenizer, scored = Tokenizer.from_gguf(gemma4_checkpoint(TOY)), Tokenizer.from_pieces(TOY.pieces())
    for text in [*goldens["texts"], "\n\n\n\n\n\n\n", "a\n\n\nb\n", "   a    aa  b", "aaaaaaab tables étés"]:
        if "[multimodal]" not in text:
            assert tokenizer.encode(text) == scored.encode(text), text


def test_a_gemma_4_file_begins_with_bos_once_whatever_it_says_of_it() -> None:
    for says in (True, False, None):
        ids = Tokenizer.from_gguf(gemma4_checkpoint(TOY, add_bos_token=says)).encode("a")
        assert ids == [TOY.id("<bos>"), TOY.id("a")]


def test_reserved_pieces_of_a_gemma_4_file_are_control_tokens_and_never_made_from_text() -> None:
    tokenizer = Tokenizer.from_gguf(gemma4_checkpoint(TOY))
    id = TOY.id("<unused0>")
    assert tokenizer.is_control(id)
    assert id in tokenizer.reserved_ids
    assert id not in tokenizer.encode("<unused0>")
    assert tokenizer.decode([id]) == ""


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"merges": None}, ModelFormatError, "merges is not an array"),
        ({"merges": SimpleNamespace(raw=pack([b"a"], [0], [1], "").raw, count=1)}, ModelFormatError, "two pieces"),
        ({"merges": SimpleNamespace(raw=pack([b"a b"], [0], [1], "").raw, count=1)}, UnsupportedModel, "in an order"),
        ({"model": "gpt2"}, UnsupportedModel, "kind 'gpt2'"),
    ],
)
def test_a_gemma_4_file_with_other_merges_is_refused(changes: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        Tokenizer.from_gguf(gemma4_checkpoint(TOY, **changes))


def older(toy: Toy) -> Toy:
    """With a run of tabs listed like a word and no piece for one, as Gemma 1 and 2 have it."""
    spelled = tuple("\t\t" if s == "\t" else s for s in toy.spellings)
    types = tuple(PieceType.NORMAL if s == "\t\t" else t for s, t in zip(spelled, toy.types, strict=True))
    return Toy(spelled, tuple(-9.0 if s == "\t\t" else v for s, v in zip(spelled, toy.scores, strict=True)), types)


def older_json(toy: Toy) -> dict[str, Any]:
    """<0x09> by its character, merges to runs of it, and halves with low ids first."""
    definition = json_definition(toy)
    ids = {"\t" if s == "<0x09>" else s: id for s, id in definition["model"]["vocab"].items()}
    merges = [("\t", "\t"), *toy.merges()]
    made = list(dict.fromkeys(left + right for left, right in merges))
    merges.sort(key=lambda pair: (made.index(pair[0] + pair[1]), ids[pair[0]], ids[pair[1]]))
    definition["model"] |= {"vocab": ids, "merges": [list(pair) for pair in merges]}
    return definition


def test_the_older_files_of_gemma_1_and_2_give_the_same_ids_in_every_form(
    tmp_path: Path, goldens: dict[str, Any]
) -> None:
    toy = older(TOY)
    write_json(tmp_path / "json", older_json(toy))
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "tokenizer.model").write_bytes(toy_sentencepiece(toy))
    tokenizers = [
        Tokenizer.from_gguf(gguf_checkpoint(toy)),
        Tokenizer.from_directory(tmp_path / "json"),
        Tokenizer.from_directory(tmp_path / "model"),
    ]
    for tokenizer in tokenizers:
        assert tokenizer.encode("\t\t\ta", bos=False) == [toy.id("\t\t"), toy.id("<0x09>"), toy.id("a")]
        assert tokenizer.decode(tokenizer.encode("\ta\t\t")) == "\ta\t\t"
    for text in goldens["texts"]:
        assert len({tuple(tokenizer.encode(text)) for tokenizer in tokenizers}) == 1, text


def test_an_older_file_with_merges_missing_is_refused(tmp_path: Path) -> None:
    definition = older_json(older(TOY))
    definition["model"]["merges"].pop()
    write_json(tmp_path, definition)
    with pytest.raises(UnsupportedModel, match="in an order"):
        Tokenizer.from_directory(tmp_path)


def test_ids_may_have_gaps_but_not_any(tmp_path: Path) -> None:
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    definition = json_definition(TOY)
    last = len(TOY.spellings) + 100
    definition["added_tokens"].append({"id": last, "content": "<audio_soft_token>", **flags})
    tokenizer = Tokenizer.from_directory(write_json(tmp_path / "near", definition).parent)
    assert tokenizer.control_id("<audio_soft_token>") == last
    assert tokenizer.decode([last - 1, TOY.id("a")]) == "a"
    definition["added_tokens"][-1]["id"] += tokenizer_json.MAX_GAPS
    with pytest.raises(ModelFormatError, match="ids up to"):
        Tokenizer.from_directory(write_json(tmp_path / "far", definition).parent)
