"""Makes tests/unit/text/data/template_goldens.json.gz: what the reference chat templates write for a corpus.

Needs jinja2, and the references as files, none of which is kept here:

    FOLDER/gemma.jinja           google/gemma-2-2b-it's, as models/templates/google-gemma-2-2b-it.jinja of llama.cpp
    FOLDER/gemma3.jinja          Gemma 3's (Gemma 3n's differs only in the marks of images and audio), and
    FOLDER/functiongemma.jinja   FunctionGemma's turns: both as runtime/util/model_type_utils.cc of LiteRT-LM has them
    FOLDER/gemma4.jinja          Gemma 4's canonical template of 2026-07-09 for 12B, 26B and 31B, and
    FOLDER/gemma4e.jinja         for E2B and E4B: model/renderers/testdata of ollama
    COOKBOOK                     a checkout of google-gemma/cookbook, whose notebooks show FunctionGemma's declarations

    python scripts/make_chat_goldens.py FOLDER COOKBOOK tests/unit/text/data/template_goldens.json.gz

LiteRT-LM's template wants declarations, arguments and results already written, so only scalars are tried with it.
"""

from __future__ import annotations

import gzip
import hashlib
import itertools
import json
import re
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

from jinja2.sandbox import ImmutableSandboxedEnvironment

SOURCES = {
    "gemma": "ye-NX/llama.cpp @b354d7c9ecb76c97c07098617cdebbdfffa2583e, a copy of ggml-org/llama.cpp",
    "gemma3": "google-ai-edge/LiteRT-LM @69912ee17f92e0a54417525087449eaa058f3d3c",
    "functiongemma": "google-ai-edge/LiteRT-LM @69912ee17f92e0a54417525087449eaa058f3d3c",
    "functiongemma declarations": "google-gemma/cookbook @d2f8ff9a119044d9ecae55b6d3248883ef983ee4",
    "gemma4": "ollama/ollama @fb30760996871fa9460115c753afd2c60d4ab0f7, gemma4_31b_chat_template.jinja2",
    "gemma4e": "ollama/ollama @fb30760996871fa9460115c753afd2c60d4ab0f7, gemma4_e2b_chat_template.jinja2",
}
TEXTS = [
    "hi",
    "",
    "  both sides \n",
    "\n\n\tlines\r\n\n",
    "two\n\nparagraphs",
    "naïve café 的 🙂 \u200b e\u0301",
    "\u00a0 no-break \u3000",
    '{"a": [1, "b"]} <b>x</b>',
    "user\nmodel\n",
]
Turn = dict[str, Any]


def user(text: Any) -> Turn:
    return {"role": "user", "content": text}


def model(text: Any, **more: Any) -> Turn:
    return {"role": "assistant", "content": text, **more}


def system(text: Any, role: str = "system") -> Turn:
    return {"role": role, "content": text}


def call(name: str, id: str = "", **arguments: Any) -> Turn:
    return {"name": name, "arguments": arguments, "id": id}


def told(content: Any, name: str) -> Turn:
    return {"role": "tool", "content": content, "name": name}


TOOLS = [
    {"name": "now", "description": "The time."},
    {
        "name": "find",
        "description": 'Finds "text".\n',
        "parameters": {
            "type": "object",
            "properties": {
                "text": {"type": "string", "description": "What to find {here}: it's text."},
                "Zone": {"type": "string", "enum": ["eu", "us"]},
                "limit": {"type": "integer", "description": "", "nullable": True},
                "tags": {"type": "array", "description": "Tags.", "items": {"type": "string", "enum": ["a", "b"]}},
                "where": {
                    "type": "object",
                    "description": "Where.",
                    "properties": {"x": {"type": "number"}, "type": {"type": "string", "description": "a name"}},
                    "required": ["x"],
                },
                "any": {"type": "object", "description": "Free."},
                "rows": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "properties": {"id": {"type": "integer"}, "sub": {"type": "array", "items": {}}},
                        "required": ["id"],
                        "description": "A row.",
                        "minItems": 1,
                    },
                },
                "bare": {},
            },
            "required": ["text", "where"],
        },
    },
    {"name": "stop.now", "description": "", "parameters": {"type": "object", "properties": {}}},
]
FIND = call("find", "c1", text='a "b" {c}', limit=3, deep={"Y": [1, 2.5, True, None], "x": "é"}, Also=False)
NOW = call("now", "c2")
TALKS = [
    *[[user(text)] for text in TEXTS],
    *[[user("a"), model(text), user(text)] for text in TEXTS],
    [user(["one ", " two", ""]), model([" three", "four "]), user("five")],
]
SYSTEMS = [
    *[[system(text), user("hi")] for text in TEXTS],
    [system("be brief"), user("a"), model("b"), user("c")],
]
OPEN_TALKS = [  # only Gemma 4 has a form for these
    [system("one", "developer"), user("hi")],
    [system([" one ", "two\n"]), user("hi")],
    [system("one"), system("two"), user("hi")],
    [system("one", "developer"), system("two", "developer"), user("hi")],
    [user("a"), model("b"), system(" mid "), user("c")],
    [user("a"), system("mid", "developer"), user("c")],
    [user("a"), user("b")],
    [user("a"), model("b"), model("c"), user("d")],
    [user("a"), model("b", reasoning="old"), user("c")],
]
CALLED = [
    [user("find"), model("", tool_calls=[FIND]), told(" found\n", "find")],
    [user("find"), model("", tool_calls=[NOW, FIND]), told("12:00", "now"), told("é", "find")],
    [user("find"), model("", tool_calls=[FIND]), told({"n": 2, "Rows": [{"id": "x"}], "ok": True}, "find")],
    [user("find"), model("", tool_calls=[FIND], reasoning="let me\nsee"), told("found", "find")],
    [user("find"), model("first", tool_calls=[FIND], reasoning="hm"), told("found", "find")],
    [user("find"), model("", tool_calls=[NOW]), told("", "now"), model("", tool_calls=[FIND]), told("x", "find")],
    [user("find"), model("", tool_calls=[NOW], reasoning="a"), told("1", "now"),
     model("", tool_calls=[FIND], reasoning="b"), told("2", "find")],
    [user("q"), model("", tool_calls=[NOW], reasoning="a"), told("1", "now"), model(" done "), user("thanks")],
    [system("be brief"), user("q"), model("", tool_calls=[NOW]), told("1", "now"), model("it is 1"), user("and now?"),
     model("", tool_calls=[NOW]), told("2", "now")],
    [user("q"), model("", tool_calls=[NOW]), told("1", "now"), user("never mind")],
]  # fmt: skip
CLOSED = [  # not to be answered
    [user("a"), model(" b ")],
    [user("a"), model("", tool_calls=[NOW])],
    [user("a"), model("", tool_calls=[NOW, FIND], reasoning="hm")],
    [user("a"), model("", tool_calls=[NOW]), told("1", "now"), model("one")],
]


