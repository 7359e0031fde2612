"""A toy network whose every logit depends on the whole context it can see, exactly: for tests of what drives networks.

The cache holds a 64-bit hash of the sequence up to each position, and a hidden state is that hash. A token computed in
the wrong slot, at the wrong position, twice with a difference, or before the one it follows gives other logits or an
AssertionError. Nothing is rounded, so equal means equal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from gemwright.errors import CapacityError
from gemwright.ops import PAGE_TOKENS
from gemwright.step import F32, I32, Cost, Step

_MASK = 2**64 - 1


class ToyCache:
    """Rooms in whole pages, as the real one; refuses every misuse."""

    def __init__(self, capacity_tokens: int, max_step_tokens: int, max_sequences: int) -> None:
        self.capacity_tokens = capacity_tokens
        self.max_step_tokens = max_step_tokens
        self.max_sequences = max_sequences
        self.rooms: dict[int, int] = {}
        self.hashes: dict[int, list[int]] = {}
        self.prepared: dict[int, int] = {}
        self.texts: dict[int, tuple[object, ...]] = {}  # salt and known pages of each slot
        self.kept: dict[tuple[object, ...], list[int]] = {}
        self.opened = 0

    def free_tokens(self) -> int:
        return self.capacity_tokens - sum(self.rooms.values())

    def open(self, max_tokens: int) -> int:
        slot = self.reserve(max_tokens)
        self.prepare(slot, 0, max_tokens)
        return slot

    def reserve(self, max_tokens: int, salt: str = "") -> int:
        room = -(-max_tokens // PAGE_TOKENS) * PAGE_TOKENS
        if room > self.free_tokens() or len(self.rooms) == self.max_sequences:
            raise CapacityError(f"{max_tokens} tokens do not fit into {self.free_tokens()}")
        slot = next(slot for slot in range(self.max_sequences) if slot not in self.rooms)
        self.rooms[slot], self.hashes[slot], self.prepared[slot] = room, [], 0
        self.texts[slot] = (salt,)
        self.opened += 1
        return slot

    def close(self, slot: int) -> None:
        del self.rooms[slot], self.hashes[slot], self.prepared[slot], self.texts[slot]

    def prepare(self, slot: int, start: int, count: int) -> None:
        assert start <= len(self.hashes[slot]), "a position was skipped"
        assert start >= self.known_tokens(slot), "what others may share would be written"
        self.prepared[slot] = start + count

    def known_tokens(self, slot: int) -> int:
        return (len(self.texts[slot]) - 1) * PAGE_TOKENS

    def reuse(self, slot: int, tokens: Sequence[int]) -> int:
        while (end := self.known_tokens(slot) + PAGE_TOKENS) < len(tokens):
            text = (*self.texts[slot], tuple(tokens[end - PAGE_TOKENS : end]))
            if text not in self.kept:
                break
            self.texts[slot], self.hashes[slot] = text, list(self.kept[text])
        return self.known_tokens(slot)

    def keep(self, slot: int, tokens: Sequence[int]) -> None:
        for at in range(0, len(tokens) - PAGE_TOKENS + 1, PAGE_TOKENS):
            self.texts[slot] = (*self.texts[slot], tuple(tokens[at : at + PAGE_TOKENS]))
            assert self.known_tokens(slot) <= len(self.hashes[slot]), "not computed yet"
            self.kept.setdefault(self.texts[slot], self.hashes[slot][: self.known_tokens(slot)])


@dataclass(frozen=True)
class ToyConfig:
    vocabulary: int = 64
    context_tokens: int = 512


@dataclass
class ToyNetwork:
    """steps: of every forward pass so far. rows_of_logits, rows_of_candidates: how many were ever asked for."""

    config: ToyConfig = field(default_factory=ToyConfig)
    steps: list[Step] = field(default_factory=list)
    rows_of_logits: int = 0
    rows_of_candidates: int = 0

    def new_cache(self, *, capacity_tokens: int, max_step_tokens: int, max_sequences: int) -> ToyCache:
        return ToyCache(capacity_tokens, max_step_tokens, max_sequences)

    def forward(self, step: Step, cache: ToyCache, rows: Sequence[int] | None = None) -> F32:
        """float32[T, 4], or of `rows` alone: the hash of everything up to each token, in four exact pieces."""
        assert 0 < len(step) <= cache.max_step_tokens
        assert all(array.dtype == np.int32 for array in (step.tokens, step.positions, step.slots))
        self.steps.append(step)
        slots = step.slots.tolist()
        beginnings = [slot for slot, before in zip(slots, [None, *slots], strict=False) if slot != before]
        assert len(beginnings) == len(set(beginnings)), "tokens of one slot are not contiguous"
        tokens = zip(step.tokens.tolist(), step.positions.tolist(), slots, strict=True)
        hidden = [self._extend(cache, token, position, slot) for token, position, slot in tokens]
        states = np.array([[h >> shift & 0xFFFF for shift in (0, 16, 32, 48)] for h in hidden], np.float32)
        return states if rows is None else states[np.asarray(rows, np.int64)]

    def logits(self, hidden: F32) -> F32:
        """float32[n, V] between -8 and 8, each a hash of hidden state and token."""
        assert len(hidden) > 0
        self.rows_of_logits += len(hidden)
        pieces = hidden.astype(np.uint64)
        h = pieces[:, 0] | pieces[:, 1] << np.uint64(16) | pieces[:, 2] << np.uint64(32) | pieces[:, 3] << np.uint64(48)
        x = h[:, None] ^ (np.arange(self.config.vocabulary, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15))[None, :]
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        logits = ((x >> np.uint64(40)).astype(np.float32) / np.float32(2**20)) - np.float32(8)
        return np.ascontiguousarray(logits)

    def candidates(self, hidden: F32, k: int, below: int) -> tuple[I32, F32]:
        """By sorting whole rows."""
        assert 1 <= k <= below <= self.config.vocabulary
        rows = self.logits(hidden)[:, :below]
        self.rows_of_logits -= len(hidden)
        self.rows_of_candidates += len(hidden)
        ids = np.argsort(-rows, axis=1, kind="stable")[:, :k].astype(np.int32)
        values = np.take_along_axis(rows, ids, axis=1)
        values[~np.isfinite(rows).all(axis=1)] = np.nan
        return ids, values

    def cost(self, depth: int) -> Cost:
        """As of a network with one weight and a cache of a number for each token."""
        return Cost(weight_bytes=4, cache_bytes=4 * (depth + 1), layer_multiplications=1, head_multiplications=1)

    def _extend(self, cache: ToyCache, token: int, position: int, slot: int) -> int:
        past = cache.hashes[slot]
        assert 0 <= token < self.config.vocabulary
        assert position < cache.rooms[slot], "beyond the room that was reserved"
        assert position < cache.prepared[slot], "no page was prepared"
        assert position <= len(past), "a position was skipped"
        del past[position:]  # computing a position again, after an interrupted step, is allowed
        before = past[-1] if past else 0x1234567
        past.append((before * 6364136223846793005 + (token + 1) * 1442695040888963407) & _MASK)
        return past[-1]


def toy_logits(network: ToyNetwork, tokens: list[int]) -> F32:
    """float32[V] after `tokens`, computed alone and from scratch."""
    fresh = ToyNetwork(network.config)
    cache = fresh.new_cache(capacity_tokens=1 << 20, max_step_tokens=1 << 20, max_sequences=1)
    slot = cache.open(len(tokens) + 1)
    count = len(tokens)
    step = Step(np.array(tokens, np.int32), np.arange(count, dtype=np.int32), np.full(count, slot, np.int32))
    return fresh.logits(fresh.forward(step, cache)[-1:])[0]


class ToyDetokenizer:
    """Token t is the letter chr(97 + t % 26); holds back what could become a stop string."""

    def __init__(self, stop: tuple[str, ...] = ()) -> None:
        self._stop = stop
        self._held = ""
        self.stopped = False

    def feed(self, token: int, /) -> str:
        self._held += chr(97 + token % 26)
        for text in self._stop:
            if text in self._held:
                said, self._held, self.stopped = self._held[: self._held.index(text)], "", True
                return said
        keep = max((n for s in self._stop for n in range(1, len(s)) if self._held.endswith(s[:n])), default=0)
        said, self._held = self._held[: len(self._held) - keep], self._held[len(self._held) - keep :]
        return said

    def finish(self) -> str:
        said, self._held = self._held, ""
        return said
