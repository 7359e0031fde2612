"""Declarations and values as FunctionGemma and Gemma 4 write them: JSON in which one control token is the quote.

    call:find{limit:3,text:<|"|>old "news"<|"|>,where:[<|"|>a<|"|>,{x:true}]}

Keys are sorted without regard to case, and bare except inside a schema. Since the quote is a token no text can make, a
string needs no escapes and can hold anything.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from gemwright.dialogue import Message, Tool, ToolCall
from gemwright.text.chat.template import Mark, Segment

_SCHEMA_WORDS = ("description", "type", "properties", "required", "nullable")


class Values:
    """Writes with one `quote`. always_describe: FunctionGemma writes a parameter's description though it is empty."""

    def __init__(self, quote: str, *, always_describe: bool) -> None:
        self._quote = Mark(quote)
        self._always_describe = always_describe

    def call(self, call: ToolCall) -> list[Segment]:
        """call:name{argument:value,…}"""
        return [f"call:{call.name}{{", *self._pairs(call.arguments), "}"]

    def response(self, message: Message) -> list[Segment]:
        """response:name{key:value,…}; a text is the value of "value"."""
        content = message.content if isinstance(message.content, Mapping) else {"value": message.text}
        return [f"response:{message.name}{{", *self._pairs(content), "}"]

    def declaration(self, tool: Tool) -> list[Segment]:
        """declaration:name{description:…,parameters:{…}}"""
        segments: list[Segment] = [f"declaration:{tool.name}{{description:", *self._string(tool.description)]
        if tool.parameters:
            fields = []
            if tool.properties:
                fields.append(["properties:{", *self._parameters(tool.properties), "}"])
            if tool.parameters.get("required"):
                fields.append(["required:", *self.value(tool.parameters["required"])])
            fields.append(["type:", *self._string(str(tool.parameters["type"]).upper())])
            segments += [",parameters:{", *_commas(fields), "}"]
        return [*segments, "}"]

    def value(self, value: Any, *, quote_keys: bool = False) -> list[Segment]:
        """Any JSON value."""
        if isinstance(value, str):
            return self._string(value)
        if isinstance(value, Mapping):
            return ["{", *self._pairs(value, quote_keys=quote_keys), "}"]
        if isinstance(value, Sequence):
            return ["[", *_commas(self.value(item, quote_keys=quote_keys) for item in value), "]"]
        return [json.dumps(value)]

    def _pairs(self, mapping: Mapping[str, Any], *, quote_keys: bool = False) -> list[Segment]:
        return _commas(
            [*(self._string(key) if quote_keys else [key]), ":", *self.value(value, quote_keys=quote_keys)]
            for key, value in _sorted(mapping)
        )

    def _parameters(self, properties: Mapping[str, Any]) -> list[Segment]:
        return _commas([f"{name}:{{", *self._schema(schema), "}"] for name, schema in _sorted(properties))

    def _schema(self, schema: Any) -> list[Segment]:
        """The inside of one parameter's braces. What the format has no word for is left out."""
        schema = schema if isinstance(schema, Mapping) else {}
        kind, nullable = _kind(schema)
        fields: list[list[Segment]] = []
        if schema.get("description") or self._always_describe:
            fields.append(["description:", *self._string(str(schema.get("description") or ""))])
        if kind == "STRING" and schema.get("enum"):
            fields.append(["enum:", *self.value(schema["enum"])])
        if kind == "ARRAY" and isinstance(schema.get("items"), Mapping) and schema["items"]:
            fields.append(["items:{", *self._items(schema["items"]), "}"])
        if nullable:
            fields.append(["nullable:true"])
        if kind == "OBJECT":
            inner = schema.get("properties")
            if not isinstance(inner, Mapping):
                inner = {key: value for key, value in schema.items() if key not in _SCHEMA_WORDS}
            fields.append(["properties:{", *self._parameters(inner), "}"])
            if schema.get("required"):
                fields.append(["required:", *self.value(schema["required"])])
        return _commas([*fields, ["type:", *self._string(kind)]])

    def _items(self, items: Mapping[str, Any]) -> list[Segment]:
        fields: list[list[Segment]] = []
        for key, value in _sorted(items):
            if key == "properties":
                fields.append(["properties:{", *self._parameters(value if isinstance(value, Mapping) else {}), "}"])
            elif key == "type":
                upper = value.upper() if isinstance(value, str) else [str(one).upper() for one in value or ()]
                fields.append(["type:", *self.value(upper)])
            elif value is not None:
                fields.append([f"{key}:", *self.value(value, quote_keys=key != "required")])
        return _commas(fields)

    def _string(self, text: str) -> list[Segment]:
        return [self._quote, text, self._quote]


def _kind(schema: Mapping[str, Any]) -> tuple[str, bool]:
    """The type in capitals, and whether null is allowed too. Of several types the first that is not null counts."""
    kind = schema.get("type", "")
    if isinstance(kind, (list, tuple)):
        named = [str(one) for one in kind if one != "null"]
        return (named[0].upper() if named else "NULL"), bool(schema.get("nullable")) or "null" in kind
    return str(kind).upper(), bool(schema.get("nullable"))


def _sorted(mapping: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return sorted(mapping.items(), key=lambda item: item[0].lower())


def _commas(parts: Iterable[list[Segment]]) -> list[Segment]:
    result: list[Segment] = []
    for part in parts:
        result += [",", *part] if result else part
    return result
