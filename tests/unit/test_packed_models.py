"""A network from packed files is the network itself, bit for bit, and a changed source is never missed."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from gemwright import loading, ops
from gemwright.models import ARCHITECTURES, Network
from gemwright.models.weights import Precision
from gemwright.store import Store
from gemwright.weights import identity, open_checkpoint
from support import real_model
from support.grouping import in_chunks
from support.tiny_gemma3 import NAMES, golden
from support.toy_tokenizer import ToyTokenizer


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def store(tmp_path: Path, said: list[str]) -> Store:
    return Store(tmp_path / "packed", 1_000_000_000, said.append, smallest_bytes=0)


def network(path: Path, store: Store | None, precision: Precision = "default") -> Network:
    checkpoint = open_checkpoint(path)
    return ARCHITECTURES[checkpoint.architecture].build(checkpoint, precision, store)


def logits(net: Network, tokens: np.ndarray) -> np.ndarray:
    return net.logits(in_chunks(net, tokens, len(tokens)))


@pytest.mark.parametrize("name", NAMES)
def test_a_packed_file_computes_the_same_bits_at_both_precisions(name: str, store: Store, said: list[str]) -> None:
    g = golden(name)
    for precision in ("default", "exact"):
        expected = logits(network(g.path, None, precision), g.tokens)
        for _ in range(2):
            np.testing.assert_array_equal(logits(network(g.path, store, precision), g.tokens), expected)
    assert len(said) == len(store.kept()) == 1, "packing does not depend on the precision"


@pytest.mark.parametrize("name", ["grouped", "sharded"])
def test_with_a_packed_file_no_tensor_of_the_source_is_read(
    name: str, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    g = golden(name)
    expected = logits(network(g.path, store), g.tokens)
    checkpoint = open_checkpoint(g.path)
    for tensor in checkpoint.tensors.values():
        object.__setattr__(tensor, "data", np.broadcast_to(np.uint8(0), tensor.data.shape))
    found = ARCHITECTURES[checkpoint.architecture].build(checkpoint, "default", store)
    np.testing.assert_array_equal(logits(found, g.tokens), expected)


def _rewrite(path: Path) -> None:
    """Other weights, same size: the last byte of the last tensor."""
    data = bytearray(path.read_bytes())
    data[-1] ^= 0x40
    path.write_bytes(data)


def _touch(path: Path) -> None:
    os.utime(path, ns=(1, 1))


def _retitle(path: Path) -> None:
    config = json.loads((path.parent / "config.json").read_text())
    (path.parent / "config.json").write_text(json.dumps({**config, "_name_or_path": "another"}))


@pytest.mark.parametrize(
    ("name", "file"), [("grouped", "model.safetensors"), ("sharded", "model-00002-of-00002.safetensors")]
)
@pytest.mark.parametrize("change", [_rewrite, _touch, _retitle])
def test_a_changed_source_is_packed_again_and_its_old_file_deleted(
    name: str, file: str, change: Callable[[Path], None], store: Store, said: list[str], tmp_path: Path
) -> None:
    g = golden(name)
    source = shutil.copytree(g.path, tmp_path / "model")
    network(source, store)
    (before,) = store.kept()
    change(source / file)
    expected = logits(network(source, None), g.tokens)
    np.testing.assert_array_equal(logits(network(source, store), g.tokens), expected)
    (after,) = store.kept()
    assert after.path != before.path
    assert len(said) == 2


def test_another_layout_version_is_another_file(store: Store, said: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    g = golden("grouped")
    network(g.path, store)
    (before,) = store.kept()
    monkeypatch.setattr(ops, "LAYOUT_VERSION", ops.LAYOUT_VERSION + 1)
    network(g.path, store)
    (after,) = store.kept()
    assert after.path != before.path
    assert len(said) == 2


def test_a_damaged_packed_file_never_reaches_an_answer(store: Store, said: list[str]) -> None:
    g = golden("grouped")
    expected = logits(network(g.path, store), g.tokens)
    (file,) = store.kept()
    rng = np.random.default_rng(7)
    for place in rng.integers(0, file.bytes, 20).tolist():
        data = bytearray(file.path.read_bytes())
        data[place] ^= 1 << int(rng.integers(8))
        file.path.write_bytes(data)
        np.testing.assert_array_equal(logits(network(g.path, store), g.tokens), expected)
    assert len(said) == 21, "each was replaced, with a word"


def test_the_identity_of_a_model_is_that_of_its_files_not_of_its_place(tmp_path: Path) -> None:
    one = shutil.copytree(golden("sharded").path, tmp_path / "one")
    two = shutil.copytree(one, tmp_path / "two")  # with its time stamps
    assert identity(open_checkpoint(one)) == identity(open_checkpoint(two))
    assert identity(open_checkpoint(one)) != identity(open_checkpoint(golden("grouped").path))


def test_load_keeps_packed_models_in_the_cache_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    used: list[Store] = []

    class Watched:
        def build(self, checkpoint: object, precision: str, store: Store) -> Network:
            used.append(store)
            return network(golden("grouped").path, None)

    monkeypatch.setattr(loading, "architecture_of", lambda checkpoint: Watched())
    monkeypatch.setattr(loading.Tokenizer, "from_checkpoint", lambda checkpoint: ToyTokenizer())
    monkeypatch.setenv("GEMWRIGHT_PACKED_GB", "1.5")
    loading.load(golden("grouped").path, cache_dir=tmp_path, announce=[].append)
    assert [(one.directory, one.limit_bytes) for one in used] == [(tmp_path / "packed", 1_500_000_000)]
    assert not (tmp_path / "packed").exists(), "looking alone writes nothing"


@pytest.mark.real
@pytest.mark.parametrize("precision", ["default", "exact"])
def test_the_real_model_computes_the_same_bits_from_a_packed_file(
    precision: Precision, store: Store, said: list[str]
) -> None:
    tokens = real_model.tokens("english")[:48]
    checkpoint = real_model.checkpoint()
    for _ in range(2):
        found = ARCHITECTURES[checkpoint.architecture].build(checkpoint, precision, store)
        expected = logits(real_model.network(precision), tokens)
        np.testing.assert_array_equal(logits(found, tokens), expected)
    assert len(said) == 1
