"""Gemma 3's text model in float32 NumPy, a whole sequence at once: the oracle for real weights.

It shares no code with the engine but the ops' definitions (`gemwright.ops.reference`) and the checkpoint reader: it
reads its own configuration and has its own names. `test_reference_is_transformers.py` ties it to transformers.
Axes: T tokens, D hidden, N query heads, K key/value heads, H head dimension, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gemwright.ops import reference as ops

F32 = npt.NDArray[np.float32]
Linear = Callable[[F32, F32], F32]  # x [T, in], w [out, in] → [T, out]


@dataclass(frozen=True)
class Config:
    """What the forward pass needs to know beyond the weights' own shapes. `is_global` has one entry per layer."""

    head_dim: int
    eps: float
    query_scale: float
    window: int
    is_global: tuple[bool, ...]
    base_global: float
    base_local: float
    factor_global: float = 1.0
    factor_local: float = 1.0


@dataclass(frozen=True)
class Gemma3:
    """The model as a value: call `hidden`, then `logits` on the rows that matter.

    `w` holds float32 arrays by safetensors name without prefix ("layers.0.mlp.up_proj.weight"), norms as whole factors.
    `linear` is every matrix product, the head's included; replace it to study another arithmetic.
    """

    config: Config
    w: Mapping[str, F32]
    linear: Linear = ops.linear

    def hidden(self, tokens: Sequence[int]) -> F32:
        """Hidden state of every token after the final norm: [T, D]."""
        ids = np.asarray(tokens, np.int32)
        table = self.w["embed_tokens.weight"]
        x = ops.embed(table, ids, scale=float(table.shape[1]) ** 0.5)
        for i in range(len(self.config.is_global)):
            x = self._block(x, i)
        return ops.rms_norm(x, self.w["norm.weight"], self.config.eps)

    def logits(self, hidden: F32) -> F32:
        """[n, D] → [n, V]; the head is the embedding table."""
        return self.linear(hidden, self.w["embed_tokens.weight"])

    def _block(self, x: F32, i: int) -> F32:
        y = self._attention(self._norm(x, i, "input_layernorm"), i)
        x = x + self._norm(y, i, "post_attention_layernorm")
        y = self._norm(x, i, "pre_feedforward_layernorm")
        y = ops.geglu_mul(self._project(y, i, "mlp.gate_proj"), self._project(y, i, "mlp.up_proj"))
        y = self._project(y, i, "mlp.down_proj")
        return x + self._norm(y, i, "post_feedforward_layernorm")

    def _attention(self, x: F32, i: int) -> F32:
        c, T = self.config, len(x)
        q = self._project(x, i, "self_attn.q_proj").reshape(T, -1, c.head_dim)
        k = self._project(x, i, "self_attn.k_proj").reshape(T, -1, c.head_dim)
        v = self._project(x, i, "self_attn.v_proj").reshape(T, -1, c.head_dim)
        q, k = self._norm(q, i, "self_attn.q_norm"), self._norm(k, i, "self_attn.k_norm")
        positions = np.arange(T, dtype=np.int32)
        if c.is_global[i]:
            table, window = ops.rope_table(positions, c.head_dim, c.base_global, c.factor_global), None
        else:
            table, window = ops.rope_table(positions, c.head_dim, c.base_local, c.factor_local), c.window
        y = ops.attend(ops.rope(q, table), ops.rope(k, table), v, positions, positions, c.query_scale, window)
        return self._project(y.reshape(T, -1), i, "self_attn.o_proj")

    def _norm(self, x: F32, i: int, name: str) -> F32:
        return ops.rms_norm(x, self.w[f"layers.{i}.{name}.weight"], self.config.eps)

    def _project(self, x: F32, i: int, name: str) -> F32:
        return self.linear(x, self.w[f"layers.{i}.{name}.weight"])


