"""The native tokenizer (native/tokenizer). Only `gemwright.text` imports it."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

class Vocabulary:
    """Pieces, indexed for byte-pair encoding. Never changes; any number of threads may share one."""

    def __init__(
        self, raw: npt.NDArray[np.uint8], scores: npt.NDArray[np.float32], types: npt.NDArray[np.int32]
    ) -> None:
        """raw: each piece a little-endian uint64 length and its bytes; types: SentencePiece's 1 to 6.

        Raises ValueError with a sentence that says what is wrong.
        """

    def __len__(self) -> int: ...
    def encode(self, text: bytes, with_control: bool) -> list[int]:
        """Token ids; the GIL is released. Raises ValueError beyond 1 GiB."""

    def decode(self, ids: Sequence[int], with_control: bool) -> bytes:
        """The tokens' bytes, joined; control pieces spelled out or left out. Raises IndexError."""

    def token_bytes(self, id: int) -> bytes: ...
    def spelling(self, id: int) -> bytes: ...
    def find_control(self, spelling: bytes) -> int:
        """The id of the control piece spelled so, or -1."""

    def is_control(self, id: int) -> bool: ...
    def first_foreign_merge(self, left: npt.NDArray[np.int32], right: npt.NDArray[np.int32]) -> int:
        """-1 if a merge list is exactly the one the pieces imply, otherwise where it differs first."""