def main(folder: Path, cookbook: Path, target: Path) -> None:
    cases: list[dict[str, Any]] = []
    hashes: dict[str, str] = {}
    for name in ("gemma", "gemma3", "functiongemma", "gemma4", "gemma4e"):
        source = (folder / f"{name}.jinja").read_text("utf-8")
        hashes[name] = hashlib.sha256(source.encode()).hexdigest()
        cases += [_rendered(name, source, *asked) for asked in _conversations(name)]
    cases += _notebooks(cookbook)
    origin = {"script": "scripts/make_chat_goldens.py", "jinja2": version("jinja2"), "from": SOURCES, "sha256": hashes}
    content = json.dumps({"origin": origin, "cases": cases}, ensure_ascii=False)
    target.write_bytes(gzip.compress(content.encode(), mtime=0))
    print(len(cases), "cases")


def _conversations(name: str) -> list[tuple[list[Turn], list[Turn], bool, bool]]:
    """(messages, tools, thinking, answer)"""
    if name == "gemma":
        texts = [talk for talk in TALKS if all(isinstance(turn["content"], str) for turn in talk)]
        return [(talk, [], False, answer) for talk in texts for answer in (True, False) if answer or len(talk) == 1]
    if name == "gemma3":
        return [(talk, [], False, True) for talk in TALKS + SYSTEMS] + [(CLOSED[0], [], False, False)]
    if name == "functiongemma":
        called = [talk for talk in CALLED if all(isinstance(turn["content"], str) for turn in talk)]
        talks = [*TALKS, *SYSTEMS, OPEN_TALKS[0], *called[:2], *called[4:8]]
        return [(talk, [], False, True) for talk in map(_flat, talks)] + [(_flat(t), [], False, False) for t in CLOSED]
    alone = [talk for talk in CALLED if not any(turn.get("tool_calls") and turn["content"] for turn in talk)]
    talks = [*TALKS, *SYSTEMS, *OPEN_TALKS, *alone]  # a text beside calls is written otherwise here
    asked = [(talk, tools, thinking, True) for talk, tools, thinking in itertools.product(talks, ([], TOOLS), (0, 1))]
    return asked + [(talk, TOOLS, False, False) for talk in CLOSED]  # type: ignore[return-value]


def _flat(talk: list[Turn]) -> list[Turn]:
    """With scalars alone as arguments."""
    flat = call("find", "c1", limit=3, text='a "b" {c}')
    calls = [[flat if one is FIND else one for one in turn.get("tool_calls", ())] for turn in talk]
    return [{**turn, "tool_calls": made} if made else turn for turn, made in zip(talk, calls, strict=True)]


def _rendered(
    name: str, source: str, messages: list[Turn], tools: list[Turn], thinking: bool, answer: bool
) -> dict[str, Any]:
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    environment.globals["raise_exception"] = _raise
    written = environment.from_string(source).render(
        messages=_written_out(messages) if name == "functiongemma" else _openai(messages),
        tools=[{"type": "function", "function": tool} for tool in tools],
        bos_token="<bos>",
        add_generation_prompt=answer,
        enable_thinking=bool(thinking),
    )
    return _case(name, messages, tools, thinking, answer, written)


