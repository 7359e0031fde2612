"""The toy vocabulary with what CodeGemma and ShieldGemma need: marks for filling in, and Yes and No as tokens."""

from __future__ import annotations

from gemwright.text.infill import MARKS
from gemwright.text.pieces import PieceType
from gemwright.text.tokenizer import Tokenizer
from unit.text.toy import CHARACTERS, MERGED, Toy


def toy_with_marks(type_: PieceType = PieceType.CONTROL, *, without: tuple[str, ...] = ()) -> Toy:
    """type_: of the marks; files have them as control tokens or as user-defined ones. without: pieces left out."""
    toy = Toy.of((*MERGED, "Ye", "Yes", "No"), CHARACTERS + "YNo")
    pieces = [
        *zip(toy.spellings, toy.scores, toy.types, strict=True),
        *((mark, 0.0, type_) for mark in MARKS),
    ]
    return Toy(*map(tuple, zip(*(piece for piece in pieces if piece[0] not in without), strict=True)))


def tokenizer_with_marks(type_: PieceType = PieceType.CONTROL, *, without: tuple[str, ...] = ()) -> Tokenizer:
    """The tokenizer of that vocabulary."""
    return Tokenizer.from_pieces(toy_with_marks(type_, without=without).pieces())
