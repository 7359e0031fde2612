"""The real Gemma 3 270M for tests: opened, tokenised texts, and our network at either precision."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from gemwright import ops
from gemwright.embedded import default_model
from gemwright.models import ARCHITECTURES, Network
from gemwright.models.weights import Precision
from gemwright.settings import load_settings
from gemwright.text.tokenizer import Tokenizer
from gemwright.weights import Checkpoint, open_checkpoint

TEXTS = Path(__file__).parents[1] / "data"
F32 = npt.NDArray[np.float32]
I32 = npt.NDArray[np.int32]


@lru_cache(maxsize=1)
def checkpoint() -> Checkpoint:
    """The default model's file, assembled if it was not yet."""
    return open_checkpoint(default_model(load_settings().cache_dir, print))


@lru_cache(maxsize=2)
def network(precision: Precision) -> Network:
    """Our engine's network of it."""
    return ARCHITECTURES[checkpoint().architecture].build(checkpoint(), precision)


def tokens(text: str) -> I32:
    """tests/data/`text`.txt without its final newline, BOS first: int32[T]."""
    ids = Tokenizer.from_gguf(checkpoint()).encode((TEXTS / f"{text}.txt").read_text("utf-8").removesuffix("\n"))
    return np.asarray(ids, np.int32)


def log_probabilities(logits: F32) -> F32:
    """Log-softmax of each row, its sum in float64: [n, V] → the same array, overwritten (it is large)."""
    logits -= logits.max(axis=1, keepdims=True)
    logits -= np.log(np.exp(logits).sum(axis=1, keepdims=True, dtype=np.float64)).astype(np.float32)
    return logits


def token_scores(net: Network, hidden: F32, following: I32, slice_rows: int = 64) -> F32:
    """Log-probability of following[i] after hidden[i], in slices so that memory stays small: float32[n]."""
    scores = []
    for at in range(0, len(hidden), slice_rows):
        logits = net.logits(hidden[at : at + slice_rows])
        scores += [row[token] - ops.log_sum_exp(row) for row, token in zip(logits, following[at:], strict=False)]
    return np.asarray(scores, np.float32)
