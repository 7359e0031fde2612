"""Gemma 3n out of both kinds of files, at every level, through every door."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from gguf import GGUFReader

from gemwright import load, ops
from gemwright.errors import UnsupportedModel
from gemwright.models import ARCHITECTURES, gemma3n
from gemwright.models.gemma3n_gguf import gguf_metadata
from gemwright.quantising import quantise_file
from gemwright.store import Store
from gemwright.weights import LEVELS, Checkpoint, open_checkpoint
from support.gguf_writer import Stored, gguf
from support.grouping import in_chunks
from support.small_gemma3n import small_model
from support.tiny_gemma3n import NAMES, golden

TEXT = "table aab\n\n   der  Uet"

F32 = npt.NDArray[np.float32]


@pytest.fixture(autouse=True)
def _cache_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMWRIGHT_CACHE_DIR", str(tmp_path / "cache"))


def network(path: Path, level: str = "stored", store: Store | None = None) -> gemma3n.Gemma3n:
    checkpoint = replace(open_checkpoint(path), level=level)
    net = ARCHITECTURES[checkpoint.architecture].build(checkpoint, LEVELS[level].precision, store)
    assert isinstance(net, gemma3n.Gemma3n)
    return net


def logits(net: gemma3n.Gemma3n, tokens: npt.NDArray[np.int32]) -> F32:
    return net.logits(in_chunks(net, tokens, len(tokens)))


def tokens_of(net: gemma3n.Gemma3n) -> npt.NDArray[np.int32]:
    """Some of every kind: the last tokens have no vectors of their own."""
    some = np.random.default_rng(7).integers(0, net.config.vocabulary, 48)
    return np.concatenate([some, np.arange(net.config.vocabulary - 6, net.config.vocabulary)]).astype(np.int32)


def written_by_hand(path: Path, checkpoint: Checkpoint) -> Path:
    """The checkpoint as a GGUF file laid out as llama.cpp's converter does: matrices of AltUp in stacks, a vector for
    every token."""
    config = gemma3n.Config.from_hf(checkpoint.config)
    bare = {key.split("language_model.")[-1].removeprefix("model."): t for key, t in checkpoint.tensors.items()}
    found = {row.gguf: bare[row.safetensors] for row in gemma3n.weights(config) if row.safetensors in bare}
    tensors = {key: Stored(t.type, t.shape, t.data.tobytes()) for key, t in found.items()}
    for key, name in [("altup_proj", "altup_projections"), ("altup_unembd_proj", "altup_unembed_projections")]:
        parts = [bare[f"{name}.{i}.weight"] for i in range(config.streams - 1)]
        data = b"".join(part.data.tobytes() for part in parts)
        tensors[f"{key}.weight"] = Stored(parts[0].type, (len(parts), *parts[0].shape), data)
    table = tensors["per_layer_token_embd.weight"]
    first = table.data[: len(table.data) // table.shape[0]]
    lacking = config.vocabulary - config.per_layer_vocabulary
    shape = (config.vocabulary, table.shape[1])
    tensors["per_layer_token_embd.weight"] = Stored(table.type, shape, table.data + first * lacking)
    metadata = {"general.architecture": "gemma3n", **gguf_metadata(config)}
    metadata["tokenizer.ggml.token_type"] = np.ones(config.vocabulary, np.int32)
    path.write_bytes(gguf(metadata, tensors).data)
    return path


@pytest.mark.parametrize("name", ["long", "tower"])
def test_a_gguf_file_of_the_same_weights_gives_the_same_bits(tmp_path: Path, name: str) -> None:
    g = golden(name)
    file = written_by_hand(tmp_path / "made.gguf", open_checkpoint(g.path))
    for level in LEVELS:
        np.testing.assert_array_equal(logits(network(file, level), g.tokens), logits(network(g.path, level), g.tokens))


@pytest.mark.parametrize(
    ("level", "most"), [("stored", 0.01), ("performance", 0.05), ("balanced", 0.05), ("maximum_efficiency", 0.1)]
)
@pytest.mark.parametrize("name", NAMES)
def test_models_of_widths_that_few_blocks_fit_load_at_every_level(name: str, level: str, most: float) -> None:
    """Nearly all their matrices stay in 16 bits."""
    g = golden(name)
    assert_close(logits(network(g.path, level), g.tokens), g.logits, most)


def test_a_gguf_file_keeps_a_width_and_a_cut_for_each_layer(tmp_path: Path) -> None:
    source = small_model(tmp_path / "small-it")
    config = network(source).config
    written = network(written_by_hand(tmp_path / "made.gguf", open_checkpoint(source))).config
    assert len(set(config.feed_forward)) > 1
    assert written.feed_forward == config.feed_forward
    assert [cut is None for cut in written.cuts] == [cut is None for cut in config.cuts]
    np.testing.assert_allclose([cut for cut in written.cuts if cut], [cut for cut in config.cuts if cut], rtol=1e-7)


@pytest.mark.parametrize("change", [{"laurel_rank": 7}, {"final_logit_softcapping": None}])
def test_what_gguf_cannot_say_is_not_written(tmp_path: Path, change: dict[str, object]) -> None:
    with pytest.raises(UnsupportedModel, match=r"GGUF cannot describe.*rank.*cap"):
        quantise_file(small_model(tmp_path / "small", **change), tmp_path / "made.gguf")
    assert not (tmp_path / "made.gguf").exists()


@pytest.mark.parametrize("level", ["performance", "stored"])
def test_a_written_file_computes_bit_for_bit_what_its_source_does(tmp_path: Path, level: str) -> None:
    source, target = small_model(tmp_path / "small-it"), tmp_path / "made.gguf"
    quantise_file(source, target, level=level)
    tokens = tokens_of(network(source))
    direct = network(source, level)
    for net in (network(target, level), network(written_by_hand(tmp_path / "hand.gguf", open_checkpoint(source)))):
        net.kv_format = direct.kv_format
        np.testing.assert_array_equal(logits(net, tokens), logits(direct, tokens))


@pytest.mark.parametrize("level", ["balanced", "maximum_efficiency"])
def test_a_written_file_of_fewer_bits_differs_from_loading_by_the_rounded_vectors_alone(
    tmp_path: Path, level: str
) -> None:
    """A loaded table stays as the file has it; a written one has 8 bits, as the embedding does."""
    source, target = small_model(tmp_path / "small-it"), tmp_path / "made.gguf"
    quantise_file(source, target, level=level)
    file, direct = network(target), network(source, level)
    tokens = tokens_of(direct)
    assert_close(logits(file, tokens), logits(direct, tokens), 0.02)
    direct.per_layer_table = file.per_layer_table
    direct_tokens = np.minimum(tokens, direct.config.per_layer_vocabulary - 1)
    np.testing.assert_array_equal(logits(file, direct_tokens), logits(direct, direct_tokens))


def test_a_written_file_has_what_llama_cpp_asks_for(tmp_path: Path) -> None:
    """Shapes and keys as its loader wants them, read by another program: the `gguf` package of its authors."""
    source, target = small_model(tmp_path / "small-it"), tmp_path / "made.gguf"
    quantise_file(source, target)
    config, reader = network(source).config, GGUFReader(target)
    shapes = {tensor.name: tuple(int(size) for size in tensor.shape[::-1]) for tensor in reader.tensors}
    assert shapes["altup_proj.weight"] == shapes["altup_unembd_proj.weight"] == (3, 64, 64)
    assert shapes["per_layer_token_embd.weight"] == (config.vocabulary, 6 * 32)
    assert {f"blk.{i}.attn_{part}.weight" for i in range(6) for part in ("k", "v", "k_norm")} <= shapes.keys()
    types = {tensor.name: tensor.tensor_type.name for tensor in reader.tensors}
    assert {types[f"blk.{i}.altup_router.weight"] for i in range(6)} == {"BF16"}, "routers stay in 16 bits"
    assert types["per_layer_token_embd.weight"] == "Q8_0"
    fields = {name: field.contents() for name, field in reader.fields.items()}
    assert fields["gemma3n.activation_sparsity_scale"][2:] == [-np.inf] * 4
    assert fields["gemma3n.attention.sliding_window_pattern"] == [True, True, True, False, True, False]
    assert fields["gemma3n.attention.shared_kv_layers"] == 2
    assert fields["general.file_type"] != 7, "the table is not what the file is called after"


def test_a_file_of_a_file_is_the_file_of_the_source(tmp_path: Path) -> None:
    """Stacks are taken apart and put together again."""
    source = small_model(tmp_path / "small-it")
    quantise_file(source, tmp_path / "bf16.gguf", matrices="BF16")
    quantise_file(tmp_path / "bf16.gguf", tmp_path / "second.gguf", level="balanced")
    quantise_file(source, tmp_path / "first.gguf", level="balanced")
    first, second = open_checkpoint(tmp_path / "first.gguf"), open_checkpoint(tmp_path / "second.gguf")
    assert first.tensors.keys() == second.tensors.keys()
    for key, tensor in first.tensors.items():
        assert (tensor.type, tensor.shape) == (second.tensors[key].type, second.tensors[key].shape), key
        assert np.array_equal(tensor.data, second.tensors[key].data), key


def test_weights_nobody_reads_may_be_missing(tmp_path: Path) -> None:
    source, without = small_model(tmp_path / "with"), small_model(tmp_path / "without", unread=False)
    tokens = tokens_of(network(source))
    np.testing.assert_array_equal(logits(network(source), tokens), logits(network(without), tokens))
    quantise_file(without, tmp_path / "made.gguf", level="stored")
    np.testing.assert_array_equal(logits(network(tmp_path / "made.gguf"), tokens), logits(network(source), tokens))


@pytest.mark.parametrize("dtype", ["BF16", "F32"])
@pytest.mark.parametrize(("level", "most"), [("performance", 0.01), ("balanced", 0.05), ("maximum_efficiency", 0.25)])
def test_every_level_is_as_near_to_the_stored_weights_as_its_bits_allow(
    tmp_path: Path, level: str, most: float, dtype: str
) -> None:
    path = small_model(tmp_path, dtype=dtype)
    exact = ARCHITECTURES["gemma3n"].build(open_checkpoint(path), "exact")
    assert isinstance(exact, gemma3n.Gemma3n)
    tokens = tokens_of(exact)
    assert_close(logits(network(path, level), tokens), logits(exact, tokens), most)


@pytest.mark.parametrize("level", LEVELS)
def test_chunks_and_cpu_targets_do_not_change_a_bit_at_any_level(tmp_path: Path, level: str) -> None:
    net = network(small_model(tmp_path), level)
    tokens = tokens_of(net)
    whole = logits(net, tokens)
    for target in [name for name, usable in ops.targets().items() if usable]:
        ops.use_target(target)
        for size in (1, 7, 33):
            assert np.array_equal(net.logits(in_chunks(net, tokens, size)), whole), f"{target}, chunks of {size}"


@pytest.mark.parametrize("level", ["balanced", "maximum_efficiency"])
def test_routers_are_not_quantised(tmp_path: Path, level: str) -> None:
    path = small_model(tmp_path)
    stored, net = open_checkpoint(path).tensors, network(path, level)
    for i, w in enumerate(net.layers):
        router = stored[f"model.layers.{i}.altup.modality_router.weight"].to_f32()
        assert np.array_equal(w.router.to_f32(), router)
        assert not np.array_equal(w.gate.to_f32(), stored[f"model.layers.{i}.mlp.gate_proj.weight"].to_f32())


@pytest.mark.parametrize("level", ["balanced", "maximum_efficiency"])
def test_candidates_under_the_cap_are_the_largest_logits(tmp_path: Path, level: str) -> None:
    net = network(small_model(tmp_path, final_logit_softcapping=2.0), level)
    tokens = tokens_of(net)
    hidden = in_chunks(net, tokens, len(tokens))
    assert net.embed.is_split
    rows = net.logits(hidden)
    assert np.abs(rows).max() < 2.0
    for k, below in [(1, 300), (40, 300), (7, 50)]:
        ids, values = net.candidates(hidden, k, below)
        expected = np.argsort(-rows[:, :below], axis=1, kind="stable")[:, :k]
        np.testing.assert_array_equal(ids, expected)
        np.testing.assert_array_equal(values, np.take_along_axis(rows, expected, axis=1))


@pytest.mark.parametrize("name", NAMES)
def test_a_packed_network_computes_the_same_bits_and_leaves_the_table_in_its_file(tmp_path: Path, name: str) -> None:
    g, said = golden(name), list[str]()
    store = Store(tmp_path / "packed", 1_000_000_000, said.append, smallest_bytes=0)
    expected = logits(network(g.path), g.tokens)
    for _ in range(2):
        np.testing.assert_array_equal(logits(network(g.path, store=store), g.tokens), expected)
    (kept,) = store.kept()
    assert len(said) == 1
    pages = 1 + sum(not row.unread for row in gemma3n.weights(network(g.path).config))
    assert kept.bytes < 4096 * 2 * pages, "a page or two for each matrix, and none for the table"


def test_a_token_is_multiplied_by_every_matrix_of_the_model(tmp_path: Path) -> None:
    """What `gemwright bench` compares the machine with."""
    net = network(small_model(tmp_path))
    rows = [row for row in gemma3n.weights(net.config) if len(row.shape) == 2 and not row.unread]
    expected = sorted(row.shape for row in rows if row.name not in ("embed", "per_layer_embed"))
    assert sorted((matrix.rows, matrix.cols) for matrix in net.matrices()) == expected
    assert net.cost(9).layer_multiplications == sum(out * width for out, width in expected)
    assert net.cost(9).cache_bytes < net.cost(15).cache_bytes


def test_a_model_answers_through_the_public_door_alike_however_it_gets_there(tmp_path: Path) -> None:
    """With the prefill shortcut or without it, and when most of a prompt is known from an earlier one."""
    source, answers = small_model(tmp_path / "small-it"), []
    for shortcut, prefix_cache in [(True, True), (False, True), (True, False)]:
        model = load(source, context_tokens=512, prefix_cache=prefix_cache)
        assert isinstance(model.network, gemma3n.Gemma3n)
        model.network.shortcut = shortcut
        texts = [TEXT * 3, TEXT * 5, TEXT * 5 + " table"]
        answers.append([model.generate(text, max_tokens=20, temperature=0.0).text for text in texts])
    assert len(model.encode(texts[1])) > 64, "a page to share"
    assert answers[0] == answers[1] == answers[2]


def assert_close(found: F32, expected: F32, most: float) -> None:
    """By root mean square, relative."""
    error = float(np.linalg.norm(found - expected) / np.linalg.norm(expected))
    print(f"relative error {error:.2e}")
    assert error <= most
