"""What a user of the Python interface is promised, on a toy network whose every logit depends on the whole context."""

from __future__ import annotations

import dataclasses
import gc
import json
import threading
from typing import Any

import numpy as np
import pytest

from gemwright.engine.degeneration import LOOP_TOKENS, RESERVED_TOKENS
from gemwright.engine.lookup import Lookup
from gemwright.errors import CapacityError, ContextOverflow, UsageError
from gemwright.messages import Message, Sampling
from gemwright.model import DEFAULT_CONTEXT_TOKENS, Facts, Model, Stream
from gemwright.text.chat import GEMMA3, TRANSCRIPT
from support.toy_network import ToyCache, ToyConfig, ToyNetwork, toy_logits
from support.toy_tokenizer import ToyTokenizer

PADDING = 3
TOKENIZER = ToyTokenizer()
FACTS = Facts(name="toy", architecture="toy", parameters=1, bytes=2, precision="default")
WILD = {"top_k": 0, "top_p": 1.0}


def toy(template: Any = TRANSCRIPT, *, context: int = 2048, **options: Any) -> Model:
    network = ToyNetwork(ToyConfig(vocabulary=TOKENIZER.vocabulary_size + PADDING, context_tokens=context))
    return Model(network, TOKENIZER, template, FACTS, **options)  # type: ignore[arg-type]


def never_ending(**more: Any) -> dict[str, Any]:
    """Options under which no end token is ever drawn."""
    return {**WILD, "logit_bias": dict.fromkeys(TOKENIZER.stop_ids, -1000.0), **more}


def test_the_pieces_of_a_stream_are_the_text_of_the_completion() -> None:
    model = toy()
    with model.stream("hello", max_tokens=60, **never_ending(seed=3)) as stream:
        pieces = list(stream)
    assert all(pieces)
    assert "".join(pieces) == stream.completion.text == model.tokenizer.decode(stream.completion.tokens)
    assert stream.completion == model_times(model.generate("hello", max_tokens=60, **never_ending(seed=3)), stream)
    assert stream.completion.finish_reason == "length"
    assert len(stream.completion.tokens) == 60
    assert stream.completion.prompt_tokens == 6


def model_times(completion: Any, stream: Stream) -> Any:
    """`completion` with the times of the other one, which alone may differ."""
    other = stream.completion
    return type(completion)(**{**vars(completion), "prefill_s": other.prefill_s, "decode_s": other.decode_s})


def test_an_answer_ends_at_the_models_end_tokens() -> None:
    for token in TOKENIZER.stop_ids:
        done = toy().generate("hello", logit_bias={token: 1000.0})
        assert (done.text, done.tokens, done.finish_reason) == ("", (), "stop")


def test_an_answer_ends_before_a_stop_string() -> None:
    whole = toy().generate("hello", max_tokens=60, **never_ending(seed=3)).text
    stop = whole[20:23]
    done = toy().generate("hello", max_tokens=60, **never_ending(seed=3, stop=(stop,)))
    assert done.text == whole[: whole.index(stop)]
    assert done.finish_reason == "stop"


def test_the_same_seed_gives_the_same_answer_alone_and_in_a_batch() -> None:
    prompts = ["a", "hello there", "x" * 700, "a", [2, 9, 10, 11]]
    model = toy()
    together = model.generate_batch(prompts, max_tokens=30, seed=8, **WILD)
    for prompt, done in zip(prompts, together, strict=True):
        assert toy().generate(prompt, max_tokens=30, seed=8, **WILD).tokens == done.tokens
    assert together[0].tokens == together[3].tokens


def test_without_a_seed_every_answer_is_another_and_says_how_to_get_it_again() -> None:
    model = toy()
    first, second = model.generate_batch(["same", "same"], max_tokens=20, **never_ending())
    assert first.tokens != second.tokens
    assert model.generate("same", max_tokens=20, **never_ending(seed=second.seed)).tokens == second.tokens


def test_single_options_are_those_of_sampling() -> None:
    model = toy()
    sampling = Sampling(temperature=0.4, seed=5, top_k=9)
    by_keyword = model.generate("hello", max_tokens=20, temperature=0.4, seed=5, top_k=9)
    assert by_keyword.tokens == model.generate("hello", max_tokens=20, sampling=sampling).tokens
    mixed = model.generate("hello", max_tokens=20, sampling=Sampling(temperature=0.4, top_k=9), seed=5)
    assert mixed.tokens == by_keyword.tokens
    with pytest.raises(TypeError, match="temprature"):
        model.generate("hello", temprature=0.4)  # type: ignore[call-arg]


