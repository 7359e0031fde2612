"""What somebody who embeds texts was promised, on a small random EmbeddingGemma."""

from __future__ import annotations

import threading
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gemwright
from gemwright import EmbeddingModel
from gemwright.errors import CheckpointMismatch, ContextOverflow, NotFinite, UnsupportedModel, UsageError
from gemwright.models.encoder import unit
from gemwright.quantising import quantise_file
from gemwright.text.tasks import TASKS
from gemwright.weights import LEVELS, identity, open_checkpoint
from support.small_embedding import DIMENSIONS, small_embedding, small_embedding2
from support.small_gemma3 import small_model

TEXTS = ["able", "the table is set", "", "a" * 300, "Tuesday:\n\nés", "le le le", "的的"]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_embedding(tmp_path_factory.mktemp("small") / "embeddinggemma")


@pytest.fixture
def model(path: Path, tmp_path: Path) -> EmbeddingModel:
    return load(path, tmp_path)


def load(path: Path, cache: Path, **options: Any) -> EmbeddingModel:
    loaded = gemwright.load(path, cache_dir=cache, announce=lambda sentence: None, **options)
    assert isinstance(loaded, EmbeddingModel)
    return loaded


def test_a_vector_of_length_one_for_each_text(model: EmbeddingModel) -> None:
    vectors = model.embed(TEXTS)
    assert vectors.shape == (len(TEXTS), DIMENSIONS)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    assert model.embed([]).shape == (0, DIMENSIONS)


def test_a_text_is_its_tokens_between_bos_and_eos(model: EmbeddingModel) -> None:
    tokenizer = model.tokenizer
    ids = [tokenizer.bos_id, *tokenizer.encode("able table", bos=False), tokenizer.eos_id]
    assert model.encode("able table") == ids
    expected = unit(model.encoder.vectors([ids]))
    np.testing.assert_array_equal(model.embed(["able table"]), expected)
    assert model.embed_counted(["able table", ""]).tokens == (len(ids), 2)


def test_text_that_spells_control_tokens_stays_text(model: EmbeddingModel) -> None:
    ids = model.encode("<bos>able<eos>")
    assert ids.count(model.tokenizer.bos_id) == ids.count(model.tokenizer.eos_id) == 1


def test_neither_order_nor_company_changes_a_bit(model: EmbeddingModel) -> None:
    many = [f"{text} {i}" for i, text in enumerate(TEXTS * 6)]  # several steps, some of one long text
    alone = np.concatenate([model.embed([text]) for text in many])
    np.testing.assert_array_equal(model.embed(many), alone)
    np.testing.assert_array_equal(model.embed(many[::-1]), alone[::-1])
    np.testing.assert_array_equal(model.embed(iter(many)), alone)


