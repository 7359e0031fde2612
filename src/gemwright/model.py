"""Model: text in, text out. Everything a user of the Python interface does with a loaded model."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from copy import copy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from gemwright import ops
from gemwright.cache import pages_for
from gemwright.engine import scoring
from gemwright.engine.engine import Engine
from gemwright.engine.request import Network, Request, RequestOptions
from gemwright.engine.stream import Plain, Reader, Stream
from gemwright.engine.uncached import UncachedEngine
from gemwright.errors import CapacityError, UsageError
from gemwright.messages import Completion, Message, Sampling, SamplingOptions, Tool, as_messages, as_tools
from gemwright.specialists import Specialists
from gemwright.step import F32
from gemwright.text.calls import AnswerReader
from gemwright.text.chat import ChatTemplate, Prompt, fingerprint, render
from gemwright.text.detokenizer import Detokenizer
from gemwright.text.tokenizer import Tokenizer

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["DEFAULT_CONTEXT_TOKENS", "Facts", "Model", "Stream"]

DEFAULT_CONTEXT_TOKENS = 8192
"""Tokens that all running requests share unless `load` is told otherwise; memory is only used as it fills."""
STEP_TOKENS = 512
"""The most tokens of one forward pass."""
PROMPT_TOKENS = 32
"""The most tokens of prompts in a pass while an answer is running (docs/decisions/prompts-beside-answers.md)."""
MAX_SEQUENCES = 16
"""The most requests that run at once; more wait their turn."""


_OWN_OPTIONS = RequestOptions.__annotations__.keys() - SamplingOptions.__annotations__.keys()


@dataclass(frozen=True)
class Facts:
    """What a model is: counts of its checkpoint, nothing that changes."""

    name: str
    architecture: str
    parameters: int
    bytes: int
    precision: str
    level: str = "stored"


class Model(Specialists):
    """A loaded model; `gemwright.load` makes one.

    Every way of asking takes the same options: `max_tokens`, a whole `sampling` or single fields of it by keyword
    (`temperature=0.7`, `seed=1`, …), `logprobs=True` for the log-probability of each token, and
    `speculation=Lookup()` to guess ahead from the text itself. Without any, sampling is Gemma's recommended one. The
    same prompt and seed give the same answer, whatever else runs at the same time and whatever is guessed.

    Requests that begin alike compute the beginning once, even one after another; `cache_salt="…"` limits that to
    requests of the same salt.

    Raises UsageError for options that cannot be, ContextOverflow if prompt and longest answer exceed the context.
    Safe to use from several threads: their requests share the forward passes.
    """

    def __init__(
        self,
        network: Network,
        tokenizer: Tokenizer,
        template: ChatTemplate,
        facts: Facts,
        *,
        context_tokens: int | None = None,
        prefix_cache: bool = True,
        suppressed_ids: frozenset[int] = frozenset(),
    ) -> None:
        """context_tokens: DEFAULT_CONTEXT_TOKENS, or all the network has if that is less. See `gemwright.load`.

        suppressed_ids: tokens that no answer may contain.
        """
        self.network = network
        self.tokenizer = tokenizer
        self._template = template
        self._facts = facts
        self._suppressed_ids = suppressed_ids
        self.context_tokens = _context(context_tokens, network.config.context_tokens)
        capacity_tokens = pages_for(self.context_tokens) * ops.PAGE_TOKENS
        try:
            cache = network.new_cache(
                capacity_tokens=capacity_tokens, max_step_tokens=STEP_TOKENS, max_sequences=MAX_SEQUENCES
            )
        except MemoryError as error:
            raise CapacityError(
                f"There is no memory for a context of {self.context_tokens} tokens.", hint="Ask for less context."
            ) from error
        self.engine: Engine | UncachedEngine = Engine(
            network,
            cache,
            self._detokenizer,
            vocabulary=tokenizer.vocabulary_size,
            step_tokens=STEP_TOKENS,
            max_sequences=MAX_SEQUENCES,
            prompt_tokens=PROMPT_TOKENS,
            prefix_cache=prefix_cache,
        )

    def generate(
        self,
        prompt: str | Sequence[int],
        *,
        max_tokens: int = 256,
        sampling: Sampling | None = None,
        logprobs: bool = False,
        **options: Unpack[RequestOptions],
    ) -> Completion:
        """The continuation of `prompt`: a text, or token ids as they are. No chat template is involved; see `chat`."""
        return self.stream(prompt, max_tokens=max_tokens, sampling=sampling, logprobs=logprobs, **options).read()

    def stream(
        self,
        prompt: str | Sequence[int],
        *,
        max_tokens: int = 256,
        sampling: Sampling | None = None,
        logprobs: bool = False,
        **options: Unpack[RequestOptions],
    ) -> Stream:
        """`generate`, piece by piece as it is made."""
        return self._start(self._complete(prompt), max_tokens, sampling, options, logprobs)

    def generate_batch(
        self,
        prompts: Iterable[str | Sequence[int]],
        *,
        max_tokens: int = 256,
        sampling: Sampling | None = None,
        logprobs: bool = False,
        **options: Unpack[RequestOptions],
    ) -> list[Completion]:
        """The continuations of several prompts, made together. Each is what `generate` gives with the same seed."""
        return self._together([self._complete(one) for one in prompts], max_tokens, sampling, options, logprobs)

    def chat(
        self,
        messages: Iterable[Message | Mapping[str, Any]],
        *,
        tools: Iterable[Tool | Mapping[str, Any]] = (),
        thinking: bool = False,
        max_tokens: int = 256,
        sampling: Sampling | None = None,
        logprobs: bool = False,
        **options: Unpack[RequestOptions],
    ) -> Completion:
        """The answer to a conversation. A base model continues a plain transcript of it: see `chat_format`.

        tools: what the model may ask to be called; nothing is called here. Its calls are `tool_calls` of the answer,
        and a message of role "tool" brings each result. thinking: whether the model is to think aloud first, which
        Gemma 4 was taught; its thoughts are `reasoning`. Raises UsageError where the model was taught no such thing.
        """
        return self.stream_chat(
            messages,
            tools=tools,
            thinking=thinking,
            max_tokens=max_tokens,
            sampling=sampling,
            logprobs=logprobs,
            **options,
        ).read()

    def stream_chat(
        self,
        messages: Iterable[Message | Mapping[str, Any]],
        *,
        tools: Iterable[Tool | Mapping[str, Any]] = (),
        thinking: bool = False,
        max_tokens: int = 256,
        sampling: Sampling | None = None,
        logprobs: bool = False,
        **options: Unpack[RequestOptions],
    ) -> Stream:
        """`chat`, piece by piece as it is made."""
        known = as_tools(tools)
        prompt = self.render(messages, tools=known, thinking=thinking)
        return self._start(prompt, max_tokens, sampling, options, logprobs, known)

    def chat_batch(
        self,
        conversations: Iterable[Iterable[Message | Mapping[str, Any]]],
        *,
        tools: Iterable[Tool | Mapping[str, Any]] = (),
        thinking: bool = False,
        max_tokens: int = 256,
        sampling: Sampling | None = None,
        logprobs: bool = False,
        **options: Unpack[RequestOptions],
    ) -> list[Completion]:
        """The answers to several conversations, made together."""
        known = as_tools(tools)
        prompts = [self.render(one, tools=known, thinking=thinking) for one in conversations]
        return self._together(prompts, max_tokens, sampling, options, logprobs, known)

    def logits(self, tokens: Sequence[int]) -> F32:
        """float32[T, V]: row i scores what may follow tokens[: i + 1]. See `scoring.logits`."""
        return scoring.logits(self.network, tokens)

    def score(self, tokens: Sequence[int]) -> F32:
        """float32[T - 1]: element i is the natural log-probability of tokens[i + 1] after tokens[: i + 1]."""
        return scoring.score(self.network, tokens)

    def embed(
        self,
        texts: Iterable[str],
        *,
        task: str | None = None,
        title: str | Sequence[str | None] | None = None,
        prompt: str | None = None,
        dimensions: int | None = None,
        truncate: bool = False,
    ) -> F32:
        """Vectors of texts: see `EmbeddingModel`, which can. A model that continues texts raises UsageError."""
        raise UsageError(
            f"{self._facts.name} continues texts and makes no vectors of them.",
            hint="Load an embedding model, such as google/embeddinggemma-300m.",
        )

    def without_cache(self) -> Model:
        """This model, computing the whole text anew for every token: the same answers, slowly, to compare with."""
        slow = copy(self)
        slow.engine = UncachedEngine(self.network, self._detokenizer, vocabulary=self.tokenizer.vocabulary_size)
        return slow

    def encode(self, prompt: str | Sequence[int]) -> list[int]:
        """Token ids of a text, <bos> first; no text can become a control token. Ids are returned as they are."""
        return self.tokenizer.encode(prompt) if isinstance(prompt, str) else [int(token) for token in prompt]

    def render(
        self,
        messages: Iterable[Message | Mapping[str, Any]],
        *,
        tools: Iterable[Tool | Mapping[str, Any]] = (),
        thinking: bool = False,
    ) -> Prompt:
        """A conversation as tokens, up to where the answer begins, and what ends that. Options as `chat` has them."""
        return render(as_messages(messages), self._template, self.tokenizer, tools=as_tools(tools), thinking=thinking)

    @property
    def bos_id(self) -> int:
        """The token that begins every text."""
        return self.tokenizer.bos_id

    @property
    def chat_format(self) -> str:
        """Name and version of the form conversations are given to the model in."""
        return self._template.name

    @property
    def is_chat_tuned(self) -> bool:
        """Whether the model was taught that form. If not, `chat` works through a transcript and may drift."""
        return self._template.marked

    def describe(self) -> dict[str, object]:
        """Facts about model and engine, ready for JSON. bytes: of the weights as stored."""
        return {
            **vars(self._facts),
            "context_tokens": self.context_tokens,
            "trained_context_tokens": self.network.config.context_tokens,
            "vocabulary": self.network.config.vocabulary,
            "chat_format": self.chat_format,
            "chat_format_sha256": fingerprint(self._template),
            "is_chat_tuned": self.is_chat_tuned,
            "target": ops.active_target(),
            "threads": ops.threads(),
        }

    def _detokenizer(self, stop: tuple[str, ...]) -> Detokenizer:
        return Detokenizer(self.tokenizer, stop)

    def _complete(self, prompt: str | Sequence[int]) -> Prompt:
        return Prompt(tuple(self.encode(prompt)), stop=(), template="")

    def _together(
        self,
        prompts: Iterable[Prompt],
        max_tokens: int,
        sampling: Sampling | None,
        options: RequestOptions,
        logprobs: bool,
        tools: tuple[Tool, ...] = (),
    ) -> list[Completion]:
        with ExitStack() as all_or_none:  # one bad prompt must not leave the others running
            streams = [
                all_or_none.enter_context(self._start(prompt, max_tokens, sampling, options, logprobs, tools))
                for prompt in prompts
            ]
            return [stream.read() for stream in streams]

    def _start(
        self,
        prompt: Prompt,
        max_tokens: int,
        sampling: Sampling | None,
        options: RequestOptions,
        logprobs: bool,
        tools: tuple[Tool, ...] = (),
        stop_ids: frozenset[int] | None = None,
    ) -> Stream:
        """stop_ids: tokens that end the answer; those of the tokenizer by default."""
        fields = dict(options)
        own = {name: fields.pop(name) for name in _OWN_OPTIONS & fields.keys()}
        chosen = replace(sampling or Sampling(), **fields)  # type: ignore[arg-type]  # the rest are its fields
        seed = secrets.randbits(53) if chosen.seed is None else chosen.seed  # 53 bits survive JSON's doubles
        request = Request(
            prompt.tokens,
            max_tokens,
            seed,
            chosen,
            self.tokenizer.stop_ids if stop_ids is None else stop_ids,
            prompt.stop,
            logprobs,
            reserved_ids=self.tokenizer.reserved_ids,
            suppressed_ids=self._suppressed_ids,
            **own,  # type: ignore[arg-type]
        )
        return Stream(self.engine.submit(request), request, self._reader(prompt, tools), self._mark)

    def _reader(self, prompt: Prompt, tools: tuple[Tool, ...]) -> Callable[[], Reader]:
        if not prompt.template:
            return Plain
        if not self._template.marked:
            return lambda: Plain(strip_start=True)
        return lambda: AnswerReader(self._template.marks, tools, in_thought=prompt.in_thought)

    def _mark(self, token: int) -> str | None:
        return self.tokenizer.spelling(token) if self.tokenizer.is_control(token) else None


def _context(asked: int | None, trained: int) -> int:
    if asked is None:
        asked = min(DEFAULT_CONTEXT_TOKENS, trained)
    if isinstance(asked, bool) or not isinstance(asked, int) or not 1 <= asked <= trained:
        raise UsageError(f"context_tokens is {asked!r}: it must be a whole number from 1 to the model's {trained}.")
    return min(pages_for(asked) * ops.PAGE_TOKENS, trained)  # the cache has whole pages, so the user may as well
