"""Models loaded at each level against float32 mathematics on their own weights, and how conversion is done."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gemwright.errors import NotFinite
from gemwright.models import ARCHITECTURES, Network
from gemwright.models import weights as loader
from gemwright.ops import matrix
from gemwright.store import Store
from gemwright.weights import LEVELS, TensorType, open_checkpoint
from support import fp32_gemma3
from support.grouping import in_chunks
from support.small_gemma3 import CONFIG, small_arrays, small_model, write_weights
from support.tiny_gemma3 import NAMES, assert_near, golden

TOKENS = np.random.default_rng(7).integers(0, 300, 48).astype(np.int32)


def network(path: Path, level: str, store: Store | None = None) -> Network:
    checkpoint = replace(open_checkpoint(path), level=level)
    return ARCHITECTURES[checkpoint.architecture].build(checkpoint, LEVELS[level].precision, store)


def bounded(path: Path, level: str) -> Network:
    """`network`, but "stored" with keys and values in float32: only weights may differ there, and none do."""
    checkpoint = replace(open_checkpoint(path), level=level)
    precision = "exact" if level == "stored" else LEVELS[level].precision
    return ARCHITECTURES[checkpoint.architecture].build(checkpoint, precision)


def logits(net: Network) -> np.ndarray:
    return net.logits(in_chunks(net, TOKENS, len(TOKENS)))


def error(found: np.ndarray, expected: np.ndarray) -> float:
    """Root mean square, relative."""
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


@pytest.mark.parametrize("dtype", ["BF16", "F16", "F32"])
@pytest.mark.parametrize(
    ("level", "most"), [("stored", 1e-5), ("performance", 0.015), ("balanced", 0.05), ("maximum_efficiency", 0.25)]
)
def test_every_level_is_as_near_to_float32_math_as_its_bits_allow(
    tmp_path: Path, level: str, most: float, dtype: str
) -> None:
    path = small_model(tmp_path, dtype=dtype)
    reference = fp32_gemma3.from_checkpoint(open_checkpoint(path))
    found = error(logits(bounded(path, level)), reference.logits(reference.hidden(TOKENS)))
    print(f"{level} {dtype}: {found:.2e}")
    assert found <= most


def test_fewer_bits_are_less_exact_so_they_were_really_taken(tmp_path: Path) -> None:
    path = small_model(tmp_path)
    exact = logits(network(path, "stored"))
    errors = [error(logits(network(path, level)), exact) for level in ("performance", "balanced", "maximum_efficiency")]
    assert errors == sorted(errors)
    assert errors[1] > 1e-4
    assert errors[2] > 3 * errors[1]


@pytest.mark.parametrize("level", ["balanced", "maximum_efficiency"])
@pytest.mark.parametrize("dtype", ["BF16", "F32"])
def test_a_head_that_is_converted_is_split_too_and_its_candidates_are_the_largest_logits(
    tmp_path: Path, dtype: str, level: str
) -> None:
    net = network(small_model(tmp_path, dtype=dtype), level)
    assert net.embed.is_split
    hidden = in_chunks(net, TOKENS, len(TOKENS))
    rows = net.logits(hidden)
    for k, below in [(1, 300), (40, 300), (7, 50)]:
        ids, values = net.candidates(hidden, k, below)
        expected = np.argsort(-rows[:, :below], axis=1, kind="stable")[:, :k]
        np.testing.assert_array_equal(ids, expected)
        np.testing.assert_array_equal(values, np.take_along_axis(rows, expected, axis=1))


def test_a_converted_model_is_kept_packed_beside_other_levels_and_computes_the_same_bits(tmp_path: Path) -> None:
    path, said = small_model(tmp_path / "model"), list[str]()
    store = Store(tmp_path / "packed", 1_000_000_000, said.append, smallest_bytes=0)
    for _ in range(2):
        for level in LEVELS:
            np.testing.assert_array_equal(logits(network(path, level, store)), logits(network(path, level)), level)
    assert len(said) == len(store.kept()) == 3, "a bf16 file at `performance` is packed as it is stored"


def test_blocks_of_another_version_of_the_conversion_are_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, said = small_model(tmp_path / "model"), list[str]()
    store = Store(tmp_path / "packed", 1_000_000_000, said.append, smallest_bytes=0)
    for version in (1, 2, 2):
        monkeypatch.setattr(loader, "CONVERSION_VERSION", version)
        network(path, "balanced", store)
    assert len(said) == 2
    assert len(store.kept()) == 1


@pytest.mark.parametrize(
    ("level", "most"), [("stored", 1e-4), ("performance", 0.02), ("balanced", 0.03), ("maximum_efficiency", 0.15)]
)
@pytest.mark.parametrize("name", NAMES)
def test_models_of_widths_that_few_blocks_fit_load_at_every_level(name: str, level: str, most: float) -> None:
    """Nearly all their matrices stay in 16 bits; some output projections have 32 columns."""
    g = golden(name)
    net = bounded(g.path, level)
    assert_near(net.logits(in_chunks(net, g.tokens, len(g.tokens))), g.logits, most)


@pytest.mark.parametrize("level", ["balanced", "maximum_efficiency"])
def test_weights_trained_on_a_grid_are_not_changed_by_a_level(tmp_path: Path, level: str) -> None:
    path = small_model(tmp_path, dtype="F32", on_grid=True)
    stored, layer = open_checkpoint(path).tensors, network(path, level).layers[5]
    for name, held in [("self_attn.q_proj", layer.q), ("self_attn.o_proj", layer.o), ("mlp.down_proj", layer.down)]:
        assert np.array_equal(held.to_f32(), stored[f"model.layers.5.{name}.weight"].to_f32()), name


def test_conversion_takes_a_slab_at_a_time_and_gives_what_the_whole_would(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = small_model(tmp_path)
    whole = logits(network(path, "balanced"))
    parts: list[int] = []
    convert = loader.converted

    def recording(tensor: object, part: np.ndarray, to: TensorType) -> np.ndarray:
        parts.append(part.nbytes)
        return convert(tensor, part, to)  # type: ignore[arg-type]

    monkeypatch.setattr(matrix, "SLAB_BYTES", 4096)
    monkeypatch.setattr(loader, "converted", recording)
    assert np.array_equal(logits(network(path, "balanced")), whole)
    assert len(parts) > 50
    assert max(parts) <= 16 * 2 * 256, "a slab is at most 4 KiB, or one tile of sixteen rows"


@pytest.mark.parametrize("level", ["balanced", "maximum_efficiency"])
def test_nan_among_the_weights_is_found_while_loading(tmp_path: Path, level: str) -> None:
    path = small_model(tmp_path)
    arrays = small_arrays({**CONFIG, "vocab_size": open_checkpoint(path).config["vocab_size"]})
    arrays["model.layers.3.mlp.up_proj.weight"][17, 5] = np.nan
    write_weights(path, arrays)
    with pytest.raises(NotFinite, match=r"model\.layers\.3\.mlp\.up_proj\.weight"):
        network(path, level)
    store = Store(tmp_path / "packed", 1_000_000_000, lambda sentence: None, smallest_bytes=0)
    with pytest.raises(NotFinite):
        network(path, level, store)
    assert not store.kept(), "nothing half converted is kept"