def test_callers_at_the_same_time_get_what_they_get_alone(model: EmbeddingModel) -> None:
    expected, found = model.embed(TEXTS), list[Any]()
    callers = [threading.Thread(target=lambda: found.append(model.embed(TEXTS))) for _ in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert len(found) == 4
    assert all(np.array_equal(one, expected) for one in found)


@pytest.mark.parametrize("task", TASKS)
def test_a_task_puts_its_prompt_before_the_text(model: EmbeddingModel, task: str) -> None:
    np.testing.assert_array_equal(model.embed(["able"], task=task), model.embed([TASKS[task] + "able"]))
    np.testing.assert_array_equal(model.embed(["able"], task=task), model.embed(["able"], prompt=TASKS[task]))
    assert not np.array_equal(model.embed(["able"], task=task), model.embed(["able"]))


def test_documents_have_titles(model: EmbeddingModel) -> None:
    expected = model.embed(["title: ab | text: le", "title: none | text: table"])
    np.testing.assert_array_equal(model.embed(["le", "table"], task="document", title=["ab", None]), expected)
    np.testing.assert_array_equal(model.embed(["le"], task="document", title="ab"), expected[:1])


def test_fewer_dimensions_are_the_first_ones_made_longer(model: EmbeddingModel) -> None:
    assert model.dimensions == (160, 128)
    whole, short = model.embed(TEXTS), model.embed(TEXTS, dimensions=128)
    np.testing.assert_allclose(short, whole[:, :128] / np.linalg.norm(whole[:, :128], axis=1)[:, None], atol=1e-6)
    np.testing.assert_array_equal(model.embed(TEXTS, dimensions=160), whole)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"dimensions": 512}, "512 dimensions.*160, 128"),
        ({"dimensions": 0}, "0 dimensions"),
        ({"task": "poetry"}, "no task 'poetry'.*query, document"),
        ({"task": "query", "prompt": "x"}, "either"),
        ({"title": "ab"}, "no place"),
        ({"task": "query", "title": "ab"}, "no place"),
        ({"task": "document", "title": ["ab"]}, "1 titles for 2 texts"),
    ],
)
def test_what_cannot_be_is_a_usage_error(model: EmbeddingModel, options: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        model.embed(["able", "table"], **options)


def test_a_single_text_is_not_taken_for_its_characters(model: EmbeddingModel) -> None:
    with pytest.raises(UsageError, match=r"embed\(\[text\]\)"):
        model.embed("able")


def test_a_text_that_is_too_long_is_refused_with_both_numbers(path: Path, tmp_path: Path) -> None:
    model = load(path, tmp_path, context_tokens=20)
    fits = "b" * 18
    assert model.embed_counted([fits]).tokens == (20,)
    with pytest.raises(ContextOverflow, match="Text 1 has 21 tokens with its prompt, and the model takes 20"):
        model.embed([fits, fits + "b"])


def test_a_text_is_cut_when_asked_for_and_never_silently(path: Path, tmp_path: Path) -> None:
    model = load(path, tmp_path, context_tokens=20)
    with pytest.warns(UserWarning, match=r"cut to 20 tokens: 1 \(32 tokens\)"):
        vectors = model.embed(["able", "b" * 30], truncate=True)
    np.testing.assert_array_equal(vectors[1], model.embed(["b" * 18])[0])  # the last one is <eos>
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = model.embed_counted(["able", "b" * 30], truncate=True)
        model.embed(["able"], truncate=True)
    assert found.cut == {1: 32}
    assert found.tokens[1] == 20


def test_a_prompt_that_leaves_no_room_is_refused_even_then(path: Path, tmp_path: Path) -> None:
    model = load(path, tmp_path, context_tokens=20)
    with pytest.raises(ContextOverflow, match="prompt alone fills the 20 tokens"):
        model.embed(["able"], task="query", truncate=True)


@pytest.mark.parametrize("context_tokens", [2, 513, True, 3.5])
def test_a_context_that_cannot_be_is_refused(path: Path, tmp_path: Path, context_tokens: Any) -> None:
    with pytest.raises(UsageError, match="from 3 to the model's 512"):
        load(path, tmp_path, context_tokens=context_tokens)


def test_an_embedding_model_generates_nothing_and_says_so(model: EmbeddingModel) -> None:
    for ask in (
        lambda: model.generate("able"),
        lambda: model.stream("able"),
        lambda: model.generate_batch(["able"]),
        lambda: model.chat([{"role": "user", "content": "able"}]),
        lambda: model.chat_batch([]),
        lambda: model.stream_chat([]),
        lambda: model.render([]),
        lambda: model.logits([2]),
        lambda: model.score([2]),
        lambda: model.without_cache(),
        lambda: model.chat_format,
        lambda: model.network,
        lambda: model.engine,
    ):
        with pytest.raises(UsageError, match=r"embeddinggemma makes vectors of texts.*Use embed"):
            ask()
    assert not model.is_chat_tuned


def test_nothing_that_a_model_can_do_was_forgotten_here() -> None:
    """What is added to Model later must be thought of in EmbeddingModel too, which has no engine."""
    inherited = {name for name in vars(gemwright.Model) if not name.startswith("_")} - set(vars(EmbeddingModel))
    assert inherited == {"bos_id"}


def test_a_model_that_continues_texts_makes_no_vectors(tmp_path: Path) -> None:
    model = gemwright.load(small_model(tmp_path / "gemma-3"), cache_dir=tmp_path, announce=lambda sentence: None)
    assert not isinstance(model, EmbeddingModel)
    with pytest.raises(UsageError, match=r"gemma-3 continues texts.*embedding model"):
        model.embed(["able"])


def test_weights_that_are_no_numbers_are_an_error_not_a_vector(model: EmbeddingModel) -> None:
    model.encoder.final_norm = np.full_like(model.encoder.final_norm, np.nan)
    with pytest.raises(NotFinite):
        model.embed(["able"])


def test_a_vector_without_a_direction_is_an_error_too(model: EmbeddingModel) -> None:
    model.encoder.final_norm = np.zeros_like(model.encoder.final_norm)
    with pytest.raises(NotFinite):
        model.embed(["able"])


def test_facts_are_ready_for_json(model: EmbeddingModel) -> None:
    facts = model.describe()
    assert facts["name"] == "embeddinggemma"
    assert facts["dimensions"] == [160, 128]
    assert facts["context_tokens"] == facts["trained_context_tokens"] == 512
    assert "query" in facts["tasks"]  # type: ignore[operator]


@pytest.mark.parametrize("level", LEVELS)
def test_every_level_loads_and_is_as_near_as_its_bits_allow(path: Path, tmp_path: Path, level: str) -> None:
    exact = load(path, tmp_path, precision="exact").embed(TEXTS)
    found = load(path, tmp_path, level=level).embed(TEXTS)
    cosine = np.sum(exact * found, axis=1).min()
    print(f"{level}: {cosine:.5f}")
    assert cosine >= {"stored": 0.99999, "performance": 0.99999, "balanced": 0.999, "maximum_efficiency": 0.97}[level]


def test_a_gguf_file_of_the_same_weights_gives_the_same_bits(path: Path, tmp_path: Path) -> None:
    quantise_file(path, tmp_path / "e.gguf", matrices="BF16")
    checkpoint = open_checkpoint(tmp_path / "e.gguf")
    assert checkpoint.architecture == "gemma-embedding"
    assert checkpoint.config["gemma-embedding.attention.sliding_window"] == 24
    assert checkpoint.config["tokenizer.ggml.add_eos_token"] is True
    for precision in ("default", "exact"):
        found = load(tmp_path / "e.gguf", tmp_path, precision=precision).embed(TEXTS, task="query")
        np.testing.assert_array_equal(found, load(path, tmp_path, precision=precision).embed(TEXTS, task="query"))


@pytest.mark.parametrize("level", ["balanced", "maximum_efficiency"])
def test_a_quantised_file_is_as_near_as_its_bits_allow(path: Path, tmp_path: Path, level: str) -> None:
    quantise_file(path, tmp_path / "e.gguf", level=level)
    types = {name: tensor.type.name for name, tensor in open_checkpoint(tmp_path / "e.gguf").tensors.items()}
    assert types["dense_2.weight"] == types["dense_3.weight"] == types["token_embd.weight"] == "Q8_0"
    cosine = np.sum(load(tmp_path / "e.gguf", tmp_path).embed(TEXTS) * load(path, tmp_path).embed(TEXTS), axis=1)
    assert cosine.min() >= (0.999 if level == "balanced" else 0.97)


def test_packed_weights_give_the_same_bits(path: Path, tmp_path: Path) -> None:
    first = load(path, tmp_path, level="balanced").embed(TEXTS)
    np.testing.assert_array_equal(load(path, tmp_path, level="balanced").embed(TEXTS), first)


def test_prompts_of_the_checkpoint_count_more(tmp_path: Path) -> None:
    prompts = {"prompts": {"query": "ab: ", "Clustering": "le: ", "STS": "t "}, "default_prompt_name": "STS"}
    model = load(small_embedding(tmp_path / "m", prompts=prompts), tmp_path)
    for task, prompt in (("query", "ab: "), ("clustering", "le: "), ("STS", "t "), (None, "t ")):
        np.testing.assert_array_equal(model.embed(["able"], task=task), model.embed(["able"], prompt=prompt))
    np.testing.assert_array_equal(
        model.embed(["able"], task="document"), model.embed(["able"], prompt=TASKS["document"])
    )


def test_without_the_pipeline_the_heads_are_missed_by_name(tmp_path: Path) -> None:
    path = small_embedding(tmp_path / "m")
    (path / "modules.json").unlink()
    with pytest.raises(CheckpointMismatch, match=r"no modules\.json.*Dense.*2_Dense"):
        load(path, tmp_path)


def test_without_a_head_s_weights_the_tensor_is_missed_by_name(tmp_path: Path) -> None:
    path = small_embedding(tmp_path / "m")
    (path / "3_Dense" / "model.safetensors").unlink()
    with pytest.raises(CheckpointMismatch, match=r"3_Dense\.linear\.weight"):
        load(path, tmp_path)


def test_a_single_file_is_opened_with_the_pipeline_beside_it(path: Path, tmp_path: Path) -> None:
    np.testing.assert_array_equal(
        load(path / "model.safetensors", tmp_path).embed(TEXTS), load(path, tmp_path).embed(TEXTS)
    )


def test_other_heads_are_another_model_for_the_store_of_packed_ones(tmp_path: Path) -> None:
    path = small_embedding(tmp_path / "m")
    before = identity(open_checkpoint(path))
    head = path / "2_Dense" / "model.safetensors"
    head.write_bytes(head.read_bytes())
    assert identity(open_checkpoint(path)) != before


@pytest.mark.parametrize("level", LEVELS)
def test_the_second_embeds_texts_at_every_level(tmp_path: Path, level: str) -> None:
    path = small_embedding2(tmp_path / "second")
    exact, model = load(path, tmp_path, precision="exact"), load(path, tmp_path, level=level)
    assert model.dimensions == (160, 128)
    assert model.context_tokens == 8192
    cosine = np.sum(exact.embed(TEXTS, task="query") * model.embed(TEXTS, task="query"), axis=1).min()
    print(f"{level}: {cosine:.5f}")
    assert cosine >= {"stored": 0.99999, "performance": 0.99999, "balanced": 0.999, "maximum_efficiency": 0.97}[level]


def test_the_second_has_no_gguf_form_and_says_so_before_anything_is_written(tmp_path: Path) -> None:
    path = small_embedding2(tmp_path / "second")
    with pytest.raises(UnsupportedModel, match="no GGUF form"):
        quantise_file(path, tmp_path / "e.gguf")
    assert not (tmp_path / "e.gguf").exists()
