"""Encoding, against a slow tokenizer that follows the rules by the letter."""

from __future__ import annotations

import threading
import time
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gemwright.errors import UsageError
from gemwright.text.tokenizer import Tokenizer
from unit.text.toy import CHARACTERS, CONTROL, LITERALS, MERGED, Toy, slow_encode

TOY = Toy.of()
TOKENIZER = Tokenizer.from_pieces(TOY.pieces())
BITS = st.sampled_from(
    [*CONTROL, *LITERALS, *MERGED, *CHARACTERS, " ", "  ", "the", "😀", "\x00", "\udcff", "\udce2", "<0x41>"]
)
TEXTS = st.lists(BITS, max_size=30).map("".join) | st.text(max_size=30)


@given(TEXTS)
@settings(max_examples=500, deadline=None)
def test_text_becomes_the_tokens_of_the_slow_tokenizer(text: str) -> None:
    assert TOKENIZER.encode(text, bos=False) == slow_encode(TOY, text)
    assert TOKENIZER.encode_trusted_with_control_tokens(text, bos=False) == slow_encode(TOY, text, control=True)


@given(
    st.lists(st.text("ab▁é", min_size=2, max_size=6), max_size=25, unique=True),
    st.text("ab é▁", max_size=40),
    st.sampled_from([1, 1, 2, 5, 25]),
)
@settings(max_examples=800, deadline=None)
def test_any_vocabulary_merges_as_the_slow_tokenizer_does(merged: list[str], text: str, ties: int) -> None:
    merged = [piece for piece in merged if piece not in LITERALS]
    toy = Toy.of(merged, "ab▁é", ties)
    assert Tokenizer.from_pieces(toy.pieces()).encode(text, bos=False) == slow_encode(toy, text)


@pytest.mark.parametrize(("text", "expected"), [("xbab", ["x", "bab"]), ("babx", ["bab", "x"])])
def test_of_merges_with_equal_scores_the_one_with_the_longer_half_comes_first(text: str, expected: list[str]) -> None:
    toy = Toy.of(["ab", "ba", "xb", "bab", "bx", "zz"] if text[0] == "x" else ["ba", "zz", "bx", "bab"], "abxz", 2)
    ids = Tokenizer.from_pieces(toy.pieces()).encode(text, bos=False)
    assert ids == slow_encode(toy, text)
    assert [toy.spellings[id] for id in ids] == expected


@pytest.mark.parametrize("count", range(1, 40))
def test_runs_of_white_space_are_taken_as_the_slow_tokenizer_takes_them(count: int) -> None:
    for run in (" " * count, "▁" * count, "\n" * count, "\t" * count, " ▁" * count):
        for text in (run, f"{run}table", f"a{run}", f"a{run}a", f"{run}\n{run}"):
            assert TOKENIZER.encode(text, bos=False) == slow_encode(TOY, text)


@given(TEXTS)
@settings(max_examples=500, deadline=None)
def test_user_text_never_becomes_a_control_token_but_the_first_bos(text: str) -> None:
    ids = TOKENIZER.encode(text)
    assert ids[0] == TOY.id("<bos>")
    assert not any(TOKENIZER.is_control(id) for id in ids[1:])


@given(TEXTS)
@settings(max_examples=500, deadline=None)
def test_decoding_gives_the_text_back_but_for_the_space_mark_and_broken_bytes(text: str) -> None:
    expected = "".join("\ufffd" if 0xDC80 <= ord(c) <= 0xDCFF else c for c in text).replace("▁", " ")
    if not any(0xDC80 <= ord(c) <= 0xDCFF for c in text):  # escaped bytes may lie side by side and form a character
        assert TOKENIZER.decode(TOKENIZER.encode(text)) == expected
    ids = TOKENIZER.encode(text, bos=False)
    joined = b"".join(map(TOKENIZER.token_bytes, ids))
    assert joined == text.replace("▁", " ").encode("utf-8", "surrogateescape")


@given(st.binary(max_size=40))
@settings(max_examples=300, deadline=None)
def test_bytes_go_in_and_come_out_whatever_they_are(data: bytes) -> None:
    ids = TOKENIZER.encode_bytes(data, bos=False)
    assert b"".join(map(TOKENIZER.token_bytes, ids)) == data.replace("▁".encode(), b" ")
    assert ids == TOKENIZER.encode(data.decode("utf-8", "surrogateescape"), bos=False)


