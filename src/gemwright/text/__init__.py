"""Text to tokens and back.

tokenizer     Tokenizer: user text to ids (never a control token), ids to text
detokenizer   Detokenizer: the same for a stream of tokens, with stop strings
chat          render(messages, template, tokenizer): a conversation as a prompt
infill        infill_prompt(prefix, suffix, tokenizer): what asks for the text between
shield        judge_prompt(policy, …): what asks whether a message breaks a policy, and the published policies
calls         AnswerReader: text, thoughts and calls in what comes back
tuning        instruction_tuning(checkpoint): whether a model was taught to chat
suppressed    suppressed_tokens(checkpoint, vocabulary): what is never to be drawn
pieces, gguf_source, tokenizer_json, merges, sentencepiece_model, files    where vocabularies come from
"""

from __future__ import annotations

from gemwright.text.chat import GEMMA3, TRANSCRIPT, Prompt, render
from gemwright.text.detokenizer import Detokenizer
from gemwright.text.infill import InfillPrompt, infill_prompt
from gemwright.text.shield import POLICIES, Policy
from gemwright.text.tokenizer import Tokenizer
from gemwright.text.tuning import Tuning, instruction_tuning

__all__ = [
    "GEMMA3",
    "POLICIES",
    "TRANSCRIPT",
    "Detokenizer",
    "InfillPrompt",
    "Policy",
    "Prompt",
    "Tokenizer",
    "Tuning",
    "infill_prompt",
    "instruction_tuning",
    "render",
]
