"""What stands before a text that is to become a vector: the prompts of tasks that embedding models were trained with.

Wording: EmbeddingGemma's model card, "Prompt instructions"; EmbeddingGemma 2 has the same.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gemwright.errors import ModelFormatError, UsageError
from gemwright.text.pieces import Checkpoint

_FILE = "config_sentence_transformers.json"
MAX_PROMPTS = 100
MAX_PROMPT_CHARACTERS = 4096

NO_TITLE = "title: none |"
"""How a prompt says that its text has no title; where it stands a title may be put."""

TASKS = {
    "query": "task: search result | query: ",
    "document": "title: none | text: ",
    "question_answering": "task: question answering | query: ",
    "fact_checking": "task: fact checking | query: ",
    "classification": "task: classification | query: ",
    "clustering": "task: clustering | query: ",
    "sentence_similarity": "task: sentence similarity | query: ",
    "code_retrieval": "task: code retrieval | query: ",
}
"""Search has two sides: queries are compared with documents. A question's or a claim's other side is documents too."""


@dataclass(frozen=True)
class TaskPrompts:
    """by_task: prompts by name, names as `_plain` makes them. default: what is used when no task is named."""

    by_task: dict[str, str]
    default: str = ""

    def of(self, task: str | None, prompt: str | None, title: str | Sequence[str | None] | None, n: int) -> list[str]:
        """The prompt of each of n texts. prompt: instead of a task's. title: of all texts, or one for each.

        Raises UsageError for a task that is not known, for both a task and a prompt, and for a title without a place.
        """
        if task is not None and prompt is not None:
            raise UsageError("A task and a prompt were given.", hint="The task's prompt is one: give either.")
        if task is not None and _plain(task) not in self.by_task:
            raise UsageError(f"There is no task {task!r}.", hint=f"Tasks: {', '.join(self.by_task)}.")
        text = prompt if prompt is not None else self.default if task is None else self.by_task[_plain(task)]
        titles = [title] * n if title is None or isinstance(title, str) else list(title)
        if len(titles) != n:
            raise UsageError(f"There are {len(titles)} titles for {n} texts.", hint="Give one for each, or None.")
        return [_titled(text, one) for one in titles]


def task_prompts(checkpoint: Checkpoint) -> TaskPrompts:
    """The published prompts, and those of the checkpoint (config_sentence_transformers.json), which count more.

    Raises ModelFormatError for prompts that are too many, too long or no text.
    """
    file = checkpoint.config.get(_FILE, {})
    own = _checked(file.get("prompts", {}))
    default = file.get("default_prompt_name")
    if default is not None and (not isinstance(default, str) or _plain(default) not in own):
        raise ModelFormatError(f"{checkpoint.path}: there is no prompt of the default name {default!r:.80}.")
    return TaskPrompts({**TASKS, **own}, own[_plain(default)] if default is not None else "")


def _checked(prompts: Any) -> dict[str, str]:
    if not isinstance(prompts, dict) or len(prompts) > MAX_PROMPTS:
        raise ModelFormatError(f"{_FILE}: prompts are not at most {MAX_PROMPTS} texts by name.")
    own: dict[str, str] = {}
    for name, text in prompts.items():
        if not isinstance(text, str) or len(text) > MAX_PROMPT_CHARACTERS:
            raise ModelFormatError(
                f"{_FILE}: prompt {name!r:.80} is not a text of at most {MAX_PROMPT_CHARACTERS} characters."
            )
        if own.setdefault(_plain(name), text) != text:
            raise ModelFormatError(f"{_FILE}: there are two different prompts {_plain(name)!r:.80}.")
    return own


def _plain(name: str) -> str:
    """As names are compared: "Fact checking", "fact-checking" and "fact_checking" are one."""
    return re.sub(r"[ -]+", "_", name.strip().lower())


def _titled(prompt: str, title: str | None) -> str:
    if title is None:
        return prompt
    if prompt.count(NO_TITLE) != 1:
        raise UsageError("A title was given, and the prompt has no place for it.", hint='The task "document" has one.')
    return prompt.replace(NO_TITLE, f"title: {title} |")
