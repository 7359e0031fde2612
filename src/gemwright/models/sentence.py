"""Whether the pipeline around an embedding model is the one we compute, from the files of sentence-transformers.

What is computed is fixed for each generation, so these files can only agree or be refused (`weights.pipeline`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gemwright.errors import ModelFormatError, UnsupportedModel
from gemwright.models.reading import MAX_CONTEXT, integer
from gemwright.weights import MODULES, TOKENIZING

_ALWAYS = {
    "module_input_name": ("sentence_embedding", None),
    "module_output_name": ("sentence_embedding", None),
    "use_residual": (False, None),
    "include_prompt": (True, None),
}
"""Settings that would change a step, and the values at which they do not; None where they are missing."""


def check_steps(config: Mapping[str, Any], kinds: Sequence[str]) -> list[Mapping[str, Any]]:
    """The settings of each step of modules.json, which are those `kinds` in that order.

    Raises UnsupportedModel if they are others. config: a safetensors checkpoint's.
    """
    steps = config[MODULES]
    found = [step["type"] for step in steps]
    if found != list(kinds):
        raise UnsupportedModel(f"{MODULES} lists {', '.join(found)}; this model is {', '.join(kinds)}.")
    settings: list[Mapping[str, Any]] = [step["config"] for step in steps]
    for step, values in zip(steps[1:], settings[1:], strict=True):
        for key, usual in _ALWAYS.items():
            if values.get(key) not in usual:
                raise UnsupportedModel(f"{step['path']}/config.json sets {key} to {values[key]!r:.80}.")
    return settings


def check_mean_pooling(pooling: Mapping[str, Any], width: int) -> None:
    """Raises UnsupportedModel unless a Pooling step takes the mean of all tokens, of `width` values each."""
    modes = pooling.get("pooling_mode")
    if modes is None:  # before sentence-transformers 5.4 there was a switch for each mode
        on = [key for key, value in pooling.items() if key.startswith("pooling_mode_") and value]
        modes = [key.removeprefix("pooling_mode_").removesuffix("_tokens") for key in on]
    if modes not in ("mean", ["mean"]):
        raise UnsupportedModel(f"The Pooling step takes {modes!r:.80} of the tokens; this model takes their mean.")
    for key in ("embedding_dimension", "word_embedding_dimension"):
        if key in pooling and pooling[key] != width:
            raise ModelFormatError(f"The Pooling step's {key} is {pooling[key]!r:.80}; the states have {width}.")


def dense_width(dense: Mapping[str, Any], inputs: int) -> int:
    """The outputs of a Dense step of `inputs` inputs. Raises UnsupportedModel unless it is only a matrix."""
    if integer(dense, "in_features") != inputs:
        raise ModelFormatError(f"A Dense step has in_features {dense['in_features']}; {inputs} go in.")
    activation = dense.get("activation_function")
    if dense.get("bias") is not False or not isinstance(activation, str) or activation.rpartition(".")[2] != "Identity":
        raise UnsupportedModel(
            f"A Dense step has bias {dense.get('bias')!r:.80} and activation {activation!r:.80}; "
            "this model's have no bias and no activation."
        )
    return integer(dense, "out_features")


def longest_text(config: Mapping[str, Any], most: int) -> int:
    """Tokens of the longest text: `most`, or less if sentence_bert_config.json says so. config: as `check_steps`."""
    tokenizing = config.get(TOKENIZING, {})
    if tokenizing.get("do_lower_case"):
        raise UnsupportedModel(f"{TOKENIZING} asks for lower-case texts, which no Gemma does.")
    if tokenizing.get("max_seq_length") is None:
        return most
    return min(most, integer(tokenizing, "max_seq_length", most=MAX_CONTEXT))
