"""Whether a model was taught to chat, from what its files say."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gemwright.errors import GemwrightError
from gemwright.text.tuning import instruction_tuning
from gemwright.weights import Checkpoint


def gguf(**config: Any) -> Any:
    names = {"finetune": "general.finetune", "name": "general.name", "basename": "general.basename"}
    names |= {"eos": "tokenizer.ggml.eos_token_id", "template": "tokenizer.chat_template"}
    content = {names[key]: value for key, value in config.items()}
    return SimpleNamespace(kind="gguf", config=content, path=Path("x-it.gguf"), directory=Path("models-it"))


@pytest.mark.parametrize(
    ("checkpoint", "chat", "because"),
    [
        (gguf(finetune="it", name="Gemma 3 1b Pt"), True, "general.finetune"),
        (gguf(finetune="pt", template="{{x}}"), False, "general.finetune"),
        (gguf(name="Gemma 3 1b It"), True, "general.name"),
        (gguf(name="gemma-3-27b-it-qat-q4_0"), True, "general.name"),
        (gguf(name="Gemma 3 270m", basename="gemma-3"), False, "nothing"),
        (gguf(name="Gemma with Italian bits"), False, "nothing"),
        (gguf(name="gemma-3-4b-pt", template="{{x}}", eos=106), False, "general.name"),
        (gguf(name="gemma-3-4b", eos=106), True, "the end of a turn"),
        (gguf(name="gemma-7b", eos=107), True, "the end of a turn"),
        (gguf(name="gemma-2-2b-jpn-it"), True, "general.name"),
        (gguf(name="Gemma 4 E2B It"), True, "general.name"),
        (gguf(name="Gemma 4 E2B", eos=1), False, "nothing"),
        (gguf(name="Gemma 4 E2B", eos=[1, 106, 50]), True, "the end of a turn"),
        (gguf(name="gemma", eos=[[106]]), False, "nothing"),
        (gguf(name="gemma-3-4b", eos=1, template="{{x}}"), True, "chat template"),
        (gguf(name=3), False, "nothing"),
        (gguf(), False, "nothing"),
    ],
)
def test_a_gguf_file_is_judged_by_what_it_says_of_itself(checkpoint: Any, chat: bool, because: str) -> None:
    verdict = instruction_tuning(checkpoint)
    assert verdict.chat is chat
    assert because in verdict.because


def directory(path: Path, files: dict[str, Any]) -> Any:
    path.mkdir()
    for name, content in files.items():
        (path / name).write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
    config = files.get("config.json", {})
    return SimpleNamespace(kind="safetensors", config=config, path=path, directory=path)


@pytest.mark.parametrize(
    ("name", "files", "chat"),
    [
        ("gemma-3-1b-it", {}, True),
        ("gemma-3-1b-pt", {"chat_template.jinja": "x"}, False),
        ("snapshot", {"config.json": {"eos_token_id": [1, 106]}}, True),
        ("snapshot", {"config.json": {"eos_token_id": 1}}, False),
        ("snapshot", {"generation_config.json": {"eos_token_id": [1, 106]}}, True),
        ("snapshot", {"tokenizer_config.json": {"chat_template": "x"}}, True),
        ("snapshot", {"chat_template.jinja": "x"}, True),
        ("snapshot", {"tokenizer_config.json": {}}, False),
    ],
)
def test_a_directory_is_judged_by_its_files(tmp_path: Path, name: str, files: dict[str, Any], chat: bool) -> None:
    assert instruction_tuning(directory(tmp_path / name, files)).chat is chat


@pytest.mark.parametrize("content", ["{", "[]", "[" * 100_000])
def test_a_damaged_side_file_is_an_error_not_a_guess(tmp_path: Path, content: str) -> None:
    with pytest.raises(GemwrightError, match=r"tokenizer_config\.json"):
        instruction_tuning(directory(tmp_path / "model", {"tokenizer_config.json": content}))


@pytest.mark.real
def test_the_embedded_model_is_a_base_model(real_checkpoint: Checkpoint) -> None:
    assert not instruction_tuning(real_checkpoint).chat
