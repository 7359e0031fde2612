"""Whether a checkpoint was taught to chat (-it) or only to continue text (-pt), from what its files say."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gemwright.errors import FileError, ModelFormatError
from gemwright.text.files import read_bounded
from gemwright.text.pieces import Checkpoint

_END_OF_TURN = {106, 107}
"""106 from Gemma 3 on, 107 in Gemma 1 and 2; a model that ends its answers with it was taught turns. No generation ends
an answer with the other one, which is <start_of_turn> in Gemma 1 and 2 and a line break later."""

_TUNED = {"it", "instruct", "chat"}
_BASE = {"pt", "base", "pretrained"}
_MAX_CONFIG_BYTES = 4 << 20


@dataclass(frozen=True)
class Tuning:
    """chat: whether the chat template fits. because: the evidence, as half a sentence."""

    chat: bool
    because: str


def instruction_tuning(checkpoint: Checkpoint) -> Tuning:
    """Judged by the first of these that says anything, strongest first:

    1. GGUF's general.finetune, which the converter takes from the model's own card ("it", "pt");
    2. the model's name, word by word (general.name and basename; config.json's _name_or_path; the directory's name);
    3. the token that ends an answer: the end of a turn in a tuned model; <eos> alone says nothing;
    4. a chat template in the files (it comes late, because converters also add one to base models).
    Nothing said: a base model, as Gemma's unmarked names are ("gemma-3-270m", "gemma-4-E2B", "gemma-2-9b").
    """
    config = checkpoint.config
    side = {} if checkpoint.kind == "gguf" else _side_files(checkpoint.directory)
    if (verdict := _by_word(config.get("general.finetune"), "general.finetune")) is not None:
        return verdict
    names = [("general.name", config.get("general.name")), ("general.basename", config.get("general.basename"))]
    if checkpoint.kind != "gguf":
        names = [("_name_or_path", config.get("_name_or_path")), ("the directory's name", checkpoint.directory.name)]
    for label, name in names:
        if (verdict := _by_word(name, label)) is not None:
            return verdict
    ends = [config.get("tokenizer.ggml.eos_token_id"), config.get("eos_token_id"), side.get("eos_token_id")]
    if any(_END_OF_TURN & set(end if isinstance(end, list) else [end]) for end in ends if _are_ids(end)):
        return Tuning(True, "its answers end with the end of a turn")
    if config.get("tokenizer.chat_template") or side.get("chat_template"):
        return Tuning(True, "it comes with a chat template")
    return Tuning(False, "nothing in its files says that it was tuned to chat")


def _are_ids(end: Any) -> bool:
    return all(isinstance(id, int) for id in (end if isinstance(end, list) else [end]))


def _by_word(name: Any, label: str) -> Tuning | None:
    """A verdict if a word of `name` gives one."""
    words = set(re.split(r"[^a-z0-9]+", name.lower())) if isinstance(name, str) else set()
    if words & _TUNED:
        return Tuning(True, f"{label} is {name!r}")
    return Tuning(False, f"{label} is {name!r}") if words & _BASE else None


def _side_files(directory: Path) -> dict[str, Any]:
    """eos_token_id and chat_template from the small files beside safetensors; those that are absent say nothing."""
    found: dict[str, Any] = {}
    if (directory / "chat_template.jinja").exists() or (directory / "chat_template.json").exists():
        found["chat_template"] = True
    for name, key in (("generation_config.json", "eos_token_id"), ("tokenizer_config.json", "chat_template")):
        path = directory / name
        if path.exists() and (value := read_object(path).get(key)):
            found[key] = value
    return found


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in a small file beside the weights. Raises FileError or ModelFormatError."""
    try:
        content = json.loads(read_bounded(path, _MAX_CONFIG_BYTES))
    except (ValueError, RecursionError) as error:
        raise ModelFormatError(f"{path} is not sound JSON: {error}.") from error
    if not isinstance(content, dict):
        raise FileError(f"{path} is not a JSON object.")
    return content
