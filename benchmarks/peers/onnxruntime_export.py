"""Converts a checkpoint to ONNX Runtime GenAI's int4 format. Runs in that peer's own environment, see setup.py there.

python onnxruntime_export.py CHECKPOINT OUTPUT

The model builder of onnxruntime-genai 0.18 expects the rope parameters of older transformers than those it imports;
what it misses is given to it here: nothing but the two bases, which Gemma 3 270M and 1B do not scale.
"""

from __future__ import annotations

import sys
from pathlib import Path

import onnxruntime_genai.models

sys.path.insert(0, onnxruntime_genai.models.__path__[0])  # the builder imports its parts as top-level modules

import builder
from builders import gemma


class _Gemma3(gemma.Gemma3Model):
    """With the rope bases where the builder looks for them, and no scaling."""

    def __init__(self, config: object, *rest: object) -> None:
        rope = config.rope_parameters
        config.rope_theta = rope["full_attention"]["rope_theta"]
        config.rope_local_base_freq = rope["sliding_attention"]["rope_theta"]
        super().__init__(config, *rest)

    def make_rope_init(self, config: object) -> None:
        if any(parameters["rope_type"] != "default" for parameters in config.rope_parameters.values()):
            raise SystemExit("This checkpoint scales its rope; only sizes that do not can be exported.")


def main() -> None:
    """Exports the folder named first into the one named second."""
    checkpoint, output = sys.argv[1:]
    builder.Gemma3Model = _Gemma3
    cache = str(Path(output).with_name("model-cache"))
    options = builder.parse_extra_options("", checkpoint, output, "int4", "cpu", cache, [])
    builder.create_model("", checkpoint, output, "int4", "cpu", cache, **options)


if __name__ == "__main__":
    main()
