"""Which texts the cache still knows: a tree of blocks of 32 tokens, each after the text of its parent.

A block is found by its parent and its tokens themselves, never by a hash of them alone, so two texts can never be taken
for one another. Below the root is a block for every salt: what was computed under one is never found under another.
"""

from __future__ import annotations

from array import array
from collections.abc import Hashable, Sequence

from gemwright.ops import PAGE_TOKENS


class Block:
    """The tokens of a page, after those of `parent`.

    pages: the page that holds their keys and values, for each window that still has one.
    users: running sequences that may add a child.
    """

    __slots__ = ("children", "key", "pages", "parent", "users")

    def __init__(self, parent: Block | None, key: Hashable) -> None:
        self.parent = parent
        self.key = key
        self.children: dict[Hashable, Block] = {}
        self.pages: dict[int, int] = {}
        self.users = 0


class Prefixes:
    """The tree. Blocks that nobody uses, nothing holds and nothing follows are gone."""

    def __init__(self) -> None:
        self._root = Block(None, None)

    def start(self, salt: str) -> Block:
        """Where texts under a salt begin."""
        return _child(self._root, salt)

    def find(self, start: Block, tokens: Sequence[int]) -> list[Block]:
        """The blocks of whole pages of `tokens` after `start`, as far as they are known."""
        found: list[Block] = []
        for at in range(0, len(tokens) - PAGE_TOKENS + 1, PAGE_TOKENS):
            block = (found[-1] if found else start).children.get(_key(tokens[at : at + PAGE_TOKENS]))
            if block is None:
                break
            found.append(block)
        return found

    def add(self, parent: Block, tokens: Sequence[int]) -> Block:
        """The block of a page of tokens after `parent`, a new one if there is none."""
        return _child(parent, _key(tokens))

    def drop(self, block: Block) -> None:
        """Removes the block if there is no reason to keep it, and its ancestors likewise."""
        while block.parent is not None and not (block.children or block.pages or block.users):
            if block.parent.children.get(block.key) is block:
                del block.parent.children[block.key]
            block = block.parent


def _child(parent: Block, key: Hashable) -> Block:
    child = parent.children.get(key)
    if child is None:
        child = parent.children[key] = Block(parent, key)
    return child


def _key(tokens: Sequence[int]) -> bytes:
    return array("i", tokens).tobytes()
