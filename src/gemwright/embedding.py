"""EmbeddingModel: texts in, vectors out, to compare texts by the angle between them."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NoReturn

import numpy as np

from gemwright import ops
from gemwright.engine.validate import check_tokens
from gemwright.errors import ContextOverflow, NotFinite, UsageError
from gemwright.model import Facts, Model
from gemwright.models.encoder import Encoder, unit
from gemwright.step import F32
from gemwright.text.tasks import TaskPrompts
from gemwright.text.tokenizer import Tokenizer

STEP_TOKENS = 512
"""Texts share a forward pass up to so many tokens; a longer one has a pass to itself."""
SHORTER = (512, 256, 128)
"""Vectors may be cut to these widths: models are trained so that the first values say most (arXiv:2205.13147)."""
MIN_CONTEXT_TOKENS = 3
"""<bos>, one token and <eos>."""


@dataclass(frozen=True, eq=False)
class Embeddings:
    """vectors: float32[n, dimensions], each of length 1. tokens: computed of each text, its prompt included.

    cut: for each text that was truncated, by its place, the tokens it had.
    """

    vectors: F32
    tokens: tuple[int, ...]
    cut: dict[int, int]


class EmbeddingModel(Model):
    """A loaded embedding model; `gemwright.load` makes one of such a checkpoint. What generates raises UsageError.

    A vector does not change by a bit with the texts that are embedded beside it, their order or the number of threads.
    Safe to use from several threads.
    """

    def __init__(
        self,
        encoder: Encoder,
        tokenizer: Tokenizer,
        prompts: TaskPrompts,
        facts: Facts,
        *,
        context_tokens: int | None = None,
    ) -> None:
        """context_tokens: of the longest text, its prompt, <bos> and <eos> included; all the encoder has by default."""
        # Model's own would start an engine, and there is nothing to generate
        trained = encoder.config.context_tokens
        asked = trained if context_tokens is None else context_tokens
        if isinstance(asked, bool) or not isinstance(asked, int) or not MIN_CONTEXT_TOKENS <= asked <= trained:
            raise UsageError(
                f"context_tokens is {asked!r}: it must be a whole number from {MIN_CONTEXT_TOKENS} to the model's "
                f"{trained}."
            )
        self.encoder = encoder
        self.tokenizer = tokenizer
        self.context_tokens = asked
        self._prompts = prompts
        self._facts = facts

    @property
    def dimensions(self) -> tuple[int, ...]:
        """The widths a vector can have, the model's own first."""
        own = self.encoder.config.dimensions
        return (own, *(width for width in SHORTER if width < own))

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names that `embed` takes as `task`."""
        return tuple(self._prompts.by_task)

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
        """A vector of length 1 for each text: float32[n, dimensions]. The product of two is their cosine.

        task: what the vectors are for, one of `tasks`; its prompt is put before each text. Models are trained with
        them: "query" for what is searched with, "document" for what is searched. None: the checkpoint's default
        prompt, which is none in published models.
        title: of the documents, or one for each. prompt: any text instead of a task's.
        dimensions: one of `dimensions`; the first values of the whole vector, again of length 1.
        truncate: cuts texts that are too long, with a warning that says which, instead of raising.

        Raises UsageError, ContextOverflow for a text longer than `context_tokens`, NotFinite.
        """
        found = self.embed_counted(
            texts, task=task, title=title, prompt=prompt, dimensions=dimensions, truncate=truncate
        )
        if found.cut:
            sizes = ", ".join(f"{place} ({tokens:,} tokens)" for place, tokens in found.cut.items())
            warnings.warn(f"Texts were cut to {self.context_tokens:,} tokens: {sizes}.", stacklevel=2)
        return found.vectors

    def embed_counted(
        self,
        texts: Iterable[str],
        *,
        task: str | None = None,
        title: str | Sequence[str | None] | None = None,
        prompt: str | None = None,
        dimensions: int | None = None,
        truncate: bool = False,
    ) -> Embeddings:
        """`embed`, together with how many tokens each text had and which were cut, without a warning."""
        if isinstance(texts, (str, bytes)):
            raise UsageError("embed was given a single text.", hint="Give a list of texts: embed([text]).")
        width = self.dimensions[0] if dimensions is None else dimensions
        if width not in self.dimensions:
            known = ", ".join(map(str, self.dimensions))
            raise UsageError(f"There are no vectors of {width!r} dimensions.", hint=f"Dimensions: {known}.")
        listed = list(texts)
        prompts = self._prompts.of(task, prompt, title, len(listed))
        tokens = [self.encode(before + text) for before, text in zip(prompts, listed, strict=True)]
        cut = {place: len(ids) for place, ids in enumerate(tokens) if len(ids) > self.context_tokens}
        for place in cut:
            tokens[place] = self._cut(place, tokens[place], prompts[place], truncate)
        for ids in tokens:
            check_tokens(ids, self.encoder.config.vocabulary)
        vectors = np.empty((len(tokens), width), np.float32)
        for start, step in _steps(tokens):
            vectors[start : start + len(step)] = self._vectors(step, width)
        return Embeddings(vectors, tuple(map(len, tokens)), cut)

    def encode(self, prompt: str | Sequence[int]) -> list[int]:
        """Token ids of a text, <bos> first and <eos> last. Ids are returned as they are."""
        ids = super().encode(prompt)
        return [*ids, self.tokenizer.eos_id] if isinstance(prompt, str) else ids

    def describe(self) -> dict[str, object]:
        """Facts about the model, ready for JSON. bytes: of the weights as stored."""
        return {
            **vars(self._facts),
            "context_tokens": self.context_tokens,
            "trained_context_tokens": self.encoder.config.context_tokens,
            "vocabulary": self.encoder.config.vocabulary,
            "dimensions": list(self.dimensions),
            "tasks": list(self.tasks),
            "target": ops.active_target(),
            "threads": ops.threads(),
        }

    def _generates_nothing(self, *_: object, **__: object) -> NoReturn:
        """Raises UsageError: there is no text to be had."""
        raise UsageError(
            f"{self._facts.name} makes vectors of texts and continues none.", hint="Use embed, or load another model."
        )

    generate = stream = generate_batch = _generates_nothing
    chat = stream_chat = chat_batch = render = _generates_nothing
    logits = score = without_cache = _generates_nothing
    infill = stream_infill = classify = translate = _generates_nothing
    chat_format = property(_generates_nothing)
    network = engine = property(_generates_nothing)  # Model sets both, and here is neither
    is_chat_tuned = False

    def _cut(self, place: int, ids: list[int], prompt: str, truncate: bool) -> list[int]:
        """The first tokens of a text that is too long, and <eos>."""
        if not truncate:
            raise ContextOverflow(
                f"Text {place} has {len(ids):,} tokens with its prompt, and the model takes {self.context_tokens:,}.",
                hint="Make several texts of it, or have it cut with truncate=True.",
            )
        if len(self.encode(prompt)) >= self.context_tokens:
            raise ContextOverflow(f"The prompt alone fills the {self.context_tokens:,} tokens the model takes.")
        return [*ids[: self.context_tokens - 1], ids[-1]]

    def _vectors(self, step: Sequence[Sequence[int]], width: int) -> F32:
        vectors = unit(np.ascontiguousarray(self.encoder.vectors(step)[:, :width]))
        if not np.isfinite(vectors).all():
            raise NotFinite("The model computed a vector that is no number: its weights are unsound.")
        return vectors


def _steps(texts: Sequence[Sequence[int]]) -> Iterator[tuple[int, Sequence[Sequence[int]]]]:
    """The texts in runs of at most STEP_TOKENS tokens, or of one text, each with the place of its first."""
    start = tokens = 0
    for place, text in enumerate(texts):
        if place > start and tokens + len(text) > STEP_TOKENS:
            yield start, texts[start:place]
            start, tokens = place, 0
        tokens += len(text)
    if texts:
        yield start, texts[start:]
