"""Gemma 3's own vocabulary, against the reference tokenizer. Origin of the goldens: inside them, and in
scripts/make_tokenizer_goldens.py, which made them."""

from __future__ import annotations

import random
from typing import Any

import pytest

from gemwright.text.tokenizer import Tokenizer

pytestmark = pytest.mark.real


def test_the_corpus_is_as_large_as_promised(goldens: dict[str, Any]) -> None:
    assert len(set(goldens["texts"])) == len(goldens["texts"]) == len(goldens["user"]) >= 5000
    assert len(goldens["languages"]) >= 140
    assert len(goldens["control"]) >= 6000, "spellings of control tokens, where the two ways of reading differ"


def test_user_text_has_the_ids_of_the_reference(real: Tokenizer, goldens: dict[str, Any]) -> None:
    wrong = [
        (text, ids, found)
        for text, ids in zip(goldens["texts"], goldens["user"], strict=True)
        if (found := real.encode(text, bos=False)) != ids
    ]
    assert not wrong, f"{len(wrong)} texts differ, the first: {wrong[0]}"


def test_text_with_control_tokens_has_the_ids_of_the_reference(real: Tokenizer, goldens: dict[str, Any]) -> None:
    for i, (text, ids) in enumerate(zip(goldens["texts"], goldens["user"], strict=True)):
        expected = goldens["control"].get(str(i), ids)
        assert real.encode_trusted_with_control_tokens(text, bos=False) == expected, text


def test_no_spelling_of_any_special_token_becomes_a_control_token(real: Tokenizer, goldens: dict[str, Any]) -> None:
    for text in goldens["texts"]:
        assert not any(map(real.is_control, real.encode(text, bos=False))), text


def test_ids_give_the_text_back(real: Tokenizer, goldens: dict[str, Any]) -> None:
    for text, ids in zip(goldens["texts"], goldens["user"], strict=True):
        plain = text.replace("▁", " ").encode("utf-8", "surrogateescape")
        assert b"".join(map(real.token_bytes, ids)) == plain
        if not any(0xDC80 <= ord(c) <= 0xDCFF for c in text):
            assert real.decode(ids) == plain.decode()


def test_the_tokens_everything_hangs_on(real: Tokenizer) -> None:
    assert (real.pad_id, real.eos_id, real.bos_id, real.unk_id) == (0, 1, 2, 3)
    assert (real.start_of_turn_id, real.end_of_turn_id) == (105, 106)
    assert real.stop_ids == {1, 106}
    assert real.vocabulary_size == 262_144
    assert real.encode("\n", bos=False) == [107]
    image_marks = [real.control_id("<start_of_image>"), real.control_id("<end_of_image>")]
    assert image_marks == [255_999, 256_000], "the file calls them plain text (type 4)"
    assert sum(real.is_control(id) for id in range(real.vocabulary_size)) == 6251


def test_a_megabyte_without_any_place_to_cut_is_encoded_whole(real: Tokenizer) -> None:
    text = "".join(random.Random(1).choices("abcdefghijklmnopqrstuvwxyz", k=1 << 20))
    assert real.decode(real.encode(text, bos=False)) == text
