"""Pure values that cross the public interface: sampling options and results. No behaviour but validation.

What conversations consist of is in `gemwright.dialogue` and can be had from here too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypedDict

from gemwright.dialogue import (
    BadCall,
    Message,
    Piece,
    Reasoning,
    Role,
    Text,
    Tool,
    ToolCall,
    as_messages,
    as_tools,
)
from gemwright.errors import UsageError

__all__ = [
    "MAX_LOGIT_BIAS",
    "MAX_STOP_STRINGS",
    "BadCall",
    "Completion",
    "FinishReason",
    "Message",
    "Piece",
    "Reasoning",
    "Role",
    "Sampling",
    "SamplingOptions",
    "Text",
    "Tool",
    "ToolCall",
    "as_messages",
    "as_tools",
]

FinishReason = Literal["stop", "length", "cancelled", "degenerate"]
"""stop: the model ended its answer, or a stop string did. length: max_tokens. cancelled: the stream was closed.
degenerate: it went round in circles, or fell into reserved tokens (docs/decisions/degeneration.md)."""
MAX_STOP_STRINGS = 16
MAX_LOGIT_BIAS = 1024


class SamplingOptions(TypedDict, total=False):
    """The fields of `Sampling` as keyword arguments."""

    temperature: float
    top_k: int
    top_p: float
    min_p: float
    repetition_penalty: float
    presence_penalty: float
    frequency_penalty: float
    logit_bias: Mapping[int, float]
    seed: int | None
    stop: tuple[str, ...]
    guard: bool


@dataclass(frozen=True)
class Sampling:
    """How the next token is chosen. The defaults are Gemma's recommended ones.

    What each option means and the order they act in is written in `gemwright.engine.sampler`. temperature 0 means
    greedy. top_k 0, top_p 1, min_p 0 and penalties of 0 (repetition_penalty: 1) switch a step off. seed None: a fresh
    one for each answer. stop: strings that end the answer and are not part of it. guard: whether an answer that goes
    round in circles is ended (`gemwright.engine.degeneration`).
    """

    temperature: float = 1.0
    top_k: int = 64
    top_p: float = 0.95
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    logit_bias: Mapping[int, float] = field(default_factory=dict)
    seed: int | None = None
    stop: tuple[str, ...] = ()
    guard: bool = True

    def __post_init__(self) -> None:
        _check_whole("top_k", self.top_k)
        _within("temperature", self.temperature, 0.0, 100.0)
        _within("top_k", self.top_k, 0, 1 << 20)
        _within("top_p", self.top_p, 0.0, 1.0, low_open=True)
        _within("min_p", self.min_p, 0.0, 1.0)
        _within("repetition_penalty", self.repetition_penalty, 0.0, 10.0, low_open=True)
        _within("presence_penalty", self.presence_penalty, -10.0, 10.0)
        _within("frequency_penalty", self.frequency_penalty, -10.0, 10.0)
        if len(self.logit_bias) > MAX_LOGIT_BIAS:
            raise UsageError(f"logit_bias has {len(self.logit_bias)} entries: at most {MAX_LOGIT_BIAS} are allowed.")
        for token, bias in self.logit_bias.items():
            _check_whole("A token of logit_bias", token)
            _within(f"logit_bias[{token}]", bias, -1000.0, 1000.0)
        if self.seed is not None:
            _check_whole("seed", self.seed)
            _within("seed", self.seed, 0, 2**64 - 1)
        if not isinstance(self.guard, bool):
            raise UsageError(f"guard is {self.guard!r}: it must be True or False.")
        if isinstance(self.stop, str) or not all(isinstance(text, str) for text in self.stop):
            raise UsageError(f"stop is {self.stop!r}: it must be several strings, such as ('###',).")
        if len(self.stop) > MAX_STOP_STRINGS:
            raise UsageError(f"{len(self.stop)} stop strings: at most {MAX_STOP_STRINGS} are allowed.")
        if any(not text for text in self.stop):
            raise UsageError("A stop string is empty: every answer would end at once.")

    @classmethod
    def greedy(cls, **changes: object) -> Sampling:
        """The most likely token at every step."""
        return cls(temperature=0.0, **changes)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Completion:
    """A finished answer with its figures. Times in seconds.

    text: the answer itself, without the stop string that ended it. reasoning: what the model thought aloud before it.
    tool_calls: what it asks to be called; bad_calls: what it meant to call and wrote wrongly. All of these only where
    the model was asked with tools or has a channel for thoughts; reasoning_cut: the answer ended inside a thought.
    tokens: without the end token, but with those of a stop string.
    prefill_s: from the step that started the prompt to the first token. decode_s: from there to the last token.
    logprobs: of each token under the model's own distribution, before any sampling option; None if not asked for.
    seed: gives this answer again, with the same prompt and options.
    cached_tokens: of the prompt, taken over from what was computed before.
    drafted_tokens: guesses that were computed; accepted_tokens: of these, the ones that were right and used.
    """

    text: str
    tokens: tuple[int, ...]
    finish_reason: FinishReason
    prompt_tokens: int
    prefill_s: float
    decode_s: float
    logprobs: tuple[float, ...] | None = None
    seed: int | None = None
    cached_tokens: int = 0
    drafted_tokens: int = 0
    accepted_tokens: int = 0
    reasoning: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    bad_calls: tuple[BadCall, ...] = ()
    reasoning_cut: bool = False

    @property
    def tokens_per_second(self) -> float:
        """Decoded tokens a second after the first one; 0 when nothing was decoded."""
        decoded = len(self.tokens) - 1
        return decoded / self.decode_s if decoded > 0 and self.decode_s > 0 else 0.0


def _check_whole(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise UsageError(f"{name} is {value!r}: not a whole number.")


def _within(name: str, value: float, low: float, high: float, *, low_open: bool = False) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or math.isnan(value):
        raise UsageError(f"{name} is {value!r}: not a number.")
    if not low <= value <= high or (low_open and value == low):
        bound = "above" if low_open else "at least"
        raise UsageError(f"{name} is {value}: it must be {bound} {low} and at most {high}.")
