"""Gemma's tokenizer: byte-pair encoding with byte fallback, exact to the token.

Spaces become U+2581, nothing is put in front, and merges run over the whole text. Line breaks, tabs and HTML tags that
the vocabulary lists whole are taken first, leftmost and longest. A character without a piece becomes its UTF-8 bytes.
Control tokens (turn marks, <bos>, image marks, <unused0>…) are never made from text, however it is spelled: they come
from `gemwright.text.chat` alone.

Text that is not Unicode: bytes that are not UTF-8 go in through `encode_bytes`, or through `encode` as Python's
surrogateescape characters (U+DC80 to U+DCFF, which os.fsdecode and errors="surrogateescape" make); each becomes its
byte token. On the way out each undecodable byte becomes one U+FFFD, as in SentencePiece; Hugging Face's decoder does
so for whole runs of byte tokens when any part is wrong, so that a stream could not be shown until a run is over.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from operator import index
from pathlib import Path

from gemwright._tokenizer import Vocabulary
from gemwright.errors import FileError, ModelFormatError, UsageError
from gemwright.text.decoding import EACH_BYTE
from gemwright.text.gguf_source import gguf_pieces
from gemwright.text.pieces import Checkpoint, Pieces
from gemwright.text.sentencepiece_model import sentencepiece_pieces
from gemwright.text.tokenizer_json import json_vocabulary

START_OF_TURN = ("<start_of_turn>", "<|turn>")
"""How the generations spell the token that begins a turn: Gemma 1 to 3n, Gemma 4."""
END_OF_TURN = ("<end_of_turn>", "<turn|>")
_RESULT_EXPECTED = ("<start_function_response>", "<|tool_response>")
"""What a model writes after its calls to have their results (FunctionGemma, Gemma 4): its answer ends there."""
_MOST_UNUSED = 6242
"""Gemma 3's last is <unused6241>; the numbers have gaps where later generations gave a piece a meaning."""
_NOTHING_TO_SAY = ("<pad>", "<bos>", "<unk>", "<mask>")


