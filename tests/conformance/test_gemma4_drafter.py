"""Drafters of Gemma 4 against transformers, and the engine that shows them what it computes."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gemwright
from gemwright import ops
from gemwright.engine.assistant import Assistant
from gemwright.errors import CheckpointMismatch, UnsupportedModel, UsageError
from gemwright.models.gemma4_drafter import DrafterConfig, Gemma4Drafter, drafter_weights, load_drafter
from gemwright.models.gemma4_gguf import gguf_metadata, rope_freqs
from gemwright.models.weights import Precision
from gemwright.step import F32, Step
from gemwright.weights import Checkpoint, open_checkpoint
from support.gguf_writer import Stored, gguf
from support.grouping import in_chunks
from support.safetensors_writer import safetensors
from support.small_gemma4 import KINDS, small_drafter, small_model
from support.tiny_gemma3 import assert_near
from support.tiny_gemma4 import Gemma4, golden, network

FOLDER = Path(__file__).parent / "goldens_gemma4_drafters"
NAMES = ("31b", "12b", "e2b")
TOLERANCE = 1e-4
TARGETS = [name for name, usable in ops.targets().items() if usable]
TEXT = "table aab\n\n   der  Uet"


@pytest.fixture(autouse=True)
def _cache_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMWRIGHT_CACHE_DIR", str(tmp_path / "cache"))


def drafted(drafter: Gemma4Drafter, target: Gemma4, tokens: np.ndarray, first: int) -> tuple[list[int], F32, F32]:
    """What is drafted after `tokens` and `first`, the logits, and the states handed on."""
    count = len(tokens)
    cache = target.new_cache(capacity_tokens=count + 1, max_step_tokens=count, max_sequences=1)
    slot = cache.open(count + 1)
    step = Step(tokens, np.arange(count, dtype=np.int32), np.full(count, slot, np.int32))
    hidden, token = target.forward(step, cache, [count - 1]), first
    draft, logits, states = list[int](), [], []
    for _ in range(6):
        state, hidden = drafter.draft(token, hidden, target, cache, slot, count)
        token = drafter.likeliest(state)
        draft.append(token)
        logits.append(drafter.logits(state))
        states.append(hidden)
    return draft, np.concatenate(logits), np.concatenate(states)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("precision", ["default", "exact"])
@pytest.mark.parametrize("name", NAMES)
def test_a_drafter_guesses_what_transformers_guesses(name: str, precision: Precision, target: str) -> None:
    ops.use_target(target)
    g, drafter = golden(name), load_drafter(open_checkpoint(FOLDER / name), precision)
    with np.load(FOLDER / name / "golden.npz") as expected:
        draft, logits, states = drafted(drafter, network(name, precision), g.tokens, int(g.greedy[0]))
        assert draft == expected["draft"].tolist()
        assert_near(logits, expected["logits"], TOLERANCE)
        assert_near(states, expected["states"], TOLERANCE)


@pytest.mark.parametrize("name", ["12b", "e2b"])
def test_a_gguf_file_of_the_same_drafter_gives_the_same_bits(name: str, tmp_path: Path) -> None:
    checkpoint = open_checkpoint(FOLDER / name)
    (tmp_path / "same.gguf").write_bytes(drafter_gguf(checkpoint))
    g, target = golden(name), network(name)
    found, expected = (
        drafted(load_drafter(one, "default"), target, g.tokens, 3)
        for one in (open_checkpoint(tmp_path / "same.gguf"), checkpoint)
    )
    assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))


def drafter_gguf(checkpoint: Checkpoint) -> bytes:
    """The drafter as llama.cpp's converter writes one."""
    c = DrafterConfig.from_hf(checkpoint.config)
    keys = gguf_metadata(replace(c.own, owners=c.own.layers))
    metadata = {key.replace("gemma4.", "gemma4-assistant."): value for key, value in keys.items()}
    metadata |= {
        "general.architecture": "gemma4-assistant",
        "gemma4-assistant.embedding_length_out": c.target_hidden,
        "gemma4-assistant.attention.shared_kv_layers": c.own.layers,
        "tokenizer.ggml.token_type": np.ones(c.own.vocabulary, np.int32),
    }
    stored = {key.removeprefix("model."): tensor for key, tensor in checkpoint.tensors.items()}
    tensors = {name: Stored.f32(values) for name, values in rope_freqs(c.own).items()}
    for row in drafter_weights(c):
        tensor = stored[row.safetensors]
        raw = Stored(tensor.type, tensor.shape, tensor.data.tobytes())
        tensors[row.gguf] = raw if tensor.is_matrix else Stored.f32(tensor.to_f32())
    return gguf(metadata, tensors).data


@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_with_a_drafter_is_the_answer_without(tmp_path: Path, kind: str) -> None:
    model = gemwright.load(small_model(tmp_path / "target", kind))
    assistant = gemwright.load_assistant(small_drafter(tmp_path / "drafter", kind), tokens=5)
    for options in ({"temperature": 0.0}, {"temperature": 1.0, "seed": 3}, {"temperature": 1.0, "top_k": 2, "seed": 4}):
        plain = model.generate(TEXT, max_tokens=60, **options)
        guessed = model.generate(TEXT, max_tokens=60, speculation=assistant, **options)
        assert guessed.text == plain.text
        assert guessed.drafted_tokens > 0
    prompts = [TEXT, "ab" * 20, "le"]
    together = model.generate_batch(prompts, max_tokens=30, seed=5, speculation=assistant)
    assert [one.text for one in together] == [model.generate(p, max_tokens=30, seed=5).text for p in prompts]


