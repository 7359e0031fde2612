"""Conversations as prompts, in the form each generation was taught.

rendering      render(messages, template, tokenizer): tokens; control tokens are put in here and nowhere else
choosing       template_for(checkpoint, …): which template a model gets
turns          gemma/1, gemma3/1, gemma3n/1, transcript/1: users and assistants in turn, the rest told in words
functiongemma  functiongemma/1
gemma4         gemma4/1, gemma4e/1
fingerprint    fingerprint(template): a hash of what it writes
template       what a template is; prompted, values: how tools are told

The written form is, token for token, what the reference templates give for text without control tokens in it; where it
is not, the template's own page says so.
"""

from __future__ import annotations

from gemwright.text.chat.choosing import template_for
from gemwright.text.chat.fingerprint import fingerprint
from gemwright.text.chat.functiongemma import FUNCTIONGEMMA
from gemwright.text.chat.gemma4 import GEMMA4, GEMMA4E
from gemwright.text.chat.rendering import render
from gemwright.text.chat.template import ChatTemplate, Conversation, Mark, Marks, Prompt
from gemwright.text.chat.turns import GEMMA, GEMMA3, GEMMA3N, TRANSCRIPT

__all__ = [
    "FUNCTIONGEMMA",
    "GEMMA",
    "GEMMA3",
    "GEMMA3N",
    "GEMMA4",
    "GEMMA4E",
    "TEMPLATES",
    "TRANSCRIPT",
    "ChatTemplate",
    "Conversation",
    "Mark",
    "Marks",
    "Prompt",
    "fingerprint",
    "render",
    "template_for",
]

TEMPLATES = (GEMMA, GEMMA3, GEMMA3N, FUNCTIONGEMMA, GEMMA4, GEMMA4E, TRANSCRIPT)
"""All there are."""
