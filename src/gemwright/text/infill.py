"""Prompts for the middle of a text: what stands before and after the cursor, between CodeGemma's control tokens.

    <bos> <|fim_prefix|> before <|fim_suffix|> after <|fim_middle|>

Nothing stands between a mark and the text beside it. The model goes on with the middle and ends it with
<|file_separator|> or <eos>. Source: ai.google.dev/gemma/docs/codegemma/prompt-structure.
"""

from __future__ import annotations

from dataclasses import dataclass

from gemwright.errors import UnsupportedModel
from gemwright.text.tokenizer import Tokenizer

MARKS = ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>", "<|file_separator|>")


@dataclass(frozen=True)
class InfillPrompt:
    """tokens: <bos> included. stop_ids: what ends the middle."""

    tokens: tuple[int, ...]
    stop_ids: frozenset[int]


def infill_prompt(prefix: str, suffix: str, tokenizer: Tokenizer) -> InfillPrompt:
    """What asks for the text between `prefix` and `suffix`; either may be empty, neither can become a control token.

    Raises UnsupportedModel if the vocabulary lacks one of MARKS as a control token.
    """
    ids = {mark: tokenizer.control_id(mark) for mark in MARKS}
    if lacking := [mark for mark, id in ids.items() if id is None]:
        raise UnsupportedModel(
            f"The vocabulary lacks {', '.join(lacking)}, with which a model is asked to fill in a text.",
            hint="CodeGemma 2B and 7B have them.",
        )
    before, after, middle, separator = (id for id in ids.values() if id is not None)
    tokens = (
        tokenizer.bos_id,
        before,
        *tokenizer.encode(prefix, bos=False),
        after,
        *tokenizer.encode(suffix, bos=False),
        middle,
    )
    return InfillPrompt(tokens, tokenizer.stop_ids | {separator})