@dataclass
class Knowing:
    """A drafter's network that knows the text, says every seventh token of it wrongly, and notes what it is shown."""

    text: list[int]
    shown: list[tuple[int, F32, int]] = field(default_factory=list)

    def check_target(self, target: object) -> Any:
        return target

    def draft(self, token: int, hidden: F32, target: Any, cache: Any, slot: int, position: int) -> tuple[F32, F32]:
        if not np.isnan(hidden[0, 0]):
            self.shown.append((token, hidden, position))
            self._next = position
        self._next += 1
        return hidden, np.full_like(hidden, np.nan)

    def likeliest(self, state: F32) -> int:
        right = self.text[self._next] if self._next < len(self.text) else 0
        return right if self._next % 7 else (right + 1) % 300


@pytest.mark.parametrize("kind", KINDS)
def test_a_drafter_is_shown_the_state_of_the_token_before_the_last(tmp_path: Path, kind: str) -> None:
    model = gemwright.load(small_model(tmp_path / "target", kind), precision="exact")
    prompt = model.encode(TEXT)
    plain = model.generate(prompt, max_tokens=50, temperature=0.0)
    knowing = Knowing([*prompt, *plain.tokens])
    answer = model.generate(prompt, max_tokens=50, temperature=0.0, speculation=Assistant(knowing))
    assert answer.accepted_tokens > 10
    assert answer.accepted_tokens < answer.drafted_tokens
    whole = in_chunks(model.network, np.array(knowing.text, np.int32), len(knowing.text))  # type: ignore[arg-type]
    assert len(knowing.shown) > 5
    for token, hidden, position in knowing.shown:
        assert token == knowing.text[position]
        assert np.array_equal(hidden[0], whole[position - 1])


def test_a_drafter_of_another_model_is_refused_before_anything_runs(tmp_path: Path) -> None:
    model = gemwright.load(small_model(tmp_path / "target", "31B"))
    for changes in ({}, {"global_head_dim": 32}, {"sliding_window": 8}, {"vocab_size": 300}):
        kind = "31B" if changes else "E"
        assistant = gemwright.load_assistant(small_drafter(tmp_path / "drafter", kind, **changes))
        with pytest.raises(UsageError, match="another model"):
            model.generate(TEXT, speculation=assistant)


def test_a_drafter_is_no_model_and_a_model_no_drafter(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedModel, match="gemma4_assistant"):
        gemwright.load(small_drafter(tmp_path / "drafter", "E"))
    with pytest.raises(UnsupportedModel, match="gemma4_text"):
        gemwright.load_assistant(small_model(tmp_path / "target", "E"))
    with pytest.raises(UsageError, match="tokens"):
        gemwright.load_assistant(tmp_path / "drafter", tokens=0)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"text_config": {"hidden_size_per_layer_input": 8, "vocab_size_per_layer_input": 318}}, "per-layer"),
        ({"text_config": {"enable_moe_block": True}}, "experts"),
    ],
)
def test_a_drafter_that_we_cannot_compute_is_refused(tmp_path: Path, changes: dict[str, Any], says: str) -> None:
    path = small_drafter(tmp_path, "26B")
    config = json.loads((path / "config.json").read_text())
    text = {**config["text_config"], **changes.pop("text_config", {})}
    (path / "config.json").write_text(json.dumps({**config, **changes, "text_config": text}))
    with pytest.raises(UnsupportedModel, match=says):
        gemwright.load_assistant(path)


def test_the_clustered_head_of_a_small_drafter_is_left_unread(tmp_path: Path) -> None:
    """Guesses come from the whole head, which is what its clusters look into."""
    config = json.loads((FOLDER / "e2b" / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "use_ordered_embeddings": True, "num_centroids": 2}))
    plain = open_checkpoint(FOLDER / "e2b")
    arrays: dict[str, Any] = {name: tensor.to_f32() for name, tensor in plain.tensors.items()}
    rows, width = arrays["model.embed_tokens.weight"].shape
    arrays["masked_embedding.centroids.weight"] = np.zeros((2, width), np.float32)
    arrays["masked_embedding.token_ordering"] = np.arange(rows)
    (tmp_path / "model.safetensors").write_bytes(safetensors(arrays))
    g, target = golden("e2b"), network("e2b")
    found, expected = (
        drafted(load_drafter(checkpoint, "default"), target, g.tokens, 5)
        for checkpoint in (open_checkpoint(tmp_path), plain)
    )
    assert found[0] == expected[0]
    assert np.array_equal(found[1], expected[1])


def test_a_drafter_with_a_tensor_too_few_or_too_many_is_refused() -> None:
    checkpoint = open_checkpoint(FOLDER / "31b")
    for key in checkpoint.tensors:
        rest = {k: t for k, t in checkpoint.tensors.items() if k != key}
        with pytest.raises(CheckpointMismatch, match="missing"):
            load_drafter(replace(checkpoint, tensors=rest), "default")
    more = replace(checkpoint.tensors["model.norm.weight"], name="model.layers.0.self_attn.k_norm.weight")
    with pytest.raises(CheckpointMismatch, match="k_norm"):
        load_drafter(replace(checkpoint, tensors={**checkpoint.tensors, more.name: more}), "default")
