"""Whether a request can be run at all: checked before it is queued, so that the caller hears it at once."""

from __future__ import annotations

from collections.abc import Sequence

from gemwright.engine.request import NetworkConfig, Request
from gemwright.errors import ContextOverflow, UsageError


def check_request(request: Request, config: NetworkConfig, capacity_tokens: int) -> None:
    """Raises UsageError for values that cannot be, ContextOverflow if prompt and answer exceed context or cache."""
    if not isinstance(request.max_tokens, int) or isinstance(request.max_tokens, bool) or request.max_tokens < 1:
        raise UsageError(f"max_tokens is {request.max_tokens!r}: it must be a whole number of at least 1.")
    check_tokens(request.prompt, config.vocabulary)
    for token in request.sampling.logit_bias:
        if token not in range(config.vocabulary):
            raise UsageError(
                f"logit_bias names token {token}, but the vocabulary has ids 0 to {config.vocabulary - 1}."
            )
    _check_room(len(request.prompt), request.max_tokens, config.context_tokens, capacity_tokens)


def check_tokens(tokens: Sequence[int], vocabulary: int) -> None:
    """Raises UsageError unless `tokens` are ids, at least one."""
    if len(tokens) == 0:
        raise UsageError("There are no tokens.", hint="Give at least one; a text gets its <bos> by itself.")
    if min(tokens) < 0 or max(tokens) >= vocabulary:
        bad = next(token for token in tokens if not 0 <= token < vocabulary)
        raise UsageError(f"{bad} is not a token: the vocabulary has ids 0 to {vocabulary - 1}.")


def check_context(tokens: int, context_tokens: int) -> None:
    """Raises ContextOverflow if a text of so many tokens is longer than the model's context."""
    if tokens > context_tokens:
        raise ContextOverflow(f"The text has {tokens} tokens, but the model's context holds {context_tokens}.")


def _check_room(prompt: int, answer: int, context_tokens: int, capacity_tokens: int) -> None:
    limit = min(context_tokens, capacity_tokens)
    if prompt + answer <= limit:
        return
    hints = [f"Ask for at most {limit - prompt}" if prompt < limit else "Shorten the prompt"]
    if limit < context_tokens:
        hints.append(f"load the model with context_tokens up to {context_tokens}")
    raise ContextOverflow(
        f"A prompt of {prompt} tokens and an answer of up to {answer} do not fit into a context of {limit}.",
        hint=", or ".join(hints) + ".",
    )
