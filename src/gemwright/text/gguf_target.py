"""The vocabulary of a checkpoint as GGUF files hold one: the inverse of `gguf_source`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from gemwright.errors import FileError
from gemwright.text.files import read_bounded
from gemwright.text.pieces import Checkpoint, Pieces, PieceType, pack, spellings
from gemwright.text.sentencepiece_model import sentencepiece_pieces
from gemwright.text.suppressed import GGUF_KEY, suppressed_tokens
from gemwright.text.tokenizer import Tokenizer
from gemwright.text.tokenizer_json import json_pieces
from gemwright.text.tuning import instruction_tuning, read_object

_MARK = "▁".encode()
_MAX_TEMPLATE_BYTES = 1 << 20


def gguf_tokenizer(checkpoint: Checkpoint, rows: int) -> dict[str, Any]:
    """The keys `tokenizer.*` for a safetensors checkpoint whose embedding has `rows` rows; `tokens` as Pieces.

    Pieces without a row are left out and rows without a piece get an unused one, as the files in circulation have it.
    Raises FileError (no tokenizer.json or tokenizer.model) and what reading those does.
    """
    pieces = _fitted(_pieces(checkpoint), rows)
    tokenizer = Tokenizer.from_pieces(pieces)
    end = tokenizer.end_of_turn_id if instruction_tuning(checkpoint).chat else None
    ids = {
        "bos": tokenizer.bos_id,
        "eos": tokenizer.eos_id if end is None else end,
        "unknown": tokenizer.unk_id,
        "padding": tokenizer.pad_id,
    }
    return {
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.pre": "default",
        "tokenizer.ggml.tokens": pieces,
        "tokenizer.ggml.scores": pieces.scores,
        "tokenizer.ggml.token_type": pieces.types,
        **{f"tokenizer.ggml.{name}_token_id": id for name, id in ids.items() if id is not None},
        "tokenizer.ggml.add_bos_token": True,
        "tokenizer.ggml.add_eos_token": False,
        "tokenizer.ggml.add_space_prefix": False,
        **_chat_template(checkpoint.directory),
        **_suppressed(checkpoint, rows),
    }


def _suppressed(checkpoint: Checkpoint, rows: int) -> dict[str, Any]:
    ids = suppressed_tokens(checkpoint, rows)
    return {GGUF_KEY: np.array(sorted(ids), np.int32)} if ids else {}


def _chat_template(directory: Path) -> dict[str, str]:
    """The template beside the weights, as it stands: other programs evaluate it, we never do."""
    if (path := directory / "chat_template.jinja").exists():
        return {"tokenizer.chat_template": read_bounded(path, _MAX_TEMPLATE_BYTES).decode("utf-8", "replace")}
    path = directory / "tokenizer_config.json"
    template = read_object(path).get("chat_template") if path.exists() else None
    return {"tokenizer.chat_template": template} if isinstance(template, str) else {}


def _pieces(checkpoint: Checkpoint) -> Pieces:
    directory = checkpoint.directory
    if (path := directory / "tokenizer.json").exists():
        return json_pieces(path)
    if (path := directory / "tokenizer.model").exists():
        return sentencepiece_pieces(path)
    raise FileError(f"{directory} has neither tokenizer.json nor tokenizer.model.", hint="Copy one into it.")


def _fitted(pieces: Pieces, rows: int) -> Pieces:
    """As many pieces as `rows`; runs of U+2581 that users may type as spaces are spelled as spaces, as llama.cpp reads
    them."""
    missing = range(len(pieces.scores), rows)
    texts = [*spellings(pieces), *(f"[PAD{id}]".encode() for id in missing)][:rows]
    types = np.concatenate([pieces.types, np.full(len(missing), PieceType.UNUSED, np.int32)])[:rows]
    scores = np.concatenate([pieces.scores, np.full(len(missing), -1000, np.float32)])[:rows]
    for id in np.flatnonzero(types == PieceType.USER_DEFINED).tolist():
        texts[id] = texts[id].replace(_MARK, b" ")
    return pack(texts, scores.tolist(), types.tolist(), pieces.source)