def test_every_undecodable_byte_is_its_own_token_and_nothing_merges_across_it() -> None:
    assert TOKENIZER.encode_bytes(b"ta\xffble", bos=False) == [
        TOY.id("ta"),
        TOY.id("<0xFF>"),
        TOY.id("bl"),
        TOY.id("e"),
    ]
    for broken in (b"\x80", b"\xc0\xaf", b"\xe2\x82", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xf8\x88\x80\x80\x80"):
        assert TOKENIZER.encode_bytes(broken, bos=False) == [TOY.id(f"<0x{byte:02X}>") for byte in broken]


def test_a_surrogate_that_stands_for_no_byte_is_refused_and_named() -> None:
    with pytest.raises(UsageError, match=r"lone surrogate U\+D83D at character 2"):
        TOKENIZER.encode("ab\ud83d")


@pytest.mark.parametrize("length", [2047, 5000, 5001])
def test_an_encoding_that_hangs_on_the_far_end_of_a_long_text_is_exact(length: int) -> None:
    """Each pair merges before the one to its left, so the last character decides how the first ones pair up."""
    chain = [chr(0x4E00 + i) for i in range(length)]
    pairs = [a + b for a, b in pairwise(chain)]
    toy = Toy.of(list(reversed(pairs)), "".join(chain))
    ids = Tokenizer.from_pieces(toy.pieces()).encode("".join(chain), bos=False)
    spellings = [toy.spellings[id] for id in ids]
    odd = length % 2
    assert spellings == chain[:odd] + pairs[odd::2]


def test_long_runs_are_exact_across_windows() -> None:
    for count in (2000, 2048, 4097, 100_003):
        ids = TOKENIZER.encode("a" * count, bos=False)
        rest = {0: [], 1: ["a"], 2: ["aa"], 3: ["aa", "a"]}[count % 4]
        assert ids == [TOY.id("aaaa")] * (count // 4) + [TOY.id(piece) for piece in rest]


@pytest.mark.parametrize("unit", ["a", " ", "\n", "的", "😀", "ab", "\udcff", "<"])
def test_ten_megabytes_of_one_thing_are_no_attack(unit: str) -> None:
    count = 10_000_000 // len(unit.encode("utf-8", "surrogateescape"))
    ids = TOKENIZER.encode(unit * count, bos=False)
    assert sum(len(TOKENIZER.token_bytes(id)) for id in set(ids)) > 0
    assert len(TOKENIZER._vocabulary.decode(ids, False)) == count * len(unit.encode("utf-8", "surrogateescape"))


def test_threads_share_a_tokenizer() -> None:
    texts = [f"{i} table tables <b>able</b>  aab{'的' * i}" * 200 for i in range(8)]
    expected = [TOKENIZER.encode(text) for text in texts]
    wrong: list[int] = []

    def work(i: int) -> None:
        for _ in range(20):
            if TOKENIZER.encode(texts[i]) != expected[i]:
                wrong.append(i)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_other_threads_run_while_a_long_text_is_encoded() -> None:
    thread = threading.Thread(target=TOKENIZER.encode, args=("a" * 5_000_000,))
    moments = 0
    thread.start()
    while thread.is_alive():
        time.sleep(0.001)
        moments += 1
    assert moments > 20, "the lock was held: this thread could not run"


def test_decoding_leaves_control_tokens_out_unless_asked() -> None:
    ids = [TOY.id("<bos>"), TOY.id("table"), TOY.id("<end_of_turn>")]
    assert TOKENIZER.decode(ids) == "table"
    assert TOKENIZER.decode(ids, control=True) == "<bos>table<end_of_turn>"
    assert TOKENIZER.token_bytes(ids[0]) == b""
    assert TOKENIZER.spelling(TOY.id("▁t")) == "▁t"
    assert TOKENIZER.token_bytes(TOY.id("▁▁")) == b"  "


@pytest.mark.parametrize("wrong", [-1, len(TOY.spellings), 2**40, -(2**40)])
def test_an_id_outside_the_vocabulary_is_refused_and_named(wrong: int) -> None:
    for use in (TOKENIZER.token_bytes, TOKENIZER.spelling, TOKENIZER.is_control, lambda id: TOKENIZER.decode([0, id])):
        with pytest.raises(UsageError, match=f"token {wrong} is not in the vocabulary, which has ids 0 to"):
            use(wrong)


def test_undecodable_bytes_come_out_one_replacement_each_and_whole_characters_whole() -> None:
    def decode(data: bytes) -> str:
        return TOKENIZER.decode([TOY.id(f"<0x{byte:02X}>") for byte in data])

    assert decode("é😀".encode()) == "é😀"
    assert decode(b"\xc3\xa9\xff\xe2\x82A") == "é\ufffd\ufffd\ufffdA"
    assert decode(b"\xed\xa0\x80") == "\ufffd\ufffd\ufffd"
