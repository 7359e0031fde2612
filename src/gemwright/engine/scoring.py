"""What a network thinks of a given text, without drawing anything: logits and log-probabilities, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from gemwright import ops
from gemwright.cache import pages_for
from gemwright.engine.request import Network
from gemwright.engine.validate import check_context, check_tokens
from gemwright.step import F32, I32, Step

STEP_TOKENS = 512
"""Tokens of one forward pass."""
ROWS = 64
"""Rows of logits that exist at once while scoring: 64 MB for Gemma 3's vocabulary."""


def logits(network: Network, tokens: Sequence[int]) -> F32:
    """float32[T, V]: row i scores what may follow tokens[: i + 1]. The result itself is 1 MB a token for Gemma 3.

    Uses a cache of its own and no running request's. Raises UsageError, ContextOverflow.
    """
    result = np.empty((len(tokens), network.config.vocabulary), np.float32)
    for start, hidden in _hidden(network, tokens):
        result[start : start + len(hidden)] = network.logits(hidden)
    return result


def last_logits(network: Network, tokens: Sequence[int]) -> F32:
    """float32[V]: what may follow all of `tokens`."""
    *_, (_, hidden) = _hidden(network, tokens)
    row: F32 = network.logits(hidden[-1:])[0]
    return row


def score(network: Network, tokens: Sequence[int]) -> F32:
    """float32[T - 1]: element i is the natural log-probability of tokens[i + 1] after tokens[: i + 1].

    The first token follows nothing and has none, so one token gives an empty array.
    """
    ids = np.asarray(tokens, np.int64)
    result = np.empty(max(0, len(ids) - 1), np.float32)
    for start, hidden in _hidden(network, tokens):
        rows = network.logits(hidden)
        for i, row in enumerate(rows[: len(result) - start], start):
            result[i] = float(row[ids[i + 1]]) - ops.log_sum_exp(row)
    return result


def _hidden(network: Network, tokens: Sequence[int]) -> Iterator[tuple[int, F32]]:
    """Hidden states of all tokens, at most ROWS at a time, each with the position of its first."""
    check_tokens(tokens, network.config.vocabulary)
    check_context(len(tokens), network.config.context_tokens)
    room = pages_for(len(tokens)) * ops.PAGE_TOKENS
    cache = network.new_cache(capacity_tokens=room, max_step_tokens=STEP_TOKENS, max_sequences=1)
    slot = cache.open(len(tokens))
    ids: I32 = np.asarray(tokens, np.int32)
    for start in range(0, len(ids), STEP_TOKENS):
        part = ids[start : start + STEP_TOKENS]
        positions = np.arange(start, start + len(part), dtype=np.int32)
        hidden = network.forward(Step(part, positions, np.full_like(part, slot)), cache)
        for row in range(0, len(part), ROWS):
            yield start + row, hidden[row : row + ROWS]
