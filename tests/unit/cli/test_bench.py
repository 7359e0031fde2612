"""`gemwright bench` and `gemwright perplexity` from the command line, on a toy network."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gemwright.cli.throughput import Workload, measure
from gemwright.engine import scoring
from support.toy_network import ToyConfig, ToyNetwork


@pytest.fixture
def toy(model):
    """The fake model with a network that refuses every misuse of its cache."""
    model.network = ToyNetwork(ToyConfig(vocabulary=64, context_tokens=2000))
    model.bos_id = 2
    model.encode = lambda text: [2, *(ord(letter) % 64 for letter in text)]
    model.score = lambda tokens: scoring.score(model.network, tokens)
    return model


def test_a_network_that_refuses_misuse_is_measured() -> None:
    network = ToyNetwork(ToyConfig(vocabulary=64, context_tokens=2000))
    rates = measure(network, Workload(prompt=600, generate=3, depth=700, batch=2, repeat=2), [1, 2, 3])
    assert {name: len(values) for name, values in rates.items()} == {"prefill": 2, "decode": 2}
    assert network.rows_of_candidates > 0


def test_json_has_the_median_beside_its_spread_and_the_workload(run, toy) -> None:
    ran = run("bench", "--prompt", "40", "--generate", "4", "--depth", "8", "--batch", "2", "--repeat", "3", "--json")
    found = json.loads(ran.out)
    for name in ("prefill_tokens_per_s", "decode_tokens_per_s"):
        assert 0 < found[f"{name}_min"] <= found[name] <= found[f"{name}_max"]
    assert len(found["prefill_runs"]) == 3
    assert {name: found[name] for name in ("prompt", "generate", "depth", "batch", "repeat")} == {
        "prompt": 40, "generate": 4, "depth": 8, "batch": 2, "repeat": 3,
    }  # fmt: skip


def test_json_says_what_a_token_at_that_depth_costs(run, toy) -> None:
    found = json.loads(run("bench", "-p", "0", "-n", "1", "--depth", "8", "-r", "1", "--json").out)
    assert found["per_token"] == vars(toy.network.cost(8))


def test_people_see_a_line_for_each_test(run, toy) -> None:
    lines = run("bench", "--prompt", "0", "--generate", "4", "--repeat", "2").out.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("decode ")
    assert "tokens/s" in lines[0]


def test_the_model_can_be_named(run, toy) -> None:
    run("bench", "some.gguf", "-p", "8", "-n", "0", "-r", "1", "-t", "2")
    assert toy.loaded_with["name"] == "some.gguf"
    assert toy.loaded_with["threads"] == 2


def test_a_workload_over_the_context_is_status_4(run, toy) -> None:
    assert run("bench", "--depth", "2000").status == 4


def test_perplexity_of_a_file_is_printed_with_its_uncertainty(run, toy, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("some words " * 20)
    ran = run("perplexity", "m.gguf", str(tmp_path / "text"), "--context", "32", "--json")
    found = json.loads(ran.out)
    assert found["chunks"] == 221 // 32
    assert found["scored_tokens"] == 6 * 15
    assert found["perplexity"] > 1
    shown = run("perplexity", "m.gguf", str(tmp_path / "text"), "--context", "32")
    assert shown.out.startswith(f"perplexity {found['perplexity']:.4f} ± {found['uncertainty']:.4f}")
    assert shown.err.count("[") == 6


def test_a_text_that_is_too_short_is_status_2(run, toy, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("short")
    assert run("perplexity", "m.gguf", str(tmp_path / "text")).status == 2


def test_a_missing_text_is_status_3_and_nothing_is_loaded(run, toy, tmp_path: Path) -> None:
    assert run("perplexity", "m.gguf", str(tmp_path / "none")).status == 3
    assert toy.loaded_with == {}
