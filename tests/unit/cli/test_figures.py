"""The line of figures after an answer."""

from __future__ import annotations

from typing import get_args

import pytest

from gemwright.cli.figures import summary
from gemwright.messages import Completion, FinishReason


@pytest.mark.parametrize("reason", get_args(FinishReason))
def test_every_way_an_answer_ends_has_words(reason: FinishReason) -> None:
    assert summary(Completion("a", (1, 2), reason, 1, 0.1, 0.1))
