"""The figures of a finished answer: a line for people, a dictionary for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gemwright.messages import Completion

if TYPE_CHECKING:
    from gemwright.model import Model

_REASONS = {
    "stop": "the answer was complete",
    "length": "the token limit was reached",
    "cancelled": "it was cancelled",
    "degenerate": "it went round in circles",
}


def prefill_rate(done: Completion) -> float:
    """Computed prompt tokens a second; 0 when the time was too short to measure."""
    return (done.prompt_tokens - done.cached_tokens) / done.prefill_s if done.prefill_s > 0 else 0.0


def summary(done: Completion, *, load_s: float | None = None) -> str:
    """One line, in the order things happened."""
    loaded = [] if load_s is None else [f"loaded in {load_s:.2f} s"]
    known = f" ({done.cached_tokens} known)" if done.cached_tokens else ""
    guessed = [f"{done.accepted_tokens} of {done.drafted_tokens} guesses right"] if done.drafted_tokens else []
    return " · ".join(
        [
            *loaded,
            f"{done.prompt_tokens} prompt tokens{known} at {prefill_rate(done):.1f}/s",
            f"first token after {done.prefill_s:.3f} s",
            f"{len(done.tokens)} tokens at {done.tokens_per_second:.1f}/s",
            *guessed,
            _REASONS[done.finish_reason],
        ]
    )


def describe(done: Completion, model: Model, *, load_s: float) -> dict[str, Any]:
    """The JSON object of `gemwright run --json`. Times in seconds; the seed repeats the answer."""
    return {
        "text": done.text,
        "finish_reason": done.finish_reason,
        "prompt_tokens": done.prompt_tokens,
        "generated_tokens": len(done.tokens),
        "tokens": list(done.tokens),
        "cached_tokens": done.cached_tokens,
        "drafted_tokens": done.drafted_tokens,
        "accepted_tokens": done.accepted_tokens,
        "seed": done.seed,
        "load_s": load_s,
        "first_token_s": done.prefill_s,
        "prefill_tokens_per_s": prefill_rate(done),
        "decode_tokens_per_s": done.tokens_per_second,
        "model": model.describe(),
    }
