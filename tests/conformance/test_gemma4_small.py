"""Gemma 4 from end to end: loaded by path, at every level, written as GGUF, packed, priced, answering with guesses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from gguf import GGUFReader

import gemwright
from gemwright import ops
from gemwright.engine.draft_model import DraftModel
from gemwright.models import ARCHITECTURES
from gemwright.models.gemma4 import Gemma4
from gemwright.models.weights import Precision
from gemwright.quantising import quantise_file
from gemwright.store import Store
from gemwright.weights import LEVELS, TensorType, open_checkpoint
from support.grouping import in_chunks
from support.small_gemma4 import KINDS, small_config, small_model

TEXT = "table aab\n\n   der  Uet"
TOKENS = np.random.default_rng(7).integers(0, 300, 48).astype(np.int32)


@pytest.fixture(autouse=True)
def _cache_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMWRIGHT_CACHE_DIR", str(tmp_path / "cache"))


def network(path: Path, level: str = "stored", precision: Precision = "default", store: Store | None = None) -> Gemma4:
    checkpoint = replace(open_checkpoint(path), level=level)
    net = ARCHITECTURES[checkpoint.architecture].build(checkpoint, precision, store)
    assert isinstance(net, Gemma4)
    return net


def logits(net: Gemma4) -> np.ndarray:
    return net.logits(in_chunks(net, TOKENS, len(TOKENS)))


def error(found: np.ndarray, expected: np.ndarray) -> float:
    """Root mean square, relative."""
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


@pytest.mark.parametrize("kind", KINDS)
def test_fewer_bits_are_less_exact_but_near(tmp_path: Path, kind: str) -> None:
    path = small_model(tmp_path, kind)
    exact = logits(network(path, precision="exact"))
    levels = ("performance", "balanced", "maximum_efficiency")
    errors = [error(logits(network(path, level, LEVELS[level].precision)), exact) for level in levels]
    assert errors == sorted(errors)
    assert 1e-4 < errors[1] < 0.1  # of experts a few are chosen otherwise
    assert 3 * errors[1] < errors[2] < 0.5


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("kind", ["31B", "26B"])
def test_a_written_file_computes_bit_for_bit_what_loading_at_the_level_does(
    tmp_path: Path, kind: str, level: str
) -> None:
    source, target = small_model(tmp_path / "small", kind), tmp_path / "made.gguf"
    quantise_file(source, target, level=level)
    assert np.array_equal(logits(network(target)), logits(network(source, level)))


def test_per_layer_embeddings_are_written_in_8_bits_and_read_as_they_are_stored(tmp_path: Path) -> None:
    source, target = small_model(tmp_path / "small", "E"), tmp_path / "made.gguf"
    quantise_file(source, target)
    table = "per_layer_token_embd.weight"
    file_type = open_checkpoint(target).config["general.file_type"]
    assert (open_checkpoint(target).tensors[table].type, file_type) == (TensorType.Q8_0, 8), "5 bits for the layers"
    direct, file = network(source, "maximum_efficiency"), network(target)
    for found, expected in zip(file.matrices(), direct.matrices(), strict=True):
        assert np.array_equal(found.to_f32(), expected.to_f32())
    assert 0 < error(logits(file), logits(direct)) < 0.05
    quantise_file(source, target, matrices="BF16", force=True)
    assert np.array_equal(logits(network(target)), logits(network(source)))


def test_a_router_is_kept_in_16_bits(tmp_path: Path) -> None:
    path = small_model(tmp_path / "small", "26B")
    quantise_file(path, tmp_path / "made.gguf")
    tensors = open_checkpoint(tmp_path / "made.gguf").tensors
    assert tensors["blk.0.ffn_gate_inp.weight"].type is TensorType.BF16
    assert tensors["blk.0.ffn_gate_up_exps.weight"].type is TensorType.Q5_0


def test_another_program_reads_the_file(tmp_path: Path) -> None:
    """The `gguf` package of llama.cpp's authors."""
    for kind in KINDS:
        quantise_file(small_model(tmp_path / kind, kind), tmp_path / f"{kind}.gguf", matrices="BF16")
    edge, mixture = (GGUFReader(tmp_path / f"{kind}.gguf") for kind in ("E", "26B"))
    fields = {name: field.contents() for name, field in edge.fields.items() if name.startswith(("g", "gemma4."))}
    assert fields["general.architecture"] == "gemma4"
    assert fields["gemma4.feed_forward_length"] == [96, 96, 96, 192, 192]
    assert fields["gemma4.attention.sliding_window_pattern"] == [True, True, False, True, False]
    assert fields["gemma4.attention.head_count_kv"] == 2
    assert fields["gemma4.attention.shared_kv_layers"] == 2
    assert fields["gemma4.embedding_length_per_layer_input"] == 32
    assert (fields["gemma4.attention.key_length"], fields["gemma4.attention.key_length_swa"]) == (64, 32)
    fields = {name: field.contents() for name, field in mixture.fields.items() if name.startswith("gemma4.")}
    assert fields["gemma4.attention.head_count_kv"] == [2, 2, 1, 2, 1]
    assert (fields["gemma4.expert_count"], fields["gemma4.expert_used_count"]) == (6, 2)
    tensors = {tensor.name: tensor for tensor in mixture.tensors}
    assert tensors["blk.0.ffn_gate_up_exps.weight"].shape.tolist() == [64, 64, 6]
    assert tensors["rope_freqs.weight"].data.tolist() == [1.0] * 8 + [np.float32(1e30)] * 24
    assert "blk.2.attn_v.weight" not in tensors


