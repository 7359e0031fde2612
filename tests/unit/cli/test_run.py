"""`gemwright run`: where the prompt comes from, where the answer goes."""

from __future__ import annotations

import io
import json
import shlex
import sys

import pytest

from gemwright.cli.run import prompt_text
from gemwright.engine.lookup import Lookup
from gemwright.errors import ContextOverflow, UsageError
from gemwright.messages import Message, Sampling


def test_the_answer_goes_to_standard_output_and_its_figures_to_standard_error(run) -> None:
    ran = run("run", "Say hello")
    assert (ran.status, ran.out) == (0, "Hello.\n")
    assert "10 prompt tokens at 20.0/s" in ran.err
    assert "first token after 0.500 s" in ran.err
    assert "6 tokens at 2.5/s" in ran.err


def test_json_holds_text_figures_and_a_seed_and_nothing_else_is_printed(run) -> None:
    ran = run("run", "Say hello", "--json", "--seed", "5")
    found = json.loads(ran.out)
    assert ran.err == ""
    assert found["text"] == "Hello."
    assert found["finish_reason"] == "stop"
    assert found["seed"] == 5
    assert (found["prompt_tokens"], found["generated_tokens"]) == (10, 6)
    assert (found["prefill_tokens_per_s"], found["decode_tokens_per_s"]) == (20.0, 2.5)
    assert found["first_token_s"] == 0.5
    assert found["load_s"] >= 0
    assert found["model"] == {"name": "fake"}


def test_gemma_s_sampling_is_the_default(run, model) -> None:
    run("run", "x")
    assert model.asked == [{"prompt": "x", "max_tokens": 256, "sampling": Sampling()}]


def test_every_sampling_option_reaches_the_model(run, model) -> None:
    options = shlex.split("--temperature 0.5 --top-k 3 --top-p 0.8 --min-p 0.1 --seed 9 --stop A --stop B -n 7")
    run("run", "x", *options)
    [asked] = model.asked
    assert asked["max_tokens"] == 7
    assert asked["sampling"] == Sampling(temperature=0.5, top_k=3, top_p=0.8, min_p=0.1, seed=9, stop=("A", "B"))


@pytest.mark.parametrize(("is_tuned", "kind"), [(False, "prompt"), (True, "messages")])
def test_a_lookup_reaches_the_model_and_its_guesses_are_told(run, model, is_tuned, kind) -> None:
    model.is_chat_tuned = is_tuned
    ran = run("run", "x", "--lookup", "9")
    [asked] = model.asked
    assert kind in asked
    assert asked["speculation"] == Lookup(tokens=9)
    assert "guesses" not in ran.err
    model.counts = (0, 50, 32)
    assert "32 of 50 guesses right" in run("run", "x", "--lookup", "9").err
    found = json.loads(run("run", "x", "--lookup", "9", "--json").out)
    assert (found["drafted_tokens"], found["accepted_tokens"]) == (50, 32)


def test_known_prompt_tokens_are_told_and_do_not_count_as_computed(run, model) -> None:
    model.counts = (8, 0, 0)
    assert "10 prompt tokens (8 known) at 4.0/s" in run("run", "x").err
    found = json.loads(run("run", "x", "--json").out)
    assert (found["cached_tokens"], found["prefill_tokens_per_s"]) == (8, 4.0)


def test_a_lookup_that_cannot_be_is_refused_before_anything_is_loaded(run, model) -> None:
    ran = run("run", "x", "--lookup", "65")
    assert ran.status == 2
    assert "lookup is 65" in ran.err
    assert not model.loaded_with


def test_zero_is_a_value_and_not_the_absence_of_one(run, model) -> None:
    run("run", "x", "--temperature", "0", "--top-k", "0", "--seed", "0")
    assert model.asked[0]["sampling"] == Sampling(temperature=0.0, top_k=0, seed=0)


def test_model_threads_precision_and_context_reach_the_loader(run, model) -> None:
    run("run", "x", "-m", "a.gguf", "-t", "3", "--precision", "exact", "--context", "99")
    assert model.loaded_with == {"name": "a.gguf", "threads": 3, "precision": "exact", "context_tokens": 99}


