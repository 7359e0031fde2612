"""A checkpoint must be exactly what the table says."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import pytest

from gemwright.errors import CheckpointMismatch
from gemwright.weights import Checkpoint, Tensor, TensorType, Weight, match

ROWS = (
    Weight("embed", "token_embd.weight", "embed_tokens.weight", (3, 2)),
    Weight("norm", "output_norm.weight", "norm.weight", (2,), add_one=True),
)
EMBED = np.arange(6, dtype=np.float32).reshape(3, 2)
NORM = np.ones(2, np.float32)
GGUF = {"token_embd.weight": EMBED, "output_norm.weight": NORM}


def checkpoint(kind: Literal["gguf", "safetensors"], arrays: Mapping[str, npt.NDArray[np.float32]]) -> Checkpoint:
    tensors = {
        name: Tensor(name, TensorType.F32, array.shape, np.frombuffer(array.tobytes(), np.uint8))
        for name, array in arrays.items()
    }
    return Checkpoint(Path("some.model"), kind, "toy", {}, tensors, ())


def prefixed(prefix: str) -> dict[str, npt.NDArray[np.float32]]:
    return {f"{prefix}embed_tokens.weight": EMBED, f"{prefix}norm.weight": NORM}


def test_tensors_come_back_under_our_names() -> None:
    found = match(ROWS, checkpoint("gguf", GGUF))
    assert found.keys() == {"embed", "norm"}
    np.testing.assert_array_equal(found["embed"].to_f32(), EMBED)


@pytest.mark.parametrize("prefix", ["", "model.", "model.language_model.", "language_model.model."])
def test_the_prefixes_of_all_ages_are_understood(prefix: str) -> None:
    assert match(ROWS, checkpoint("safetensors", prefixed(prefix))).keys() == {"embed", "norm"}


def test_a_missing_tensor_is_named() -> None:
    with pytest.raises(CheckpointMismatch, match=r"some\.model: tensor 'output_norm\.weight' is missing"):
        match(ROWS, checkpoint("gguf", {"token_embd.weight": EMBED}))
    with pytest.raises(CheckpointMismatch, match=r"2 tensors \('embed_tokens\.weight', 'norm\.weight'\) are missing"):
        match(ROWS, checkpoint("safetensors", {}))


def test_an_extra_tensor_is_named() -> None:
    with pytest.raises(CheckpointMismatch, match=r"tensor 'blk\.0\.x' is not part"):
        match(ROWS, checkpoint("gguf", GGUF | {"blk.0.x": NORM}))
    extra = {f"model.extra.{i}": NORM for i in range(5)}
    with pytest.raises(CheckpointMismatch, match=r"5 tensors \('model\.extra\.0', .*, …\) are not part"):
        match(ROWS, checkpoint("safetensors", prefixed("model.") | extra))


def test_a_misshaped_tensor_is_named_with_both_shapes() -> None:
    with pytest.raises(CheckpointMismatch, match=r"'token_embd\.weight' has shape \(2, 3\) instead of \(3, 2\)"):
        match(ROWS, checkpoint("gguf", GGUF | {"token_embd.weight": EMBED.reshape(2, 3)}))


def test_one_tensor_under_two_prefixes_is_refused() -> None:
    with pytest.raises(CheckpointMismatch, match="the same one under two names"):
        match(ROWS, checkpoint("safetensors", prefixed("model.") | prefixed("")))


def test_declared_tensors_may_be_left_over() -> None:
    more = {"vision_tower.a": NORM, "model.vision_tower.b.c": NORM, "multi_modal_projector.x": NORM}
    found = checkpoint("safetensors", prefixed("language_model.model.") | more)
    match(ROWS, found, ignore=("vision_tower.", "multi_modal_projector.x"))
    with pytest.raises(CheckpointMismatch, match="vision_tower"):
        match(ROWS, found, ignore=("vision_tower", "multi_modal_projector.x"))


@pytest.mark.parametrize(
    ("kind", "arrays", "head"),
    [
        ("gguf", GGUF, "output.weight"),
        ("safetensors", prefixed("model."), "lm_head.weight"),
        ("safetensors", prefixed("language_model.model."), "language_model.lm_head.weight"),
    ],
)
def test_a_written_out_head_must_equal_the_embedding(
    kind: Literal["gguf", "safetensors"], arrays: dict[str, npt.NDArray[np.float32]], head: str
) -> None:
    assert match(ROWS, checkpoint(kind, arrays | {head: EMBED})).keys() == {"embed", "norm"}
    other = EMBED.copy()
    other[2, 1] = np.nextafter(other[2, 1], np.float32(9))
    for untied in (other, EMBED.reshape(2, 3)):
        with pytest.raises(CheckpointMismatch, match="differs from the embedding"):
            match(ROWS, checkpoint(kind, arrays | {head: untied}))


def test_a_table_that_declares_the_head_gets_it() -> None:
    rows = (*ROWS, Weight("head", "output.weight", "lm_head.weight", (3, 2)))
    assert "head" in match(rows, checkpoint("gguf", GGUF | {"output.weight": EMBED + 1}))


STACKED = tuple(Weight(f"in.{i}", "in.weight", f"in.{i}.weight", (3, 2), part=(i, 2)) for i in range(2))
MATRICES = [EMBED, EMBED + 10]


def test_matrices_of_a_stack_are_found_one_by_one() -> None:
    files = (
        checkpoint("gguf", {"in.weight": np.stack(MATRICES)}),
        checkpoint("safetensors", {f"model.in.{i}.weight": matrix for i, matrix in enumerate(MATRICES)}),
    )
    for file in files:
        found = match(STACKED, file)
        for i, matrix in enumerate(MATRICES):
            assert found[f"in.{i}"].shape == (3, 2)
            np.testing.assert_array_equal(found[f"in.{i}"].to_f32(), matrix)


def test_a_stack_of_another_height_is_named_with_both_shapes() -> None:
    with pytest.raises(CheckpointMismatch, match=r"'in\.weight' has shape \(3, 3, 2\) instead of \(2, 3, 2\)"):
        match(STACKED, checkpoint("gguf", {"in.weight": np.stack([EMBED] * 3)}))
    with pytest.raises(CheckpointMismatch, match=r"tensor 'in\.weight' is missing"):
        match(STACKED, checkpoint("gguf", {}))


def test_what_nobody_reads_may_be_missing_but_not_of_another_shape() -> None:
    rows = (*ROWS, Weight("k", "k.weight", "k.weight", (2, 2), unread=True))
    assert match(rows, checkpoint("gguf", GGUF)).keys() == {"embed", "norm"}
    assert match(rows, checkpoint("gguf", GGUF | {"k.weight": np.eye(2, dtype=np.float32)})).keys() == {
        "embed",
        "norm",
        "k",
    }
    with pytest.raises(CheckpointMismatch, match=r"'k\.weight' has shape \(3, 2\)"):
        match(rows, checkpoint("gguf", GGUF | {"k.weight": EMBED}))