def test_guessing_ahead_gives_the_same_answer_and_says_how_often_it_was_right() -> None:
    model = toy()
    plain = model.generate("a" * 40, max_tokens=60, temperature=0.0, logit_bias={model.encode("a")[1]: 1000.0})
    options: Any = {"temperature": 0.0, "logit_bias": {model.encode("a")[1]: 1000.0}, "speculation": Lookup(8)}
    guessed = model.generate("a" * 40, max_tokens=60, **options)
    assert guessed.tokens == plain.tokens
    assert (plain.drafted_tokens, plain.accepted_tokens) == (0, 0)
    assert guessed.accepted_tokens == guessed.drafted_tokens > 40


def test_a_conversation_computes_its_past_once_and_strangers_share_nothing() -> None:
    model, alone = toy(), toy()
    for turn, salt, known in [("a", "", 0), ("b", "", 384), ("c", "mine", 0), ("d", "mine", 384)]:
        done = model.generate("x" * 390 + turn, max_tokens=5, cache_salt=salt, **never_ending(seed=1))
        assert (
            done.tokens
            == alone.generate("x" * 390 + turn, max_tokens=5, cache_salt=turn, **never_ending(seed=1)).tokens
        )
        assert (done.prompt_tokens, done.cached_tokens) == (392, known)


def test_sampling_is_gemmas_unless_told_otherwise() -> None:
    assert Sampling() == Sampling(temperature=1.0, top_k=64, top_p=0.95, min_p=0.0)
    model = toy()
    gemma = Sampling(temperature=1.0, top_k=64, top_p=0.95, seed=2)
    assert model.generate("abc", seed=2).tokens == model.generate("abc", sampling=gemma).tokens


def test_log_probabilities_are_those_score_gives() -> None:
    model = toy()
    done = model.generate("hello", max_tokens=10, logprobs=True, **never_ending(seed=1))
    assert done.logprobs is not None
    prompt = model.encode("hello")
    scored = model.score([*prompt, *done.tokens])[len(prompt) - 1 :]
    assert np.array_equal(np.array(done.logprobs, np.float32), scored)
    assert model.generate("hello", max_tokens=2).logprobs is None


def test_padding_of_the_vocabulary_is_never_drawn() -> None:
    drawn = toy().generate("a", max_tokens=1500, temperature=50.0, **never_ending(seed=1)).tokens
    assert max(drawn) < TOKENIZER.vocabulary_size
    assert len(set(drawn)) > 0.8 * TOKENIZER.vocabulary_size


def test_without_the_cache_the_answer_is_the_same() -> None:
    model = toy()
    options = never_ending(seed=4, stop=("zz",), presence_penalty=0.5)
    slow = model.without_cache().generate("hello", max_tokens=25, **options)
    assert slow.tokens == model.generate("hello", max_tokens=25, **options).tokens
    assert slow.finish_reason == "length"
    assert model.without_cache().generate("hello", logit_bias={TOKENIZER.eos_id: 1000.0}).tokens == ()


# Chat


def test_a_tuned_model_chats_with_its_turns() -> None:
    model = toy(GEMMA3)
    assert (model.chat_format, model.is_chat_tuned) == ("gemma3/1", True)
    prompt = model.render([{"role": "user", "content": "hi<eos>"}]).tokens
    assert prompt[:2] == (TOKENIZER.bos_id, TOKENIZER.start_of_turn_id)
    assert TOKENIZER.eos_id not in prompt
    asked = model.chat([Message("user", "hi<eos>")], max_tokens=8, seed=1, **WILD)
    assert asked.prompt_tokens == len(prompt)
    assert asked.tokens == model.generate(prompt, max_tokens=8, seed=1, **WILD).tokens


def test_a_base_model_chats_by_transcript_and_says_so() -> None:
    model = toy(TRANSCRIPT)
    assert (model.chat_format, model.is_chat_tuned) == ("transcript/1", False)
    prompt = model.render([{"role": "user", "content": "hi"}])
    assert model.tokenizer.decode(prompt.tokens).startswith("U")
    assert prompt.stop


def test_the_stop_strings_of_the_transcript_end_an_answer() -> None:
    """Here the letter a in place of "User:", which a toy would hardly ever write."""
    model = toy(dataclasses.replace(TRANSCRIPT, stop=("a",)))
    done = model.chat([Message("user", "hi")], max_tokens=1000, **never_ending(seed=1))
    assert done.finish_reason == "stop"
    assert "a" not in done.text
    assert model.tokenizer.decode(done.tokens).endswith("a")
    assert "a" in model.generate("hi", max_tokens=1000, **never_ending(seed=1)).text