def from_checkpoint(checkpoint: Any, linear: Linear = ops.linear) -> Gemma3:
    """The model of an opened checkpoint (`gemwright.weights.open_checkpoint`), GGUF or safetensors."""
    arrays = {name: tensor.to_f32() for name, tensor in checkpoint.tensors.items()}
    if checkpoint.kind == "gguf":
        return Gemma3(gguf_config(checkpoint.config), gguf_weights(arrays), linear)
    return Gemma3(hf_config(checkpoint.config), hf_weights(arrays), linear)


def hf_config(config: Mapping[str, Any]) -> Config:
    """From a config.json, old keys or new; fields left out have transformers' Gemma3TextConfig defaults."""
    c = config.get("text_config", config)
    layers, pattern = c.get("num_hidden_layers", 26), c.get("sliding_window_pattern", 6)
    if kinds := c.get("layer_types"):
        is_global = tuple(kind == "full_attention" for kind in kinds)
    else:
        is_global = tuple((i + 1) % pattern == 0 for i in range(layers))
    rope = c.get("rope_parameters") or {
        "full_attention": {"rope_theta": c.get("rope_theta", 1e6), **(c.get("rope_scaling") or {})},
        "sliding_attention": {"rope_theta": c.get("rope_local_base_freq", 1e4)},
    }
    full, sliding = rope["full_attention"], rope["sliding_attention"]
    return Config(
        head_dim=c.get("head_dim", 256),
        eps=c.get("rms_norm_eps", 1e-6),
        query_scale=c.get("query_pre_attn_scalar", 256) ** -0.5,
        window=c.get("sliding_window", 4096),
        is_global=is_global,
        base_global=full["rope_theta"],
        base_local=sliding["rope_theta"],
        factor_global=full.get("factor", 1.0),
        factor_local=sliding.get("factor", 1.0),
    )


def hf_weights(tensors: Mapping[str, F32]) -> dict[str, F32]:
    """Names without prefix, towers for other media left out, and the 1 that the files' norms leave out added."""
    w: dict[str, F32] = {}
    for name, values in tensors.items():
        for prefix in ("model.language_model.", "language_model.model.", "model."):
            if name.startswith(prefix):
                short = name.removeprefix(prefix)
                w[short] = values + np.float32(1) if short.endswith("norm.weight") else values
                break
    return w


def gguf_config(metadata: Mapping[str, Any]) -> Config:
    """From GGUF metadata of architecture gemma3; the pattern, the local base and the query scale are not stored."""
    layers, head_dim = int(metadata["gemma3.block_count"]), int(metadata["gemma3.attention.key_length"])
    return Config(
        head_dim=head_dim,
        eps=float(metadata["gemma3.attention.layer_norm_rms_epsilon"]),
        query_scale=head_dim**-0.5,
        window=int(metadata["gemma3.attention.sliding_window"]),
        is_global=tuple((i + 1) % 6 == 0 for i in range(layers)),
        base_global=float(metadata["gemma3.rope.freq_base"]),
        base_local=10_000.0,
        factor_global=float(metadata.get("gemma3.rope.scaling.factor", 1.0)),
    )


GGUF_NAMES = {
    "token_embd": "embed_tokens",
    "output_norm": "norm",
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "post_attention_norm": "post_attention_layernorm",
    "ffn_norm": "pre_feedforward_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
    "post_ffw_norm": "post_feedforward_layernorm",
}


def gguf_weights(tensors: Mapping[str, F32]) -> dict[str, F32]:
    """Safetensors names for GGUF ones; GGUF norms are whole factors already."""
    w: dict[str, F32] = {}
    for name, values in tensors.items():
        stem = name.removesuffix(".weight")
        if stem.startswith("blk."):
            _, layer, part = stem.split(".")
            w[f"layers.{layer}.{GGUF_NAMES[part]}.weight"] = values
        else:
            w[f"{GGUF_NAMES[stem]}.weight"] = values
    return w
