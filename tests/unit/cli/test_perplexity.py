"""llama-perplexity's method, followed by hand on small numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from gemwright.cli.perplexity import read_text, running
from gemwright.errors import FileError, UsageError

BOS = 2


def test_chunks_begin_with_bos_and_only_their_second_half_is_scored() -> None:
    asked = []

    def score(tokens):
        asked.append(list(tokens))
        return -np.arange(1, len(tokens), dtype=np.float32)  # the loss of tokens[i] is i

    ids = [BOS, *range(100, 121)]  # 22 tokens: two chunks of 8, six left over
    *_, last = running(score, ids, 8, BOS)
    assert asked == [[BOS, 100, 101, 102, 103, 104, 105, 106], [BOS, 108, 109, 110, 111, 112, 113, 114]]
    assert last.chunks == 2
    assert last.scored_tokens == 6  # tokens 5, 6 and 7 of each chunk
    assert last.perplexity == pytest.approx(math.exp(6))
    assert last.uncertainty == pytest.approx(math.exp(6) * math.sqrt((2 / 3) / 5))


def test_an_odd_context_scores_as_llama_cpp_does() -> None:
    *_, last = running(lambda tokens: np.zeros(len(tokens) - 1, np.float32), [BOS] * 18, 9, BOS)
    assert last.scored_tokens == 2 * (9 - 1 - 9 // 2)
    assert last.perplexity == 1.0


def test_each_chunk_gives_a_running_result() -> None:
    results = list(running(lambda tokens: np.full(len(tokens) - 1, -1.0), [BOS] * 40, 8, BOS))
    assert [result.chunks for result in results] == [1, 2, 3, 4, 5]
    assert all(result.perplexity == pytest.approx(math.e) for result in results)


def test_a_text_shorter_than_two_chunks_is_refused_with_both_numbers() -> None:
    with pytest.raises(UsageError, match="15 tokens: 16 are needed"):
        next(running(lambda tokens: tokens, [BOS] * 15, 8, BOS))


@pytest.mark.parametrize("context", [-1, 0, 3])
def test_a_context_without_a_second_half_is_refused(context: int) -> None:
    with pytest.raises(UsageError, match="--context"):
        next(running(lambda tokens: tokens, [BOS] * 100, context, BOS))


def test_one_final_newline_is_dropped_and_foreign_bytes_survive(tmp_path) -> None:
    path = tmp_path / "text"
    path.write_bytes(b"a\xff\n\n")
    assert read_text(path).encode("utf-8", "surrogateescape") == b"a\xff\n"


def test_a_missing_text_is_a_file_error_with_its_name(tmp_path) -> None:
    with pytest.raises(FileError, match=r"nothing\.txt cannot be read: No such file"):
        read_text(tmp_path / "nothing.txt")
