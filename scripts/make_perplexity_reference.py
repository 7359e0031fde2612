"""Makes tests/data/perplexity.json: the real Gemma 3 270M's perplexity on a text, in float32 NumPy.

    python scripts/make_perplexity_reference.py

Method: llama-perplexity's. The text, BOS first, is cut into chunks of 512 tokens; each chunk starts with BOS in place
of its first token and is a context of its own; its tokens 257 to 512 (all but the first of the second half) are
scored. The model is tests/support/fp32_gemma3.py on the dequantised weights of the default model's file.
Written apart from `gemwright perplexity`, which the value judges.
"""

from __future__ import annotations

import hashlib
import math
import platform
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from gemwright.embedded import GEMMA_3_270M
from support import fp32_gemma3
from support.perplexity_reference import PATH, Reference, write_reference
from support.real_model import checkpoint, log_probabilities, tokens

TEXT, CONTEXT = "english", 512


def main() -> None:
    model = fp32_gemma3.from_checkpoint(checkpoint())
    ids = tokens(TEXT)
    losses: list[float] = []
    chunks = len(ids) // CONTEXT
    for chunk in range(chunks):
        part = ids[chunk * CONTEXT : (chunk + 1) * CONTEXT].copy()
        part[0] = ids[0]
        half = CONTEXT // 2
        scores = log_probabilities(model.logits(model.hidden(part)[half:-1]))
        losses += [-float(row[token]) for row, token in zip(scores, part[half + 1 :], strict=True)]
    perplexity = math.exp(math.fsum(losses) / len(losses))
    write_reference(
        Reference(
            text=TEXT,
            context=CONTEXT,
            chunks=chunks,
            scored_tokens=len(losses),
            perplexity=perplexity,
            tokens_sha256=hashlib.sha256(ids.astype("<i4").tobytes()).hexdigest(),
            made_by={
                "script": "scripts/make_perplexity_reference.py",
                "model": f"{GEMMA_3_270M.file}, SHA-256 {GEMMA_3_270M.sha256}",
                "python": platform.python_version(),
                "numpy": np.__version__,
            },
        )
    )
    print(f"{TEXT}: perplexity {perplexity:.6f} over {len(losses)} tokens in {chunks} chunks → {PATH.name}")


if __name__ == "__main__":
    main()
