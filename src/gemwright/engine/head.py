"""What may come next, from hidden states: for each row as much as its request needs, in the fewest passes.

The head is the largest matrix of a small model, and its largest few logits cost half of what all of them do. So rows
that need few share one call, rows that need all share another. A row's result does not depend on the others.
"""

from __future__ import annotations

from collections.abc import Sequence

from gemwright.engine.request import Network
from gemwright.engine.sampler import Candidates, Scores
from gemwright.step import F32


def score_rows(network: Network, hidden: F32, counts: Sequence[int], below: int) -> list[Scores]:
    """The scores of each row of float32[n, D]. counts: the candidates each needs, 0 for the whole row.

    below: only ids below it are candidates; a whole row has the padding too. Candidates may be more than asked for.
    """
    few = [i for i, count in enumerate(counts) if count]
    whole = [i for i, count in enumerate(counts) if not count]
    scores: dict[int, Scores] = {}
    if few:
        most = min(max(counts), below)
        scores |= zip(few, map(Candidates, *network.candidates(hidden[few], most, below)), strict=True)
    if whole:
        scores |= zip(whole, network.logits(hidden[whole]), strict=True)
    return [scores[i] for i in range(len(counts))]
