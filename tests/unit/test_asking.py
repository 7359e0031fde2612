"""Filling in and judging with a loaded model, on a toy network whose every logit depends on the whole context."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gemwright.errors import ContextOverflow, NotFinite, UnsupportedModel, UsageError
from gemwright.model import Facts, Model
from gemwright.text.chat import TRANSCRIPT
from gemwright.text.infill import infill_prompt
from gemwright.text.shield import POLICIES, Policy, judge_prompt, verdict_ids
from gemwright.text.tokenizer import Tokenizer
from gemwright.text.translation import translation_request
from support.toy_network import ToyConfig, ToyNetwork, toy_logits
from unit.text.toy_shield import tokenizer_with_marks

TOKENIZER = tokenizer_with_marks()
FACTS = Facts(name="toy", architecture="toy", parameters=1, bytes=2, precision="default")


def toy(tokenizer: Tokenizer = TOKENIZER, network: type[ToyNetwork] = ToyNetwork, context: int = 4096) -> Model:
    made = network(ToyConfig(vocabulary=tokenizer.vocabulary_size, context_tokens=context))
    return Model(made, tokenizer, TRANSCRIPT, FACTS)  # type: ignore[arg-type]


# Filling in


def test_the_middle_is_what_follows_the_prompt_for_it() -> None:
    model = toy()
    stop_ids = infill_prompt("ab", "der", TOKENIZER).stop_ids
    options: Any = {"max_tokens": 20, "seed": 4, "logit_bias": dict.fromkeys(stop_ids, -1000.0)}
    middle = model.infill("ab", "der", **options)
    assert middle.tokens == model.generate(infill_prompt("ab", "der", TOKENIZER).tokens, **options).tokens
    assert middle.tokens != model.infill("ab", "", **options).tokens
    with model.stream_infill("ab", "der", **options) as stream:
        assert "".join(stream) == middle.text


@pytest.mark.parametrize("mark", ["<|file_separator|>", "<eos>"])
def test_the_middle_ends_at_a_file_separator_or_eos(mark: str) -> None:
    done = toy().infill("ab", "der", logit_bias={TOKENIZER.control_id(mark): 1000.0})
    assert (done.text, done.tokens, done.finish_reason) == ("", (), "stop")


def test_only_the_middle_ends_at_a_file_separator() -> None:
    separator = TOKENIZER.control_id("<|file_separator|>")
    assert toy().generate("ab", max_tokens=3, logit_bias={separator: 1000.0}).tokens == (separator,) * 3


def test_a_model_that_was_not_taught_to_fill_in_says_so() -> None:
    with pytest.raises(UnsupportedModel, match="CodeGemma"):
        toy(tokenizer_with_marks(without=("<|fim_suffix|>",))).infill("a", "b")


# Judging


@pytest.mark.parametrize("policy", ["harassment", Policy("No Spam", "advertises anything.")])
@pytest.mark.parametrize("response", [None, "table"])
def test_a_verdict_is_the_share_of_yes(policy: str | Policy, response: str | None) -> None:
    model = toy()
    judged = POLICIES[policy] if isinstance(policy, str) else policy
    prompt = judge_prompt(judged, "ab", response, TOKENIZER)
    logits = toy_logits(model.network, prompt).astype(np.float64)  # type: ignore[arg-type]
    yes, no = (np.exp(logits[id]) for id in verdict_ids(TOKENIZER))
    assert model.classify(policy, user_message="ab", response=response) == pytest.approx(yes / (yes + no), abs=1e-6)


def test_a_verdict_depends_on_the_message_the_answer_and_the_policy() -> None:
    model = toy()
    verdicts = {
        model.classify(policy, user_message=user, response=response)
        for policy in POLICIES
        for user in ("a", "b")
        for response in (None, "a", "b")
    }
    assert len(verdicts) == 4 * 2 * 3


def test_extreme_logits_give_certainty_not_an_overflow() -> None:
    yes, no = verdict_ids(TOKENIZER)

    class Certain(ToyNetwork):
        def logits(self, hidden: Any) -> Any:
            logits = super().logits(hidden)
            logits[:, [yes, no]] = 3e4, -3e4
            return logits

    assert toy(network=Certain).classify("harassment", user_message="a") == 1.0


def test_a_model_that_computes_no_number_gives_no_verdict() -> None:
    class Broken(ToyNetwork):
        def logits(self, hidden: Any) -> Any:
            return np.full_like(super().logits(hidden), np.nan)

    with pytest.raises(NotFinite, match="Yes and No"):
        toy(network=Broken).classify("harassment", user_message="a")


def test_what_cannot_be_judged_is_refused() -> None:
    with pytest.raises(UsageError, match="no policy 'violence'"):
        toy().classify("violence", user_message="a")
    with pytest.raises(UsageError, match="user_message"):
        toy().classify("harassment", user_message=3)  # type: ignore[arg-type]
    with pytest.raises(ContextOverflow):
        toy(context=2048).classify("harassment", user_message="a" * 9000)
    with pytest.raises(UnsupportedModel, match="turn"):
        toy(tokenizer_with_marks(without=("<start_of_turn>",))).classify("harassment", user_message="a")


# Translating


def test_a_translation_is_the_answer_to_the_published_instruction() -> None:
    model = Model(ToyNetwork(ToyConfig(vocabulary=TOKENIZER.vocabulary_size)), TOKENIZER, TRANSCRIPT, FACTS)  # type: ignore[arg-type]
    options: Any = {"max_tokens": 8, "seed": 3}
    done = model.translate(" table ", source="en", target=("pt-BR", "Portuguese"), **options)
    asked = translation_request("table", "en", ("pt-BR", "Portuguese"))
    assert asked.startswith("You are a professional English (en) to Portuguese (pt-BR) translator. Your goal is to ")
    assert ", and cultural sensitivities.\nProduce only the Portuguese translation, without" in asked
    assert asked.endswith("translate the following English text into Portuguese:\n\n\ntable")
    assert done.tokens == model.chat([{"role": "user", "content": asked}], **options).tokens
    assert done.tokens != model.translate("table", source="en", target="de", **options).tokens


@pytest.mark.parametrize("language", ["xx", "English", "", ("de",), ("de", ""), ("de", "G\n"), ("de", "x" * 65), None])
def test_a_language_that_is_not_known_is_refused(language: Any) -> None:
    for source, target in ((language, "de"), ("de", language)):
        with pytest.raises(UsageError, match="not a language"):
            translation_request("a", source, target)
    with pytest.raises(UsageError, match="no text"):
        translation_request("  ", "de", "en")
