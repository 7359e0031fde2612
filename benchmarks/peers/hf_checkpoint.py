"""Writes a Gemma 3 text model out of a GGUF file as transformers stores it, so that other engines can convert it.

The weights are dequantised exactly, to float32: what another engine makes of them is requantised, so its speed can be
compared, its text cannot. The engines are given token ids, so the tokenizer in the folder is a stub of four words that
only satisfies converters who insist on one.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from gemwright.models.gemma3 import Config, weights
from gemwright.weights import Tensor, Weight, match, open_checkpoint

PREFIX = "model."


def write_hf_checkpoint(gguf: Path, folder: Path) -> None:
    """`folder` with config.json, generation_config.json and model.safetensors of the Gemma 3 text model in `gguf`."""
    checkpoint = open_checkpoint(gguf)
    config = Config.from_gguf(checkpoint.config)
    rows = weights(config)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "model.safetensors").open("wb") as file:
        _write_safetensors(file, rows, match(rows, checkpoint))
    special = {f"{name}_token_id": int(checkpoint.config[f"tokenizer.ggml.{key}_token_id"]) for name, key in _SPECIAL}
    (folder / "config.json").write_text(json.dumps({**_hf_config(config), **special}, indent=1))
    (folder / "generation_config.json").write_text(json.dumps({"do_sample": False, **special}, indent=1))
    (folder / "tokenizer.json").write_text(json.dumps(_STUB_TOKENIZER))
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "PreTrainedTokenizerFast"}))


_SPECIAL = [("bos", "bos"), ("eos", "eos"), ("pad", "padding")]
_STUB_TOKENIZER = {
    "version": "1.0",
    "added_tokens": [],
    "model": {"type": "WordLevel", "vocab": {"<pad>": 0, "<eos>": 1, "<bos>": 2, "<unk>": 3}, "unk_token": "<unk>"},
}


def _hf_config(c: Config) -> dict[str, Any]:
    """`Gemma3TextConfig` of transformers 5, both spellings of the rope parameters."""
    return {
        "architectures": ["Gemma3ForCausalLM"],
        "model_type": "gemma3_text",
        "torch_dtype": "float32",
        "vocab_size": c.vocabulary,
        "hidden_size": c.hidden,
        "intermediate_size": c.feed_forward,
        "num_hidden_layers": c.layers,
        "num_attention_heads": c.heads,
        "num_key_value_heads": c.kv_heads,
        "head_dim": c.head_dim,
        "max_position_embeddings": c.context_tokens,
        "rms_norm_eps": c.eps,
        "query_pre_attn_scalar": round(c.query_scale**-2),
        "sliding_window": max(c.windows),
        "layer_types": ["sliding_attention" if window else "full_attention" for window in c.windows],
        "rope_theta": c.global_base,
        "rope_local_base_freq": c.local_base,
        "hidden_activation": "gelu_pytorch_tanh",
        "attention_bias": False,
        "attention_dropout": 0.0,
        "tie_word_embeddings": True,
        "use_cache": True,
    }


def _write_safetensors(file: BinaryIO, rows: tuple[Weight, ...], tensors: dict[str, Tensor]) -> None:
    """Eight bytes of header length, the header in JSON, then the tensors one after the other."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    at = 0
    for row in rows:
        size = 4 * int(np.prod(row.shape))
        header[PREFIX + row.safetensors] = {"dtype": "F32", "shape": list(row.shape), "data_offsets": [at, at + size]}
        at += size
    raw = json.dumps(header).encode()
    raw += b" " * (-len(raw) % 8)
    file.write(len(raw).to_bytes(8, "little") + raw)
    for row in rows:
        values = tensors[row.name].to_f32()
        file.write((values - np.float32(1) if row.add_one else values).astype("<f4").tobytes())
