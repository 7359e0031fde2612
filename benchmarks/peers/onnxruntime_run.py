"""One measurement of ONNX Runtime GenAI, as JSON. Runs in that peer's own environment. Arguments: openvino_run.py."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import onnxruntime_genai
from measuring import Work, report, tokens_of, work_from_arguments

LEAST_LENGTH = 1024
"""Its cache must hold at least the window of the local layers."""


def main() -> None:
    """Measures what the arguments ask for and prints it."""
    work = work_from_arguments()
    config = onnxruntime_genai.Config(work.model)
    config.overlay(f'{{"model": {{"decoder": {{"session_options": {{"intra_op_num_threads": {work.threads}}}}}}}}}')
    model = onnxruntime_genai.Model(config)
    report(work, lambda count: _generate(model, work, count), onnxruntime_genai.__version__)


def _generate(model: onnxruntime_genai.Model, work: Work, count: int) -> tuple[float, float]:
    """Seconds to the first greedy token of each prompt, and of `count` more."""
    prompts = np.array([tokens_of(work, i) for i in range(work.batch)], np.int32)
    length = prompts.shape[1] + count + 1
    parameters = onnxruntime_genai.GeneratorParams(model)
    parameters.set_search_options(
        do_sample=False, batch_size=work.batch, min_length=length, max_length=max(length, LEAST_LENGTH)
    )
    began = time.perf_counter()
    generator = onnxruntime_genai.Generator(model, parameters)
    generator.append_tokens(prompts)
    generator.generate_next_token()
    first = time.perf_counter()
    for _ in range(count):
        generator.generate_next_token()
    ended = time.perf_counter()
    if len(generator.get_sequence(0)) != length:
        raise SystemExit(f"{Path(work.model).name}: generation ended early")
    return first - began, ended - first


if __name__ == "__main__":
    main()
