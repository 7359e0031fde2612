"""A vocabulary comes from a file nobody vouches for: what does not fit together is refused with a sentence."""

from __future__ import annotations

import struct
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gemwright.errors import GemwrightError, ModelFormatError
from gemwright.text.pieces import Pieces
from gemwright.text.tokenizer import Tokenizer
from unit.text.toy import Toy, as_array, raw_pieces

TOY = Toy.of()
SPELLINGS = [spelling.encode() for spelling in TOY.spellings]
TYPES = [int(type_) for type_ in TOY.types]


def changed(spelling: str, new: bytes | None = None, type_: int | None = None, score: float = 0.0) -> Pieces:
    at = TOY.id(spelling)
    spellings = [new if i == at and new is not None else s for i, s in enumerate(SPELLINGS)]
    types = [type_ if i == at and type_ is not None else t for i, t in enumerate(TYPES)]
    return raw_pieces(spellings, types, [score if i == at else s for i, s in enumerate(TOY.scores)])


@pytest.mark.parametrize(
    ("pieces", "message"),
    [
        (changed("table", b""), "is empty"),
        (changed("table", b"x" * 256), "has 256 bytes; at most 255"),
        (changed("table", b"able"), "is the same as piece"),
        (changed("table", type_=0), "has type 0"),
        (changed("table", type_=7), "has type 7"),
        (changed("table", type_=-(2**31)), "has type -2147483648"),
        (changed("table", score=float("nan")), "a score that is not a number"),
        (changed("table", score=float("inf")), "a score that is not a number"),
        (changed("<0x41>", b"<0x-1>"), "is a byte piece, but not one of"),
        (changed("<0x41>", b"<0x4g>"), "is a byte piece, but not one of"),
        (changed("<0xAF>", b"<0xaf>"), "is a byte piece, but not one of"),
        (changed("<0x41>", b"<0x041>"), "is a byte piece, but not one of"),
        (changed("<0x41>", b"<0x42>"), "is a byte piece that piece"),
        (changed("<0x41>", type_=5), "has no byte piece <0x41>"),
        (changed("<bos>", type_=1), "no control token <bos>"),
        (changed("<eos>", b"<eot>"), "no control token <eos>"),
        (raw_pieces([], []), "is empty"),
    ],
)
def test_a_piece_that_cannot_be_is_named(pieces: Pieces, message: str) -> None:
    with pytest.raises(ModelFormatError, match=message):
        Tokenizer.from_pieces(pieces)


def test_a_table_that_does_not_fit_its_bytes_is_refused() -> None:
    good = TOY.pieces()
    raw = good.raw.tobytes()
    huge = struct.pack("<Q", 2**64 - 1) + raw[8:]
    for wrong in (raw[:-1], raw + b"\0", raw[: len(raw) // 2], huge, b"", raw[8:]):
        with pytest.raises(ModelFormatError, match="vocabulary"):
            Tokenizer.from_pieces(replace(good, raw=as_array(wrong)))
    with pytest.raises(ModelFormatError, match="differ in number"):
        Tokenizer.from_pieces(replace(good, scores=good.scores[:-1]))


@pytest.mark.parametrize("first", [9, 100, 200, 255])
def test_pieces_that_take_the_room_of_those_after_them_are_refused(first: int) -> None:
    """Each length lies within the table; together they are longer than the pieces can be."""
    raw = (struct.pack("<Q", first) + b"x" * first) * 3
    count = len(raw) // 8
    types, scores = np.full(count, 3, np.int32), np.zeros(count, np.float32)
    with pytest.raises(ModelFormatError, match="leaves no room"):
        Tokenizer.from_pieces(Pieces(as_array(raw), scores, types, "crowded"))


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_damage_is_refused_or_harmless(data: st.DataObject) -> None:
    good = TOY.pieces()
    raw = bytearray(good.raw.tobytes())
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    types = good.types.copy()
    types[data.draw(st.integers(0, len(types) - 1))] = data.draw(st.integers(-1, 8))
    scores = good.scores.copy()
    scores[data.draw(st.integers(0, len(scores) - 1))] = data.draw(st.floats(width=32))
    try:
        tokenizer = Tokenizer.from_pieces(Pieces(as_array(bytes(raw)), scores, types, "damaged"))
    except GemwrightError:
        return
    ids = tokenizer.encode("table <b>able</b> ééé\n\n  的 \udcff" * 3)
    assert not any(tokenizer.is_control(id) for id in ids[1:])
    tokenizer.decode(ids, control=True)
    assert [tokenizer.spelling(id) for id in ids]


@pytest.mark.parametrize("mark", ["<start_of_turn>", "<end_of_turn>", "<mask>", "<unused0>"])
def test_a_file_that_calls_a_turn_mark_plain_text_does_not_let_users_write_it(mark: str) -> None:
    tokenizer = Tokenizer.from_pieces(changed(mark, type_=4))
    id = TOY.id(mark)
    assert tokenizer.is_control(id)
    assert id not in tokenizer.encode(f"x{mark} {mark}")
    assert id in tokenizer.encode_trusted_with_control_tokens(f"x{mark}", bos=False)


def test_padding_of_the_table_is_never_made() -> None:
    pieces = raw_pieces([*SPELLINGS, b"[PAD1]", b""], [*TYPES, 5, 5], [*TOY.scores, 0.0, 0.0])
    tokenizer = Tokenizer.from_pieces(pieces)
    assert tokenizer.vocabulary_size == len(SPELLINGS) + 2
    assert max(tokenizer.encode("[PAD1]")) < len(SPELLINGS)
    assert tokenizer.token_bytes(len(SPELLINGS)) == b""


def test_pieces_need_not_be_utf8() -> None:
    pieces = raw_pieces(
        [*SPELLINGS, b"a\xffb", b"\xe2\x82", b"\xed\xa0\x80"], [*TYPES, 1, 1, 1], [*TOY.scores, 5.0, 6.0, 7.0]
    )
    tokenizer = Tokenizer.from_pieces(pieces)
    assert tokenizer.encode_bytes(b"a\xffb", bos=False) == [TOY.id("a"), TOY.id("<0xFF>"), TOY.id("b")]
    assert tokenizer.encode_bytes(b"\xed\xa0\x80", bos=False) == [TOY.id(f"<0x{byte:02X}>") for byte in b"\xed\xa0\x80"]
    assert tokenizer.token_bytes(len(SPELLINGS)) == b"a\xffb"


def test_arrays_of_other_types_are_not_converted_silently() -> None:
    good = TOY.pieces()
    with pytest.raises(TypeError):
        Tokenizer.from_pieces(replace(good, scores=good.scores.astype(np.float64)))  # type: ignore[arg-type]
