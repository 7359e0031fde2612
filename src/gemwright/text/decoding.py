"""Bytes to text, each undecodable byte as one U+FFFD: as SentencePiece does, and the same whole or in parts."""

from __future__ import annotations

import codecs

EACH_BYTE = "gemwright.each-byte"
"""For `errors=` of bytes.decode and of incremental decoders."""


def _each_byte(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return "\ufffd" * (error.end - error.start), error.end


codecs.register_error(EACH_BYTE, _each_byte)
