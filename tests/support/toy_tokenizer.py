"""A toy tokenizer for tests of what drives one: a character or a byte is a token."""

from __future__ import annotations

from collections.abc import Iterable

_CONTROL = ["<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>"]
_TEXT = [letter.encode() for letter in "abcdefghijklmnopqrstuvwxyz UAM:\n.!?"] + [b"\xc3", b"\xa9"]


class ToyTokenizer:
    """Knows the lower-case letters, what the chat templates need, and é as two bytes; anything else is <unk>."""

    pad_id, eos_id, bos_id, unk_id, start_of_turn_id, end_of_turn_id = range(6)
    stop_ids = frozenset({eos_id, end_of_turn_id})
    reserved_ids: frozenset[int] = frozenset()
    vocabulary_size = len(_CONTROL) + len(_TEXT)

    def encode(self, text: str, *, bos: bool = True) -> list[int]:
        pieces = [bytes([byte]) for byte in text.encode()]
        ids = [len(_CONTROL) + _TEXT.index(piece) if piece in _TEXT else self.unk_id for piece in pieces]
        return [self.bos_id, *ids] if bos else ids

    def token_bytes(self, id: int) -> bytes:
        return b"" if id < len(_CONTROL) else _TEXT[id - len(_CONTROL)]

    def decode(self, ids: Iterable[int]) -> str:
        return b"".join(map(self.token_bytes, ids)).decode("utf-8", "replace")

    def is_control(self, id: int) -> bool:
        return id < len(_CONTROL)

    def spelling(self, id: int) -> str:
        return _CONTROL[id]

    def control_id(self, spelling: str) -> int | None:
        return _CONTROL.index(spelling) if spelling in _CONTROL else None