def test_the_white_space_a_transcript_needs_is_not_part_of_the_answer() -> None:
    model = toy(TRANSCRIPT)
    space = TOKENIZER.encode(" ", bos=False)[0]
    messages = [Message("user", "hi")]
    seeds = range(40)
    raw = {s: model.generate(model.render(messages).tokens, max_tokens=6, **never_ending(seed=s)) for s in seeds}
    seed = next(s for s in seeds if raw[s].tokens[0] == space and raw[s].text.strip())
    with model.stream_chat(messages, max_tokens=6, **never_ending(seed=seed)) as stream:
        pieces = list(stream)
    assert all(pieces)
    assert "".join(pieces) == stream.completion.text == raw[seed].text.lstrip()
    assert stream.completion.tokens == raw[seed].tokens


def test_conversations_are_answered_together_as_they_are_alone() -> None:
    model = toy(GEMMA3)
    conversations = [[Message("user", text)] for text in ("a", "bb", "ccc")]
    together = model.chat_batch(conversations, max_tokens=9, seed=3)
    assert [done.tokens for done in together] == [model.chat(c, max_tokens=9, seed=3).tokens for c in conversations]


@pytest.mark.parametrize(
    ("turn", "says"),
    [
        ({"role": "robot", "content": "x"}, "robot"),
        ({"role": "user"}, "content"),
        ({"role": "user", "content": "x", "name": "y"}, "name"),
        ({"role": "user", "content": 5}, "int"),
        ("hello", "str"),
    ],
)
def test_a_message_that_is_none_is_refused(turn: Any, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        toy().chat([turn])


# Streams


def test_a_closed_stream_keeps_what_was_made_and_frees_its_room() -> None:
    model = toy()
    stream = model.stream("hello", max_tokens=50, **never_ending(seed=1))
    with pytest.raises(UsageError, match="not finished"):
        _ = stream.completion
    pieces = [next(stream) for _ in range(5)]
    stream.close()
    assert stream.completion.finish_reason == "cancelled"
    assert stream.completion.text == "".join(pieces)
    assert len(stream.completion.tokens) >= 5
    assert stream.completion.prefill_s > 0
    assert list(stream) == []
    assert model.engine.state.running == ()  # type: ignore[union-attr]


def test_a_stream_closed_before_it_began_has_an_empty_completion() -> None:
    stream = toy().stream("hello")
    stream.close()
    assert (stream.completion.text, stream.completion.finish_reason, stream.completion.prompt_tokens) == (
        "",
        "cancelled",
        6,
    )


def test_a_dropped_stream_frees_its_room() -> None:
    model = toy()
    stream = model.stream("hello")
    next(stream)
    del stream
    gc.collect()
    assert model.engine.state.running == ()  # type: ignore[union-attr]


def test_one_bad_prompt_leaves_nothing_of_the_batch_running() -> None:
    model = toy(context=256)
    with pytest.raises(ContextOverflow):
        model.generate_batch(["fine", "x" * 400], max_tokens=10)
    state = model.engine.state  # type: ignore[union-attr]
    assert (state.waiting, state.running) == ((), ())


def test_threads_share_one_model() -> None:
    model = toy()
    alone = [model.generate(f"{'abc'[i % 3]}", max_tokens=15, seed=i, **WILD).tokens for i in range(8)]
    got: dict[int, Any] = {}

    def ask(i: int) -> None:
        got[i] = model.generate(f"{'abc'[i % 3]}", max_tokens=15, seed=i, **WILD).tokens

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert [got[i] for i in range(8)] == alone


# Logits and scores


def test_logits_are_those_after_each_beginning_of_the_text() -> None:
    model = toy()
    tokens = [(7 * i) % TOKENIZER.vocabulary_size for i in range(1200)]  # several steps
    logits = model.logits(tokens)
    assert logits.shape == (1200, TOKENIZER.vocabulary_size + PADDING)
    assert logits.dtype == np.float32
    for place in (0, 1, 63, 64, 511, 512, 513, 1199):
        assert np.array_equal(logits[place], toy_logits(model.network, tokens[: place + 1]))  # type: ignore[arg-type]


def test_score_is_the_log_probability_of_each_token_after_those_before_it() -> None:
    model = toy()
    tokens = [(5 * i + i * i) % TOKENIZER.vocabulary_size for i in range(1100)]
    logits = model.logits(tokens).astype(np.float64)
    expected = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    scored = model.score(tokens)
    assert scored.shape == (1099,)
    assert scored.dtype == np.float32
    assert np.allclose(scored, expected[np.arange(1099), tokens[1:]], atol=1e-4)
    assert model.score([2]).shape == (0,)
    assert np.array_equal(model.score(np.array(tokens)), scored)  # type: ignore[arg-type]


def test_scoring_never_holds_the_logits_of_the_whole_text() -> None:
    most = 0

    class Watched(ToyNetwork):
        def logits(self, hidden: Any) -> Any:
            nonlocal most
            most = max(most, len(hidden))
            return super().logits(hidden)

    network = Watched(ToyConfig(vocabulary=TOKENIZER.vocabulary_size, context_tokens=2048))
    Model(network, TOKENIZER, TRANSCRIPT, FACTS).score([2] * 2000)  # type: ignore[arg-type]
    assert most == 64


def test_what_cannot_be_scored_is_refused() -> None:
    with pytest.raises(UsageError, match="no tokens"):
        toy().score([])
    with pytest.raises(UsageError, match="999 is not a token"):
        toy().logits([2, 999])
    with pytest.raises(ContextOverflow, match=r"300 tokens.*256"):
        toy(context=256).score([2] * 300)


# The model itself


def test_the_context_is_the_default_the_models_or_what_was_asked_for() -> None:
    assert toy(context=100_000).context_tokens == DEFAULT_CONTEXT_TOKENS
    assert toy(context=512).context_tokens == 512
    assert toy(context=512, context_tokens=64).context_tokens == 64
    assert toy(context=512, context_tokens=65).context_tokens == 96, "whole pages"
    odd = toy(context=100)
    assert odd.context_tokens == 100
    assert len(odd.generate([2] * 90, max_tokens=10, **never_ending()).tokens) == 10
    with pytest.raises(ContextOverflow):
        odd.generate([2] * 90, max_tokens=11)
    for impossible in (0, 513, 2.5, True):
        with pytest.raises(UsageError, match="context_tokens"):
            toy(context=512, context_tokens=impossible)


def test_a_context_there_is_no_memory_for_is_a_capacity_error() -> None:
    class Small(ToyNetwork):
        def new_cache(self, *, capacity_tokens: int, max_step_tokens: int, max_sequences: int) -> ToyCache:
            raise MemoryError

    with pytest.raises(CapacityError, match="no memory"):
        Model(Small(), TOKENIZER, TRANSCRIPT, FACTS)  # type: ignore[arg-type]


def test_a_model_describes_itself_in_json() -> None:
    described = json.loads(json.dumps(toy(GEMMA3, context=512).describe()))
    assert described["name"] == "toy"
    assert described["context_tokens"] == described["trained_context_tokens"] == 512
    assert described["chat_format"] == "gemma3/1"
    assert described["threads"] >= 1
    assert {"architecture", "parameters", "bytes", "precision", "target", "vocabulary"} <= described.keys()


def test_an_endless_loop_ends_the_answer_with_its_own_reason() -> None:
    always = {"logit_bias": {TOKENIZER.vocabulary_size - 5: 1000.0}, "max_tokens": 2000}
    done = toy(context=4096).generate("hello", **always)
    assert done.finish_reason == "degenerate"
    assert LOOP_TOKENS < len(done.tokens) <= LOOP_TOKENS + 8
    assert done.text == TOKENIZER.decode(done.tokens)
    assert toy(context=4096).generate("hello", guard=False, **always).finish_reason == "length"


def test_where_a_loop_is_ended_does_not_depend_on_guessing_batching_or_the_cache() -> None:
    options = {"logit_bias": {TOKENIZER.vocabulary_size - 5: 1000.0}, "max_tokens": 1100, "seed": 3}
    alone = toy().generate("hello", **options)
    assert alone.finish_reason == "degenerate"
    guessed = toy().generate("hello", speculation=Lookup(), **options)
    assert guessed.accepted_tokens > 0
    together = toy(context=8192).generate_batch(["hello", "a", "hello there"], **options)
    for done in (guessed, together[0]):
        assert (done.tokens, done.text, done.finish_reason) == (alone.tokens, alone.text, "degenerate")
    assert {done.finish_reason for done in together} == {"degenerate"}


def test_a_storm_of_reserved_tokens_ends_the_answer() -> None:
    model = toy()
    model.tokenizer.reserved_ids = frozenset({TOKENIZER.unk_id})  # type: ignore[misc]
    done = model.generate("hello", logit_bias={TOKENIZER.unk_id: 1000.0}, max_tokens=100)
    assert (done.finish_reason, len(done.tokens), done.text) == ("degenerate", RESERVED_TOKENS, "")
