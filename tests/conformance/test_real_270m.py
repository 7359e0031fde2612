"""The real Gemma 3 270M: our engine against float32 math on the same dequantised weights.

What is promised: mean KL ≤ 1e-3 and top-1 agreement ≥ 98 % at the default precision, ≤ 1e-5 and ≥ 99.8 % at "exact",
over English, code and texts in twelve languages of other scripts; perplexity within 0.5 % of the reference at either.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pytest

from gemwright import ops
from gemwright.cli.perplexity import running
from gemwright.models.weights import Precision
from gemwright.ops.reference import linear, linear_int8, linear_int16
from support import fp32_gemma3
from support.grouping import in_chunks, mixed
from support.perplexity_reference import read_reference
from support.real_model import checkpoint, log_probabilities, network, token_scores, tokens

pytestmark = pytest.mark.real

PRECISIONS: tuple[Precision, ...] = ("default", "exact")
CONTEXTS = {"english": 700, "code": 700, "declaration": 700, "stories": 700}  # text: tokens taken; the window is 512
FORWARD_ORDER = ("q", "k", "v", "o", "gate", "up", "down")
F32 = npt.NDArray[np.float32]
SLICE = 64  # rows of logits at a time: 67 MB
SEED = 20261123


@dataclass(frozen=True, eq=False)
class Agreement:
    """Per token: KL(reference ‖ ours) in nats, and whether both find the same token most likely."""

    kl: npt.NDArray[np.float64]
    same_top: npt.NDArray[np.bool_]

    def __str__(self) -> str:
        return (
            f"mean KL {self.kl.mean():.2e}, largest {self.kl.max():.2e}, "
            f"top-1 {self.same_top.mean():.2%} of {len(self.kl)} tokens"
        )


@pytest.fixture(scope="module")
def agreements() -> dict[str, dict[str, Agreement]]:
    """For each precision and text. The reference is computed once for both."""
    reference = fp32_gemma3.from_checkpoint(checkpoint())
    found: dict[str, dict[str, Agreement]] = {precision: {} for precision in PRECISIONS}
    for text, length in CONTEXTS.items():
        ids = tokens(text)[:length]
        expected = reference.hidden(ids)
        ours = {precision: in_chunks(network(precision), ids, 256) for precision in PRECISIONS}
        parts: dict[str, list[Agreement]] = {precision: [] for precision in PRECISIONS}
        for at in range(0, len(ids), SLICE):
            p = log_probabilities(reference.logits(expected[at : at + SLICE]))
            weight = np.exp(p)
            for precision in PRECISIONS:
                q = log_probabilities(network(precision).logits(ours[precision][at : at + SLICE]))
                same_top = p.argmax(axis=1) == q.argmax(axis=1)
                np.subtract(p, q, out=q)
                parts[precision].append(Agreement(np.einsum("tv,tv->t", weight, q, dtype=np.float64), same_top))
        for precision in PRECISIONS:
            found[precision][text] = _joined(parts[precision])
    return found


@pytest.mark.parametrize(
    ("precision", "most_kl", "least_top"), [("default", 1e-3, 0.98), ("exact", 1e-5, 0.998)], ids=PRECISIONS
)
def test_the_engine_agrees_with_float32_math(
    agreements: dict[str, dict[str, Agreement]], precision: Precision, most_kl: float, least_top: float
) -> None:
    for text, agreement in agreements[precision].items():
        print(f"{precision:8} {text:12} {agreement}")
    total = _joined(list(agreements[precision].values()))
    print(f"{precision:8} {'all':12} {total}")
    assert len(total.kl) >= 2000
    assert total.kl.mean() <= most_kl
    assert total.same_top.mean() >= least_top


@pytest.mark.parametrize("precision", PRECISIONS)
def test_perplexity_is_the_reference_value(precision: Precision) -> None:
    """Within 0.5 % of what scripts/make_perplexity_reference.py computed in float32, on the same tokens."""
    reference = read_reference()
    ids = tokens(reference.text)
    assert hashlib.sha256(ids.astype("<i4").tobytes()).hexdigest() == reference.tokens_sha256, "another tokenisation"
    net = network(precision)

    def score(chunk: Sequence[int]) -> F32:
        part = np.asarray(chunk, np.int32)
        return token_scores(net, in_chunks(net, part, len(part))[:-1], part[1:])

    *_, result = running(score, ids.tolist(), reference.context, int(ids[0]))
    print(f"{precision:8} perplexity {result.perplexity:.4f}, reference {reference.perplexity:.4f}")
    assert result.chunks == reference.chunks
    assert abs(result.perplexity / reference.perplexity - 1) <= 0.005


@pytest.mark.parametrize("precision", PRECISIONS)
def test_every_matrix_product_is_the_arithmetic_the_precision_promises(precision: Precision) -> None:
    """Each real matrix times the real activations before it: the quantised sum itself, not only near the exact one.

    Whole passes cannot be compared this sharply: one code that rounds the other way moves the next layer's codes,
    and after a few layers two orders of summation are as far apart as either is from float32.
    """
    seen: list[tuple[F32, F32]] = []

    def recording(x: F32, w: F32) -> F32:
        seen.append((x, w))
        return linear(x, w)

    reference = fp32_gemma3.from_checkpoint(checkpoint(), linear=recording)
    reference.logits(reference.hidden(tokens("stories")[:40]))
    net = network(precision)
    matrices = [(i, name, getattr(w, name)) for i, w in enumerate(net.layers) for name in FORWARD_ORDER]
    for (i, name, matrix), (x, w) in zip([*matrices, (len(net.layers), "head", net.embed)], seen, strict=True):
        assert matrix.wide or precision == "default", f"layer {i}, {name} takes int8 activations"
        expected = linear_int16(x, w) if matrix.wide else linear_int8(x, w)
        error = np.abs(ops.linear(np.ascontiguousarray(x), matrix)[0] - expected).max() / np.abs(expected).max()
        assert error <= 2e-6, f"layer {i}, {name}: relative error {error:.1e}"


@pytest.mark.parametrize("precision", PRECISIONS)
def test_how_tokens_are_grouped_never_changes_a_bit(precision: Precision) -> None:
    """Quantised weights, pages, rings and threads of the real model: chunks, decode, mixed batches, targets."""
    net = network(precision)
    ids = tokens("stories")[:72]
    whole = in_chunks(net, ids, len(ids))
    logits = net.logits(whole[-3:])
    for sizes in (1, 7, 32, [50] + [1] * 22):
        assert np.array_equal(in_chunks(net, ids, sizes), whole), f"chunks of {sizes}"
    assert np.array_equal(np.concatenate([net.logits(row[None]) for row in whole[-3:]]), logits)

    others = [tokens("code")[:45], tokens("declaration")[:20]]
    alone = [whole] + [in_chunks(net, other, len(other)) for other in others]
    for hidden, expected in zip(mixed(net, [ids, *others], 24, np.random.default_rng(SEED)), alone, strict=True):
        assert np.array_equal(hidden, expected), f"seed {SEED}"

    for target in (name for name, usable in ops.targets().items() if usable):
        ops.use_target(target)
        for threads in (1, 2, 3):
            ops.set_threads(threads)
            assert np.array_equal(in_chunks(net, ids[:24], 20), whole[:24]), f"{target}, {threads} threads"
            assert np.array_equal(net.logits(whole[-1:]), logits[-1:]), f"{target}, {threads} threads"


def test_the_window_matters_in_these_texts() -> None:
    """At least one context is longer than the 512 tokens that local layers see."""
    assert any(len(tokens(text)[:length]) > 512 for text, length in CONTEXTS.items())


def _joined(parts: Sequence[Agreement]) -> Agreement:
    return Agreement(np.concatenate([p.kl for p in parts]), np.concatenate([p.same_top for p in parts]))
