"""FunctionGemma: Gemma 3's turns, a developer turn that declares functions, and control tokens for calls.

Sources: what google/functiongemma-270m-it's template gives in Google's notebooks (google-gemma/cookbook @d2f8ff9), and
the turns of the template in google-ai-edge/LiteRT-LM, runtime/util/model_type_utils.cc. Two things are ours: where
there are tools but no system message, the sentence the model was trained to take as the sign for calling; and a user
who speaks after a tool's result has a turn of their own.
"""

from __future__ import annotations

from gemwright.dialogue import Message
from gemwright.text.chat.template import ChatTemplate, Conversation, Mark, Marks, Segment
from gemwright.text.chat.values import Values

MARKS = Marks(
    declaration=("<start_function_declaration>", "<end_function_declaration>"),
    call=("<start_function_call>", "<end_function_call>"),
    response=("<start_function_response>", "<end_function_response>"),
    quote="<escape>",
)
SENTENCE = "You are a model that can do function calling with the following functions"
_VALUES = Values(MARKS.quote, always_describe=True)
_OPEN, _CLOSE = Mark("<start_of_turn>"), Mark("<end_of_turn>")


def write(conversation: Conversation) -> list[Segment]:
    """A result and what the model says to it stand in the turn of the call."""
    messages = conversation.messages
    segments: list[Segment] = []
    if messages[0].role in ("system", "developer"):
        segments, messages = _developer(conversation, _stripped(messages[0])), messages[1:]
    elif conversation.tools:
        segments = _developer(conversation, SENTENCE)
    before = ""
    for index, message in enumerate(messages):
        if message.role == "tool":
            segments += [Mark(MARKS.response[0]), *_VALUES.response(message), Mark(MARKS.response[1])]
        else:
            if before == "tool" and message.role != "assistant":
                segments += [_CLOSE, "\n"]
            if before != "tool" or message.role != "assistant":
                segments += [_OPEN, f"{'model' if message.role == 'assistant' else message.role}\n"]
            segments.append(_stripped(message))
            for call in message.tool_calls:
                segments += [Mark(MARKS.call[0]), *_VALUES.call(call), Mark(MARKS.call[1])]
            if not message.tool_calls:
                segments += [_CLOSE, "\n"]
            elif index + 1 == len(messages):
                segments.append(Mark(MARKS.response[0]))
        before = message.role
    return [*segments, _OPEN, "model\n"] if conversation.answer and before != "tool" else segments


def _developer(conversation: Conversation, text: str) -> list[Segment]:
    segments: list[Segment] = [_OPEN, f"developer\n{text}"]
    for tool in conversation.tools:
        segments += [Mark(MARKS.declaration[0]), *_VALUES.declaration(tool), Mark(MARKS.declaration[1])]
    return [*segments, _CLOSE, "\n"]


def _stripped(message: Message) -> str:
    return "".join(part.strip() for part in message.parts)


FUNCTIONGEMMA = ChatTemplate("functiongemma/1", write, marks=MARKS)
