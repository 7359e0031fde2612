"""A merge list as an order of the pieces it makes: what Hugging Face's files and Gemma 4's GGUF files hold.

Gemma's files list 514,906 merges. They say nothing that an order of the pieces does not: pieces get scores by the place
where the list makes them, and then `Vocabulary.first_foreign_merge` proves that the list is exactly what our encoder
does. A file of another making is refused, not approximated.
"""

from __future__ import annotations

import re
from collections.abc import Container, Mapping, Sequence
from typing import AnyStr

import numpy as np

from gemwright._tokenizer import Vocabulary
from gemwright.errors import UnsupportedModel
from gemwright.text.pieces import Pieces, PieceType

RESERVED = re.compile(rb"<unused[0-9]+>")
"""Pieces that mean nothing yet. Gemma 4's files list them like words; they are control tokens here, as ever before."""


def merge_scores(
    count: int, merges: Sequence[Sequence[AnyStr]], ids: Mapping[AnyStr, int], apart: Container[AnyStr]
) -> list[float]:
    """A score for each of `count` pieces; 0, the best, for those that are `apart` (added tokens) or never made.

    Merges are listed by the score of what they make; among equals by the lengths of both halves, longest first, and by
    id. So a merge that could not follow the one before among equals begins a new score. In Gemma's lists the runs of
    spaces, tabs and line breaks come first, with one score, which the first of all words ("▁t") has too.
    """
    scores = [0.0] * count
    group, before = 0, (-(1 << 30), 0, 0)
    for left, right in merges:
        piece = left + right
        if piece not in ids:
            continue
        place = (-_characters(left), -_characters(right), ids[piece])
        group += place < before
        before = place
        if piece not in apart:
            scores[ids[piece]] = float(-group)
    return scores


def in_our_order(
    merges: Sequence[Sequence[AnyStr]], ids: Mapping[AnyStr, int], pieces: Pieces
) -> list[Sequence[AnyStr]]:
    """`merges` sorted as our encoder ranks them: by the score of what they make, by long halves, by id."""
    best = np.where(pieces.types == PieceType.USER_DEFINED, 0, pieces.scores).tolist()

    def rank(pair: Sequence[AnyStr]) -> tuple[float, int, int, int]:
        id = ids.get(pair[0] + pair[1], -1)
        return -best[id], -_characters(pair[0]), -_characters(pair[1]), id

    return sorted(merges, key=rank)


def _characters(half: str | bytes) -> int:
    return len(half) if isinstance(half, str) else len(half.decode("utf-8", "replace"))


def check_merges(
    vocabulary: Vocabulary, merges: Sequence[Sequence[AnyStr]], ids: Mapping[AnyStr, int], source: object
) -> None:
    """Raises UnsupportedModel unless `merges` is what `vocabulary` does, to the last one."""
    left = np.array([ids.get(pair[0], -1) for pair in merges], np.int32)
    right = np.array([ids.get(pair[1], -1) for pair in merges], np.int32)
    place = vocabulary.first_foreign_merge(left, right)
    if place >= 0:
        raise UnsupportedModel(f"{source} merges in an order that Gemma's tokenizers do not have (merge {place:,}).")
