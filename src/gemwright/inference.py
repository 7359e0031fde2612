"""OptimizedGemmaInference: answers to conversations together with how fast they came, as plain dictionaries."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import TypedDict

from gemwright.errors import UsageError
from gemwright.messages import Message, Sampling
from gemwright.model import Model
from gemwright.text.tokenizer import Tokenizer

Conversation = Iterable[Message | Mapping[str, str]]

DEFAULTS = Sampling(temperature=0.7, top_p=0.9)
"""How this class samples."""


class Inference(TypedDict):
    """What `fast_generate` returns. Time in seconds."""

    response: str
    generation_time: float
    tokens_per_second: float
    tokens_generated: int


class BatchInference(TypedDict):
    """What `batch_generate` returns, responses in the order of the conversations. Times in seconds."""

    responses: list[str]
    batch_generation_time: float
    average_time_per_item: float


class OptimizedGemmaInference:
    """A model with its clock. Conversations are lists of {"role": …, "content": …} or of `Message`."""

    def __init__(
        self, model: Model, tokenizer: Tokenizer | None = None, *, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        """tokenizer: `model.tokenizer`; a model cannot be used with another's."""
        if tokenizer is not None and tokenizer is not model.tokenizer:
            raise UsageError("The tokenizer is not the model's own.", hint="Give model.tokenizer, or leave it out.")
        self.model = model
        self.tokenizer = model.tokenizer
        self._clock = clock

    def fast_generate(self, messages: Conversation, max_tokens: int = 256, use_cache: bool = True) -> Inference:
        """The answer to one conversation. tokens_per_second counts the prompt's time too.

        use_cache: False computes the whole text anew for every token instead of keeping keys and values. The answer to
        the same random numbers is the same, only later; it is there to compare with.
        """
        started = self._clock()
        model = self.model if use_cache else self.model.without_cache()
        done = model.chat(messages, max_tokens=max_tokens, sampling=DEFAULTS)
        seconds, count = self._clock() - started, len(done.tokens)
        return {
            "response": done.text,
            "generation_time": seconds,
            "tokens_per_second": count / seconds if seconds > 0 else 0.0,
            "tokens_generated": count,
        }

    def batch_generate(self, batch_messages: Iterable[Conversation], max_tokens: int = 256) -> BatchInference:
        """The answers to several conversations, computed together."""
        conversations = list(batch_messages)
        started = self._clock()
        done = self.model.chat_batch(conversations, max_tokens=max_tokens, sampling=DEFAULTS)
        seconds = self._clock() - started
        return {
            "responses": [completion.text for completion in done],
            "batch_generation_time": seconds,
            "average_time_per_item": seconds / len(done) if done else 0.0,
        }
