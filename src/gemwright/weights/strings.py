"""An array of strings left where it lies: a vocabulary of 262,144 pieces costs nothing until it is read."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

_LENGTH = struct.Struct("<Q")


@dataclass(frozen=True, eq=False)
class StringArray:
    """`count` strings of a GGUF file, as bytes that need not be UTF-8.

    raw: uint8, read-only, exactly the strings: each a little-endian uint64 length and that many bytes.
    """

    raw: npt.NDArray[np.uint8]
    count: int

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[bytes]:
        view = self.raw.data
        at = 0
        for _ in range(self.count):
            end = at + 8 + _LENGTH.unpack_from(view, at)[0]
            yield bytes(view[at + 8 : end])
            at = end
