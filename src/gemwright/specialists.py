"""What models do that were taught one thing: fill in code, judge by a policy, translate. `Model` inherits it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from gemwright import ops
from gemwright.engine import scoring
from gemwright.engine.request import Network, RequestOptions
from gemwright.engine.stream import Stream
from gemwright.errors import NotFinite
from gemwright.messages import Completion, Message, Sampling
from gemwright.text.chat import Prompt
from gemwright.text.infill import infill_prompt
from gemwright.text.shield import Policy, as_policy, judge_prompt, verdict_ids
from gemwright.text.tokenizer import Tokenizer
from gemwright.text.translation import Language, translation_request

if TYPE_CHECKING:
    from typing_extensions import Unpack


class Specialists(ABC):
    """Ways of asking that only some models understand, on top of what every model can."""

    tokenizer: Tokenizer
    network: Network

    @abstractmethod
    def render(self, messages: Iterable[Message | Mapping[str, Any]]) -> Prompt:
        """A conversation as tokens, up to where the answer begins."""

    @abstractmethod
    def _start(
        self,
        prompt: Prompt,
        max_tokens: int,
        sampling: Sampling | None,
        options: RequestOptions,
        logprobs: bool,
        *,
        stop_ids: frozenset[int] | None = None,
    ) -> Stream: ...

    def infill(
        self,
        prefix: str,
        suffix: str = "",
        *,
        max_tokens: int = 256,
        sampling: Sampling | None = None,
        logprobs: bool = False,
        **options: Unpack[RequestOptions],
    ) -> Completion:
        """What belongs between `prefix` and `suffix`, for models taught to fill in code (CodeGemma 2B and 7B).

        Raises UnsupportedModel for a vocabulary without the control tokens for it.
        """
        stream = self.stream_infill(
            prefix, suffix, max_tokens=max_tokens, sampling=sampling, logprobs=logprobs, **options
        )
        return stream.read()

    def stream_infill(
        self,
        prefix: str,
        suffix: str = "",
        *,
        max_tokens: int = 256,
        sampling: Sampling | None = None,
        logprobs: bool = False,
        **options: Unpack[RequestOptions],
    ) -> Stream:
        """`infill`, piece by piece as it is made."""
        asked = infill_prompt(prefix, suffix, self.tokenizer)
        prompt = Prompt(asked.tokens, stop=(), template="")
        return self._start(prompt, max_tokens, sampling, options, logprobs, stop_ids=asked.stop_ids)

    def classify(self, policy: str | Policy, *, user_message: str, response: str | None = None) -> float:
        """How likely it is that a message breaks a policy, from 0 to 1, as a ShieldGemma 1 model judges.

        policy: the name of a published one ("dangerous_content", "harassment", "hate_speech", "sexually_explicit")
        or a `gemwright.Policy` of your own.
        response: an answer to `user_message`; if there is one, it is what is judged.
        It is the share of "Yes" of the probabilities of "Yes" and "No", from exact logits. Any model that knows turns
        gives a number; only ShieldGemma was taught what it means.
        Raises UsageError, ContextOverflow, UnsupportedModel (no turns), NotFinite.
        """
        prompt = judge_prompt(as_policy(policy), user_message, response, self.tokenizer)
        verdicts = list(verdict_ids(self.tokenizer))
        logits = scoring.last_logits(self.network, prompt)[None, verdicts]
        if not np.isfinite(logits).all():
            raise NotFinite("The logits of Yes and No are not finite.", hint="The weights are unsound.")
        return float(ops.softmax(logits)[0, 0])

    def translate(
        self,
        text: str,
        *,
        source: Language,
        target: Language,
        max_tokens: int = 1024,
        sampling: Sampling | None = None,
        **options: Unpack[RequestOptions],
    ) -> Completion:
        """`text` in another language, for models taught to translate (TranslateGemma).

        source, target: codes of `gemwright.text.translation.LANGUAGES`, or a code with the language's English name.
        Any model that was taught to chat understands the instruction; only TranslateGemma was taught it.
        Raises UsageError for a language that is not known by its code.
        """
        request = Message("user", translation_request(text, source, target))
        return self._start(self.render([request]), max_tokens, sampling, options, logprobs=False).read()
