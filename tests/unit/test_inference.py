"""The class and the dictionaries users of the original guide type in."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest

from gemwright.errors import UsageError
from gemwright.inference import DEFAULTS, OptimizedGemmaInference
from gemwright.messages import Message, Sampling
from gemwright.model import Facts, Model
from gemwright.text.chat import GEMMA3
from support.toy_network import ToyConfig, ToyNetwork
from support.toy_tokenizer import ToyTokenizer

HELLO = [{"role": "user", "content": "hello"}]


@pytest.fixture
def model() -> Model:
    tokenizer = ToyTokenizer()
    network = ToyNetwork(ToyConfig(vocabulary=tokenizer.vocabulary_size))
    return Model(network, tokenizer, GEMMA3, Facts("toy", "toy", 1, 2, "default"))  # type: ignore[arg-type]


def ticking() -> Any:
    ticks: Iterator[int] = count()
    return lambda: float(2 * next(ticks))


def test_fast_generate_returns_the_answer_with_its_figures(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gemwright.model.secrets.randbits", lambda bits: 11)
    expected = model.chat(HELLO, max_tokens=20, sampling=Sampling(temperature=0.7, top_p=0.9), seed=11)
    got = OptimizedGemmaInference(model, model.tokenizer, clock=ticking()).fast_generate(HELLO, max_tokens=20)
    assert got == {
        "response": expected.text,
        "generation_time": 2.0,
        "tokens_per_second": len(expected.tokens) / 2.0,
        "tokens_generated": len(expected.tokens),
    }


def test_the_answer_is_the_same_without_the_cache(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gemwright.model.secrets.randbits", lambda bits: 12)
    face = OptimizedGemmaInference(model)
    network: Any = model.network
    cached = face.fast_generate(HELLO, max_tokens=20)
    assert len(network.steps[-1]) == 1
    recomputed = face.fast_generate(HELLO, max_tokens=20, use_cache=False)
    assert len(network.steps[-1]) > 20, "the whole text was computed again"
    assert cached["response"] == recomputed["response"]
    assert cached["tokens_generated"] == recomputed["tokens_generated"] > 3


def test_batch_generate_answers_in_order(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gemwright.model.secrets.randbits", lambda bits: 13)
    conversations = [[Message("user", text)] for text in ("a", "bb", "ccc", "dddd")]
    got = OptimizedGemmaInference(model, clock=ticking()).batch_generate(conversations, max_tokens=9)
    alone = [model.chat(one, max_tokens=9, sampling=DEFAULTS, seed=13).text for one in conversations]
    assert got == {"responses": alone, "batch_generation_time": 2.0, "average_time_per_item": 0.5}


def test_an_empty_batch_is_answered_by_nothing(model: Model) -> None:
    got = OptimizedGemmaInference(model).batch_generate([])
    assert got["responses"] == []
    assert got["average_time_per_item"] == 0.0


def test_an_answer_has_at_most_256_tokens_unless_asked_otherwise(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    endless = Sampling(logit_bias=dict.fromkeys(ToyTokenizer.stop_ids, -1000.0))
    monkeypatch.setattr("gemwright.inference.DEFAULTS", endless)
    face = OptimizedGemmaInference(model)
    assert face.fast_generate(HELLO)["tokens_generated"] == 256
    assert face.fast_generate(HELLO, 3)["tokens_generated"] == 3


def test_another_models_tokenizer_is_refused(model: Model) -> None:
    with pytest.raises(UsageError, match="not the model's own"):
        OptimizedGemmaInference(model, ToyTokenizer())  # type: ignore[arg-type]
