"""Streaming: the text of decoding at once, whole characters, no trace of a stop string, nothing held needlessly."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gemwright.errors import UsageError
from gemwright.text.decoding import EACH_BYTE
from gemwright.text.detokenizer import Detokenizer
from gemwright.text.tokenizer import Tokenizer
from unit.text.toy import Toy

TOY = Toy.of()
TOKENIZER = Tokenizer.from_pieces(TOY.pieces())
IDS = st.lists(
    st.integers(0, len(TOY.spellings) - 1) | st.sampled_from([TOY.id(f"<0x{byte:02X}>") for byte in "€😀é".encode()]),
    max_size=30,
)
AB_IDS = st.lists(
    st.sampled_from([TOY.id(s) for s in ("a", "b", "ab", "aa", "aab", "aaaa", "é", "<0xC3>", "<0xA9>")]), max_size=24
)
STOPS = st.lists(st.text("abé\ufffd", min_size=1, max_size=5), max_size=4)


def deltas(ids: list[int], stop: list[str]) -> tuple[list[str], Detokenizer]:
    detokenizer = Detokenizer(TOKENIZER, stop)
    return [*(detokenizer.feed(id) for id in ids), detokenizer.finish()], detokenizer


def cut(text: str, stop: list[str]) -> tuple[str, bool]:
    """`text` before the first stop string to be complete, by trying every end."""
    for end in range(len(text) + 1):
        starts = [end - len(s) for s in stop if text[:end].endswith(s)]
        if starts:
            return text[: min(starts)], True
    return text, False


@given(IDS)
@settings(max_examples=500, deadline=None)
def test_deltas_joined_are_the_text_decoded_at_once(ids: list[int]) -> None:
    assert "".join(deltas(ids, [])[0]) == TOKENIZER.decode(ids)


@given(AB_IDS, STOPS)
@settings(max_examples=1500, deadline=None)
def test_a_stop_string_ends_the_text_and_never_shows(ids: list[int], stop: list[str]) -> None:
    parts, detokenizer = deltas(ids, stop)
    expected, stopped = cut(TOKENIZER.decode(ids), stop)
    assert "".join(parts) == expected
    assert detokenizer.stopped == stopped


@given(AB_IDS, STOPS)
@settings(max_examples=1500, deadline=None)
def test_exactly_what_could_become_a_stop_string_is_held_back(ids: list[int], stop: list[str]) -> None:
    detokenizer = Detokenizer(TOKENIZER, stop)
    shown = ""
    for count, id in enumerate(ids, 1):
        shown += detokenizer.feed(id)
        if detokenizer.stopped:
            return
        data = b"".join(map(TOKENIZER.token_bytes, ids[:count]))
        begun = b"\xc3" if data.endswith(b"\xc3") else b""  # the only first byte of more among AB_IDS
        certain = data.removesuffix(begun).decode("utf-8", EACH_BYTE)
        held = certain[len(shown) :]
        assert certain.startswith(shown)
        threats = [n for s in stop for n in range(1, len(s)) if certain.endswith(s[:n]) and may_go_on(s[n], begun)]
        assert len(held) == max(threats, default=0)


def may_go_on(character: str, begun: bytes) -> bool:
    return character == "\ufffd" or character.encode().startswith(begun)


def test_a_character_in_parts_comes_whole() -> None:
    detokenizer = Detokenizer(TOKENIZER)
    assert [detokenizer.feed(TOY.id(f"<0x{byte:02X}>")) for byte in "😀".encode()] == ["", "", "", "😀"]


def test_a_character_that_stays_in_parts_comes_as_replacements_once_that_is_certain() -> None:
    detokenizer = Detokenizer(TOKENIZER)
    ids = [TOY.id("<0xF0>"), TOY.id("<0x9F>"), TOY.id("a"), TOY.id("<0xE2>")]
    assert [*map(detokenizer.feed, ids), detokenizer.finish()] == ["", "", "\ufffd\ufffda", "", "\ufffd"]


def test_after_a_stop_string_there_is_nothing() -> None:
    detokenizer = Detokenizer(TOKENIZER, ["ab"])
    assert detokenizer.feed(TOY.id("aab")) == "a"
    assert detokenizer.stopped
    assert detokenizer.feed(TOY.id("table")) == detokenizer.finish() == ""


def test_of_two_stop_strings_in_one_token_the_one_that_ends_first_counts() -> None:
    assert Detokenizer(TOKENIZER, ["able", "bl"]).feed(TOY.id("table")) == "ta"
    assert Detokenizer(TOKENIZER, ["le", "able"]).feed(TOY.id("table")) == "t"


def test_control_tokens_add_nothing() -> None:
    detokenizer = Detokenizer(TOKENIZER)
    assert detokenizer.feed(TOY.id("<end_of_turn>")) == detokenizer.feed(TOY.id("<unused0>")) == ""


def test_no_stop_string_reaches_across_a_control_token() -> None:
    detokenizer = Detokenizer(TOKENIZER, ["abc"])
    assert detokenizer.feed(TOY.id("ab")) == ""
    assert detokenizer.feed(TOY.id("<unused0>")) == "ab"
    assert detokenizer.feed(TOY.id("c")) == "c"
    assert not detokenizer.stopped


def test_an_unknown_token_is_refused() -> None:
    with pytest.raises(UsageError, match="not in the vocabulary"):
        Detokenizer(TOKENIZER).feed(10**6)