def test_a_gguf_file_is_written_again_with_all_that_is_in_it(tmp_path: Path) -> None:
    quantise_file(small_model(tmp_path / "small", "26B"), tmp_path / "first.gguf", matrices="BF16")
    quantise_file(tmp_path / "first.gguf", tmp_path / "second.gguf", level="balanced")
    first, second = (open_checkpoint(tmp_path / f"{name}.gguf") for name in ("first", "second"))
    assert first.tensors.keys() == second.tensors.keys() >= {"rope_freqs.weight"}
    assert np.array_equal(logits(network(tmp_path / "second.gguf")), logits(network(tmp_path / "small", "balanced")))


@pytest.mark.parametrize("kind", KINDS)
def test_candidates_are_the_largest_logits_under_the_cap(tmp_path: Path, kind: str) -> None:
    net = network(small_model(tmp_path, kind), "balanced")
    assert net.embed.is_split
    hidden = in_chunks(net, TOKENS, len(TOKENS))
    rows = net.logits(hidden)
    assert np.max(np.abs(rows)) < 30
    ids, values = net.candidates(hidden, 40, 300)
    expected = np.argsort(-rows[:, :300], axis=1, kind="stable")[:, :40]
    assert np.array_equal(ids, expected)
    assert np.array_equal(values, np.take_along_axis(rows, expected, axis=1))


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_answers_and_its_guesses_change_nothing(tmp_path: Path, kind: str) -> None:
    model = gemwright.load(small_model(tmp_path / "small", kind))
    plain = model.generate(TEXT, max_tokens=40, temperature=0.0)
    guessed = model.generate(TEXT, max_tokens=40, temperature=0.0, speculation=DraftModel(model.network))
    assert plain.text == guessed.text == model.without_cache().generate(TEXT, max_tokens=40, temperature=0.0).text
    quantise_file(tmp_path / "small", tmp_path / "made.gguf", matrices="BF16")
    assert gemwright.load(tmp_path / "made.gguf").generate(TEXT, max_tokens=40, temperature=0.0).text == plain.text


@pytest.mark.parametrize("kind", KINDS)
def test_a_packed_model_computes_the_same_bits(tmp_path: Path, kind: str) -> None:
    path, said = small_model(tmp_path / "small", kind), list[str]()
    store = Store(tmp_path / "packed", 1_000_000_000, said.append, smallest_bytes=0)
    expected = logits(network(path, "balanced"))
    for _ in range(2):
        assert np.array_equal(logits(network(path, "balanced", store=store)), expected)
    assert len(said) == len(store.kept()) == 1


def test_a_token_costs_one_row_of_the_table_and_the_experts_it_uses(tmp_path: Path) -> None:
    edge, mixture = (network(small_model(tmp_path / kind, kind)) for kind in ("E", "26B"))
    c = small_config("E")
    row_bytes = 2 * c["num_hidden_layers"] * c["hidden_size_per_layer_input"]
    matrices = sum(matrix.nbytes for matrix in edge.matrices())
    assert edge.cost(0).weight_bytes == edge.embed.scanned_bytes + matrices + row_bytes
    attention = 3 * (4 * 64 * 64) + 2 * (2 * 128 * 64 + 64 * 64)  # global layers: twice the width, no values
    inner = 5 * (3 * 64 * 96 + 6 * 64 + 2 * 3 * 64 * 32)  # dense network, router, two experts
    assert mixture.cost(0).layer_multiplications == attention + inner


def test_layers_that_share_keys_take_no_room_but_are_read(tmp_path: Path) -> None:
    net = network(small_model(tmp_path, "E"))
    assert [shape.window for shape in net.cache_layers()] == [16, 16, 0]
    keys = [min(100, window) or 100 for window in (16, 16, 0, 16, 0)]
    widths = [32, 32, 64, 32, 64]
    values = sum(2 * 2 * n * width for n, width in zip(keys, widths, strict=True))
    assert net.cost(99).cache_bytes == pytest.approx(values * 2)
    assert net.kv_format is ops.KVFormat.F16