class Tokenizer:
    """Text to token ids and back. Never changes; threads may share one, and encoding releases the GIL."""

    def __init__(self, vocabulary: Vocabulary, source: str) -> None:
        """Use `from_checkpoint` and its kin. source names the vocabulary in errors."""
        self._vocabulary = vocabulary
        self._source = source
        self.vocabulary_size = len(vocabulary)
        self.bos_id = self._required("<bos>")
        self.eos_id = self._required("<eos>")
        self.pad_id = self.control_id("<pad>")
        self.unk_id = self.control_id("<unk>")
        self.start_of_turn_id = self._first_of(*START_OF_TURN)
        self.end_of_turn_id = self._first_of(*END_OF_TURN)

    @classmethod
    def from_checkpoint(cls, checkpoint: Checkpoint) -> Tokenizer:
        """The tokenizer that belongs to an opened model, whatever its format."""
        return cls.from_gguf(checkpoint) if checkpoint.kind == "gguf" else cls.from_directory(checkpoint.directory)

    @classmethod
    def from_gguf(cls, checkpoint: Checkpoint) -> Tokenizer:
        """The tokenizer inside a GGUF file; 20 to 30 ms. Raises ModelFormatError or UnsupportedModel."""
        return cls.from_pieces(gguf_pieces(checkpoint))

    @classmethod
    def from_directory(cls, directory: str | Path) -> Tokenizer:
        """From tokenizer.json, or else tokenizer.model, in `directory`.

        Where both exist tokenizer.json counts, because it is what the reference (transformers) reads; they give the
        same ids. Raises FileError (neither exists, unreadable), ModelFormatError or UnsupportedModel.
        """
        directory = Path(directory)
        if (path := directory / "tokenizer.json").exists():
            return cls(json_vocabulary(path), str(path))
        if (path := directory / "tokenizer.model").exists():
            return cls.from_pieces(sentencepiece_pieces(path))
        raise FileError(f"{directory} has neither tokenizer.json nor tokenizer.model.", hint="Copy one into it.")

    @classmethod
    def from_pieces(cls, pieces: Pieces) -> Tokenizer:
        """From plain arrays. Raises ModelFormatError saying what is wrong with them."""
        try:
            return cls(Vocabulary(pieces.raw, pieces.scores, pieces.types), pieces.source)
        except ValueError as error:
            raise ModelFormatError(f"{pieces.source}: {error}.") from error

    def encode(self, text: str, *, bos: bool = True) -> list[int]:
        """Ids of user text, after <bos> unless bos is false. Never yields another control token.

        Raises UsageError for a surrogate that stands for no byte, and beyond 1 GiB.
        """
        return self._encode(_to_bytes(text), bos=bos, with_control=False)

    def encode_bytes(self, data: bytes, *, bos: bool = True) -> list[int]:
        """As `encode`, for text as bytes that need not be UTF-8."""
        return self._encode(data, bos=bos, with_control=False)

    def encode_trusted_with_control_tokens(self, text: str, *, bos: bool) -> list[int]:
        """Ids of text in which "<start_of_turn>" and its like mean the control tokens.

        NEVER for text of users, files or models: whoever writes it may forge turns. For comparing with other
        tokenizers, and for text we wrote ourselves.
        """
        return self._encode(_to_bytes(text), bos=bos, with_control=True)

    def decode(self, ids: Iterable[int], *, control: bool = False) -> str:
        """The text of `ids`: the tokens' bytes joined, each undecodable one as U+FFFD. Control tokens are left out, or
        spelled out if `control`. Raises UsageError for an id outside the vocabulary."""
        try:
            return self._vocabulary.decode([index(id) for id in ids], control).decode("utf-8", EACH_BYTE)
        except IndexError as error:
            raise UsageError(f"{error}, which has ids 0 to {self.vocabulary_size - 1}.") from error

    def token_bytes(self, id: int) -> bytes:
        """Exactly what the token adds to a text; nothing for a control token. Need not be whole characters."""
        return self._vocabulary.token_bytes(self._known(id))

    def spelling(self, id: int) -> str:
        """The piece as the vocabulary writes it, for people: "▁the", "<0x0A>", "<bos>"."""
        return self._vocabulary.spelling(self._known(id)).decode("utf-8", EACH_BYTE)

    def is_control(self, id: int) -> bool:
        """Whether the token is a message to the model instead of text."""
        return self._vocabulary.is_control(self._known(id))

    def control_id(self, spelling: str) -> int | None:
        """The id of the control token spelled so, or None if the vocabulary has no such control token."""
        id = self._vocabulary.find_control(spelling.encode())
        return None if id < 0 else id

    @cached_property
    def stop_ids(self) -> frozenset[int]:
        """Tokens that end an answer: <eos>, the end of a turn, and the mark after which a tool's result has to follow.

        {1, 107} for Gemma 1 and 2, {1, 106} for Gemma 3 and 3n, {1, 106, 50} for FunctionGemma and Gemma 4.
        """
        results = map(self.control_id, _RESULT_EXPECTED)
        return frozenset(id for id in (self.eos_id, self.end_of_turn_id, *results) if id is not None)

    @cached_property
    def reserved_ids(self) -> frozenset[int]:
        """Control tokens that no answer has a use for: <unused0>, <unused1>, … and <pad>, <bos>, <unk>, <mask>."""
        names = (*_NOTHING_TO_SAY, *(f"<unused{n}>" for n in range(_MOST_UNUSED)))
        return frozenset(id for id in map(self.control_id, names) if id is not None)

    def _encode(self, data: bytes, *, bos: bool, with_control: bool) -> list[int]:
        try:
            ids = self._vocabulary.encode(data, with_control)
        except ValueError as error:
            raise UsageError(f"{error}.") from error
        return [self.bos_id, *ids] if bos else ids

    def _known(self, id: int) -> int:
        if not 0 <= id < self.vocabulary_size:
            raise UsageError(f"token {id} is not in the vocabulary, which has ids 0 to {self.vocabulary_size - 1}.")
        return index(id)

    def _first_of(self, *spellings: str) -> int | None:
        return next((id for id in map(self.control_id, spellings) if id is not None), None)

    def _required(self, spelling: str) -> int:
        id = self.control_id(spelling)
        if id is None:
            raise ModelFormatError(f"{self._source}: the vocabulary has no control token {spelling}; Gemma's has.")
        return id


def _to_bytes(text: str) -> bytes:
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise UsageError(
            f"The text holds the lone surrogate U+{ord(text[error.start]):04X} at character {error.start}.",
            hint='Half of a character is missing there; text.encode("utf-8", "replace").decode() makes it a "?".',
        ) from error
