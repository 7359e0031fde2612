"""The operations models are written in, each a call into the compiled kernels; their meaning is in `ops.reference`.

Axes: T tokens of the flat batch, D hidden width, N query heads, K key heads, H head width, V vocabulary. Arrays are
C-contiguous float32 unless said otherwise. Every operation computes each token by itself and in a fixed order, so how
tokens are grouped into calls, how many threads run and which CPU target is used never changes a bit of the result
(docs/concepts/numerics.md). The GIL is released while kernels run.
"""

from __future__ import annotations

from gemwright.ops.matrix import (
    LAYOUT_VERSION,
    Q8_0_SPLIT,
    TILE_ROWS,
    Matrix,
    checksum,
    embed,
    largest,
    linear,
    linear_geglu,
    packed_bytes,
)
from gemwright.ops.paged import PAGE_TOKENS, KVFormat, PagedLayer, attend, cache_write, page_bytes
from gemwright.ops.probe import multiplications_per_second, read_bytes_per_second
from gemwright.ops.quantise import is_on_q4_0_grid, requantise
from gemwright.ops.rows import (
    add,
    add_norm,
    argmax,
    geglu_mul,
    log_sum_exp,
    mean_square,
    mix,
    norm_rope,
    rms_norm,
    rope,
    rope_table,
    scan_strings,
    softcap,
    softmax,
    sparsify,
    spread,
    top_k,
)
from gemwright.ops.runtime import active_target, configure, set_threads, targets, threads, use_target

__all__ = [
    "LAYOUT_VERSION",
    "PAGE_TOKENS",
    "Q8_0_SPLIT",
    "TILE_ROWS",
    "KVFormat",
    "Matrix",
    "PagedLayer",
    "active_target",
    "add",
    "add_norm",
    "argmax",
    "attend",
    "cache_write",
    "checksum",
    "configure",
    "embed",
    "geglu_mul",
    "is_on_q4_0_grid",
    "largest",
    "linear",
    "linear_geglu",
    "log_sum_exp",
    "mean_square",
    "mix",
    "multiplications_per_second",
    "norm_rope",
    "packed_bytes",
    "page_bytes",
    "read_bytes_per_second",
    "requantise",
    "rms_norm",
    "rope",
    "rope_table",
    "scan_strings",
    "set_threads",
    "softcap",
    "softmax",
    "sparsify",
    "spread",
    "targets",
    "threads",
    "top_k",
    "use_target",
]