def test_what_was_not_asked_for_is_the_loader_s_to_decide(run, model) -> None:
    run("run", "x")
    assert model.loaded_with == {"name": None, "threads": None, "precision": "default", "context_tokens": None}


@pytest.mark.parametrize(("piped", "prompt"), [(b"two\nlines\n", "two\nlines"), (b"a\n\n", "a\n"), (b"a", "a")])
def test_a_pipe_is_the_prompt_without_its_final_newline(run, model, piped: bytes, prompt: str) -> None:
    run("run", stdin=piped)
    assert model.asked[0]["prompt"] == prompt


def test_bytes_that_are_not_utf8_reach_the_model_unchanged(run, model) -> None:
    run("run", stdin=b"caf\xe9 \xff")
    assert model.asked[0]["prompt"].encode("utf-8", "surrogateescape") == b"caf\xe9 \xff"


def test_a_prompt_after_two_dashes_may_look_like_an_option(run, model) -> None:
    run("run", "--seed", "1", "--", "--help me")
    assert model.asked[0]["prompt"] == "--help me"


@pytest.mark.parametrize("arguments", [[""], []])
def test_an_empty_prompt_is_refused_before_anything_is_loaded(run, model, arguments) -> None:
    ran = run("run", *arguments)
    assert ran.status == 2
    assert "prompt is empty" in ran.err
    assert model.loaded_with == {}


class _Terminal(io.TextIOWrapper):
    def isatty(self) -> bool:
        return True


def test_no_prompt_in_a_terminal_is_refused_with_an_example(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", _Terminal(io.BytesIO(b"typed")))
    with pytest.raises(UsageError, match=r"There is no prompt\. Give one: gemwright run"):
        prompt_text(None)


def test_a_pipe_without_end_is_refused_at_a_bound(run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gemwright.cli.run.MAX_PROMPT_BYTES", 1 << 20)
    ran = run("run", stdin=b"x" * ((1 << 20) + 1))
    assert ran.status == 2
    assert "larger than 1 MiB" in ran.err


def test_a_chat_tuned_model_is_asked_and_raw_makes_it_continue(run, model) -> None:
    model.is_chat_tuned = True
    run("run", "Why?")
    run("run", "Why?", "--raw")
    assert model.asked[0]["messages"] == [Message("user", "Why?")]
    assert model.asked[1]["prompt"] == "Why?"


@pytest.mark.parametrize(
    ("option", "value"),
    [("--temperature", "-1"), ("--top-p", "0"), ("--top-p", "7"), ("--min-p", "2"), ("--top-k", "-1"),
     ("--threads", "0"), ("--threads", "100000"), ("--seed", "-1"), ("--temperature", "nan"), ("--stop", "")],
)  # fmt: skip
def test_an_impossible_value_is_status_2_and_is_named(run, option: str, value: str) -> None:
    ran = run("run", "x", option, value)
    assert ran.status == 2
    assert option.lstrip("-").replace("-", "_").replace("stop", "stop string") in ran.err.replace("-", "_").lower()
    assert ran.out == ""


def test_a_prompt_over_the_context_is_status_4(run, model) -> None:
    model.answers = [(ContextOverflow("9 tokens do not fit into 8.", hint="Shorten it."),)]
    ran = run("run", "x")
    assert (ran.status, ran.out) == (4, "")
    assert ran.err == "gemwright: 9 tokens do not fit into 8. Shorten it.\n"


def test_ctrl_c_keeps_what_was_said_and_stops_the_engine(run, model) -> None:
    model.answers = [("So far", KeyboardInterrupt(), "never")]
    ran = run("run", "x")
    assert (ran.status, ran.out) == (130, "So far\n")
    assert model.streams[0].closed


def test_escapes_of_a_model_reach_a_pipe_as_they_are(run, model) -> None:
    model.answers = [("\x1b[31m",)]
    assert run("run", "x").out == "\x1b[31m\n"
