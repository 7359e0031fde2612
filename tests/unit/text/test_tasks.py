"""Prompts of tasks: the published ones, a checkpoint's own, and what is not believed of a file."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gemwright.errors import ModelFormatError, UsageError
from gemwright.text.tasks import TASKS, task_prompts


def of(content: Any) -> Any:
    config = {} if content is None else {"config_sentence_transformers.json": content}
    return task_prompts(SimpleNamespace(path=Path("m"), directory=Path("m"), kind="safetensors", config=config))


def test_without_a_file_the_published_prompts_hold_and_none_is_used_unasked() -> None:
    prompts = of(None)
    assert prompts.by_task == TASKS
    assert prompts.of(None, None, None, 2) == ["", ""]
    assert prompts.of("query", None, None, 1) == ["task: search result | query: "]
    assert prompts.of("document", None, ["A & B", None], 2) == ["title: A & B | text: ", "title: none | text: "]


@pytest.mark.parametrize("name", ["fact_checking", "Fact checking", "fact-checking", " FACT_CHECKING "])
def test_names_are_compared_as_people_write_them(name: str) -> None:
    assert of(None).of(name, None, None, 1) == ["task: fact checking | query: "]


def test_own_prompts_replace_published_ones_and_add_to_them() -> None:
    prompts = of({"prompts": {"Clustering": "c: ", "Retrieval-query": "r: "}, "default_prompt_name": "Clustering"})
    assert prompts.of("clustering", None, None, 1) == ["c: "]
    assert prompts.of("Retrieval-query", None, None, 1) == ["r: "]
    assert prompts.of(None, None, None, 1) == ["c: "]
    assert prompts.of(None, "", None, 1) == [""]
    assert prompts.of("query", None, None, 1) == [TASKS["query"]]


@pytest.mark.parametrize(
    "content",
    [
        {"prompts": []},
        {"prompts": {"query": 1}},
        {"prompts": {"query": "x" * 5000}},
        {"prompts": {f"p{i}": "" for i in range(101)}},
        {"prompts": {"a b": "x", "a-b": "y"}},
        {"prompts": {"query": "x"}, "default_prompt_name": "document"},
        {"default_prompt_name": ["query"]},
    ],
)
def test_prompts_that_cannot_be_are_refused(content: Any) -> None:
    with pytest.raises(ModelFormatError):
        of(content)


def test_an_unknown_task_is_answered_with_those_there_are() -> None:
    with pytest.raises(UsageError, match=r"no task 'x'.*query, document"):
        of(None).of("x", None, None, 1)
