"""Which template a checkpoint gets."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gemwright.text.chat import (
    FUNCTIONGEMMA,
    GEMMA,
    GEMMA3,
    GEMMA3N,
    GEMMA4,
    GEMMA4E,
    TRANSCRIPT,
    ChatTemplate,
    template_for,
)
from gemwright.text.pieces import PieceType
from gemwright.text.tokenizer import Tokenizer
from unit.text.toy import Toy

TURNS = ("<start_of_turn>", "<end_of_turn>")


def tokenizer(*marks: str) -> Tokenizer:
    toy = Toy.of()
    spelled = (*[s.replace("_of_turn", "_of_nothing") for s in toy.spellings], *marks)
    types = (*toy.types, *[PieceType.CONTROL] * len(marks))
    return Tokenizer.from_pieces(Toy(spelled, (*toy.scores, *[0.0] * len(marks)), types).pieces())


def checkpoint(kind: str = "gguf", **config: Any) -> Any:
    return SimpleNamespace(kind=kind, config=config, path=Path("x.gguf"), directory=Path("none"))


TUNED = {"general.finetune": "it"}
FILES = {**TUNED, "kind": "safetensors"}


@pytest.mark.parametrize(
    ("architecture", "config", "marks", "template"),
    [
        ("gemma", TUNED, TURNS, GEMMA),
        ("gemma2", TUNED, TURNS, GEMMA),
        ("gemma3", TUNED, TURNS, GEMMA3),
        ("gemma3_text", TUNED, TURNS, GEMMA3),
        ("gemma3n", TUNED, TURNS, GEMMA3N),
        ("gemma3", TUNED, (*TURNS, "<start_function_call>"), FUNCTIONGEMMA),
        ("gemma4", TUNED, ("<|turn>", "<turn|>"), GEMMA4),
        ("gemma4", {**TUNED, "gemma4.embedding_length_per_layer_input": 0}, ("<|turn>", "<turn|>"), GEMMA4),
        ("gemma4", {**TUNED, "gemma4.embedding_length_per_layer_input": 256}, ("<|turn>", "<turn|>"), GEMMA4E),
        ("gemma4", {**FILES, "text_config": {"hidden_size_per_layer_input": 256}}, ("<|turn>", "<turn|>"), GEMMA4E),
        ("gemma4_text", {**FILES, "hidden_size_per_layer_input": 256}, ("<|turn>", "<turn|>"), GEMMA4E),
        ("gemma4", {**FILES, "text_config": {}}, ("<|turn>", "<turn|>"), GEMMA4E),
        ("gemma4", {**FILES, "text_config": {"hidden_size_per_layer_input": 0}}, ("<|turn>", "<turn|>"), GEMMA4),
        ("gemma4", {**FILES, "text_config": {"hidden_size_per_layer_input": None}}, ("<|turn>", "<turn|>"), GEMMA4),
        ("gemma4_unified", {**FILES, "text_config": {}}, ("<|turn>", "<turn|>"), GEMMA4),
        ("gemma4", {}, ("<|turn>", "<turn|>"), TRANSCRIPT),
        ("gemma2", {"general.finetune": "pt"}, TURNS, TRANSCRIPT),
    ],
)
def test_the_vocabulary_and_the_tuning_decide(
    architecture: str, config: dict[str, Any], marks: tuple[str, ...], template: ChatTemplate
) -> None:
    assert template_for(checkpoint(**config), architecture, tokenizer(*marks)) is template


def test_turn_marks_are_found_however_they_are_spelled() -> None:
    for begin, end in (TURNS, ("<|turn>", "<turn|>")):
        made = tokenizer(begin, end, "<|tool_response>")
        assert [made.spelling(id) for id in (made.start_of_turn_id, made.end_of_turn_id)] == [begin, end]  # type: ignore[arg-type]
        assert {made.spelling(id) for id in made.stop_ids} == {"<eos>", end, "<|tool_response>"}
    bare = tokenizer()
    assert (bare.start_of_turn_id, bare.end_of_turn_id) == (None, None)
