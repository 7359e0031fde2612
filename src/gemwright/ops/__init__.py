"""The operations models are written in, each a call into the compiled kernels; their meaning is in `ops.reference`.

Axes: T tokens of the flat batch, D hidden width, N query heads, K key heads, H head width, V vocabulary. Arrays are
C-contiguous float32 unless said otherwise. Every operation computes each token by itself and in a fixed order, so how
tokens are grouped into calls, how many threads run and which CPU target is used never changes a bit of the result
(docs/concepts/numerics.md). The GIL is released while kernels run.
"""

from __future__ import annotations

from gemwright.ops.matrix import Matrix, embed, linear
from gemwright.ops.paged import PAGE_TOKENS, PagedLayer, attend, cache_write
from gemwright.ops.quantise import is_on_q4_0_grid, requantise
from gemwright.ops.rows import add, argmax, geglu_mul, log_sum_exp, rms_norm, rope, rope_table, scan_strings, top_k
from gemwright.ops.runtime import active_target, configure, set_threads, targets, threads, use_target

__all__ = [
    "PAGE_TOKENS",
    "Matrix",
    "PagedLayer",
    "active_target",
    "add",
    "argmax",
    "attend",
    "cache_write",
    "configure",
    "embed",
    "geglu_mul",
    "is_on_q4_0_grid",
    "linear",
    "log_sum_exp",
    "requantise",
    "rms_norm",
    "rope",
    "rope_table",
    "scan_strings",
    "set_threads",
    "targets",
    "threads",
    "top_k",
    "use_target",
]