def _case(
    name: str, messages: list[Turn], tools: list[Turn], thinking: bool, answer: bool, text: str
) -> dict[str, Any]:
    return {"template": name, "messages": messages, "tools": tools, "thinking": bool(thinking), "answer": answer,
            "text": text}  # fmt: skip


def _raise(message: str) -> None:
    raise ValueError(message)


def _openai(messages: list[Turn]) -> list[Turn]:
    """As the references of Gemma expect it. Objects as results have a place on the calling message only."""
    found: list[Turn] = []
    for turn in messages:
        content = turn["content"]
        parts = [{"type": "text", "text": part} for part in content] if isinstance(content, list) else content
        if turn["role"] == "tool" and isinstance(content, dict):
            found[-1]["tool_responses"] = [{"name": turn["name"], "response": content}]
            continue
        calls = turn.get("tool_calls")
        found.append({**turn, "content": parts})
        if calls:
            found[-1]["tool_calls"] = [{"id": c["id"], "function": c} for c in calls]
        if turn["role"] == "tool":
            found[-1]["tool_call_id"] = {"find": "c1", "now": "c2"}[turn["name"]]
    return found


def _written_out(messages: list[Turn]) -> list[Turn]:
    """As LiteRT-LM's template expects it: what it has no macros for is written already."""
    found = []
    for turn in _openai(messages):
        if turn["role"] == "tool":
            turn = {**turn, "content": f"{turn['name']}{{value:<escape>{turn['content']}<escape>}}"}
        if "tool_calls" in turn:
            calls = [one["function"] for one in turn["tool_calls"]]
            written = [{**c, "arguments": {k: _scalar(v) for k, v in c["arguments"].items()}} for c in calls]
            turn = {**turn, "tool_calls": written}
        found.append(turn)
    return found


def _scalar(value: Any) -> str:
    return f"<escape>{value}<escape>" if isinstance(value, str) else json.dumps(value)


def _notebooks(cookbook: Path) -> list[dict[str, Any]]:
    """What Google's notebooks printed of FunctionGemma's own template."""
    found = []
    weather = {
        "name": "get_current_weather",
        "description": "Gets the current weather in a given location.",
        "parameters": {
            "type": "object",
            "properties": {
                "location": {
                    "type": "string",
                    "description": 'The city and state, e.g. "San Francisco, CA" or "Tokyo, JP"',
                },
                "unit": {
                    "type": "string",
                    "enum": ["celsius", "fahrenheit"],
                    "description": "The unit to return the temperature in.",
                },
            },
            "required": ["location"],
        },
    }
    shown = _outputs(cookbook / "docs/functiongemma/full-function-calling-sequence-with-functiongemma.ipynb")
    whole = next(text for text in shown if "\nOutput: <bos>" in text).partition("\nOutput: ")[2]
    sequence = [
        system("You are a model that can do function calling with the following functions", "developer"),
        user("Hey, what's the weather in Tokyo right now?"),
        model("", tool_calls=[call("get_current_weather", location="Tokyo, Japan")]),
        told({"temperature": 15, "weather": "sunny"}, "get_current_weather"),
        model("The current weather in Tokyo is sunny with a temperature of 15 degrees Celsius."),
    ]
    found.append(_case("functiongemma", sequence, [weather], False, False, whole.rstrip("\n") + "\n"))
    shown = _outputs(cookbook / "docs/functiongemma/finetuning-with-functiongemma.ipynb")
    text = next(text for text in shown if "--- Formatted prompt ---" in text)
    data, _, prompt = text.partition("--- dataset input ---\n")[2].partition("--- Formatted prompt ---\n")
    found.append(_dataset(json.loads(data), prompt.rstrip("\n")))
    name = "[FunctionGemma]Finetune_FunctionGemma_270M_for_Mobile_Actions_with_Hugging_Face.ipynb"
    shown = _outputs(cookbook / "FunctionGemma" / name)
    text = next(text for text in shown if "example from the formatted dataset" in text)
    example, _ = json.JSONDecoder().raw_decode(text[text.index("{") :])
    found.append(_dataset(json.loads(example["text"]), example["prompt"] + example["completion"]))
    return found


def _dataset(data: dict[str, Any], text: str) -> dict[str, Any]:
    messages = []
    for turn in data["messages"]:
        calls = turn.get("tool_calls")
        given = {"role": turn["role"], "content": turn.get("content") or ""}
        calls = [call(c["function"]["name"], **c["function"]["arguments"]) for c in calls or ()]
        messages.append({**given, "tool_calls": calls} if calls else given)
    tools = [{key: value for key, value in tool["function"].items() if key != "return"} for tool in data["tools"]]
    return _case("functiongemma", messages, tools, False, False, text)


def _outputs(notebook: Path) -> list[str]:
    cells = json.loads(notebook.read_text("utf-8"))["cells"]
    shown = ["".join(output.get("text", "")) for cell in cells for output in cell.get("outputs", ())]
    return [re.sub(r"\x1b\[[0-9;]*m", "", text) for text in shown]


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
