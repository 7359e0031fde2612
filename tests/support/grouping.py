"""Ways of cutting sequences into steps: the answer must not depend on any of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from gemwright.models import Network
from gemwright.ops import PAGE_TOKENS
from gemwright.step import Step

F32 = npt.NDArray[np.float32]
I32 = npt.NDArray[np.int32]


def in_chunks(network: Network, tokens: I32, chunks: Sequence[int] | int) -> F32:
    """Hidden states [T, D] of `tokens`, computed alone, in steps of `chunks` tokens: one size, or one for each step."""
    sizes = [chunks] * -(-len(tokens) // chunks) if isinstance(chunks, int) else list(chunks)
    cache = network.new_cache(capacity_tokens=len(tokens), max_step_tokens=max(sizes), max_sequences=1)
    slot = cache.open(len(tokens))
    rows, at = [], 0
    for size in sizes:
        part = tokens[at : at + size]
        rows.append(network.forward(_step([(part, at, slot)]), cache))
        at += size
    assert at >= len(tokens), "the chunks do not cover the tokens"
    return np.concatenate(rows)


def mixed(network: Network, sequences: Sequence[I32], largest: int, rng: np.random.Generator) -> list[F32]:
    """Hidden states of each sequence when random pieces of them (up to `largest` tokens) share steps, in random order.

    A sequence that ends frees its pages, and the next one to start takes them: at most two thirds run at a time.
    """
    most = max(1, len(sequences) * 2 // 3)
    room = sum(sorted((-(-len(tokens) // PAGE_TOKENS) * PAGE_TOKENS for tokens in sequences), reverse=True)[:most])
    cache = network.new_cache(capacity_tokens=room, max_step_tokens=largest, max_sequences=most)
    waiting, running = list(range(len(sequences))), dict[int, int]()
    done = [0] * len(sequences)
    rows: list[list[F32]] = [[] for _ in sequences]
    while waiting or running:
        while waiting and len(running) < most:
            s = waiting.pop(0)
            running[s] = cache.open(len(sequences[s]))
        chosen = [int(s) for s in rng.permutation(list(running)) if rng.random() < 0.8] or list(running)[:1]
        pieces = []
        for s in chosen:
            size = int(rng.integers(1, largest + 1)) if rng.random() < 0.6 else 1
            pieces.append((sequences[s][done[s] : done[s] + size], done[s], running[s]))
        hidden = network.forward(_step(pieces), cache)
        at = 0
        for s, (part, _, slot) in zip(chosen, pieces, strict=True):
            rows[s].append(hidden[at : at + len(part)])
            at += len(part)
            done[s] += len(part)
            if done[s] == len(sequences[s]):
                cache.close(slot)
                del running[s]
    return [np.concatenate(parts) for parts in rows]


def _step(pieces: Sequence[tuple[I32, int, int]]) -> Step:
    """One step of (tokens, position of the first, slot)."""
    return Step(
        tokens=np.concatenate([part for part, _, _ in pieces]).astype(np.int32),
        positions=np.concatenate([np.arange(at, at + len(part)) for part, at, _ in pieces]).astype(np.int32),
        slots=np.concatenate([np.full(len(part), slot) for part, _, slot in pieces]).astype(np.int32),
    )
