"""Calls of tools and thoughts, read from what a model writes.

answer    AnswerReader: texts and marks of an answer, as they come, to text, thoughts and calls
prose     Prose: calls in plain text, for models without marks for them
reading   read_calls(payload, tools): one or more calls, in the forms models are taught and in those they drift to
values    Scanner: the values in them, without evaluating anything

A call that cannot be read is a BadCall with the reason; none is ever lost.
"""

from __future__ import annotations

from gemwright.text.calls.answer import AnswerReader
from gemwright.text.calls.reading import read_calls

__all__ = ["AnswerReader", "read_calls"]
