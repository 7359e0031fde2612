"""One measurement of OpenVINO GenAI's continuous batching, as JSON. Runs in that peer's own environment.

python openvino_run.py MODEL --threads 2 --prompt 512                 tokens a second of a prompt, first token included
python openvino_run.py MODEL --threads 2 --generate 128 --depth 4096  tokens a second after so many others

One run to warm up, one that counts. Decoding is timed from where every sequence has its first token.
"""

from __future__ import annotations

import time

import numpy as np
import openvino
import openvino_genai
from measuring import Work, report, tokens_of, work_from_arguments


def main() -> None:
    """Measures what the arguments ask for and prints it."""
    work = work_from_arguments()
    schedule = openvino_genai.SchedulerConfig()
    schedule.enable_prefix_caching = False
    schedule.cache_size = 1  # GB
    schedule.max_num_batched_tokens = 512
    schedule.max_num_seqs = max(work.batch, 1)
    pipeline = openvino_genai.ContinuousBatchingPipeline(
        work.model, schedule, "CPU", {"INFERENCE_NUM_THREADS": work.threads}
    )

    report(work, lambda count: _generate(pipeline, work, count), openvino_genai.__version__)


def _generate(pipeline: openvino_genai.ContinuousBatchingPipeline, work: Work, count: int) -> tuple[float, float]:
    """Seconds to the first greedy token of all sequences, and of `count` more; the end of text does not end them."""
    config = openvino_genai.GenerationConfig()
    config.max_new_tokens = count + 1
    config.ignore_eos = True
    config.do_sample = False
    prompts = [openvino.Tensor(np.array([tokens_of(work, i)], np.int64)) for i in range(work.batch)]
    began = time.perf_counter()
    handles = [pipeline.add_request(i, prompt, config) for i, prompt in enumerate(prompts)]
    made = [0] * work.batch
    first = 0.0
    while pipeline.has_non_finished_requests():
        pipeline.step()
        for i, handle in enumerate(handles):
            if handle.can_read():
                made[i] += sum(len(output.generated_ids) for output in handle.read().values())
        if not first and all(made):
            first = time.perf_counter()
            left = work.batch * (count + 1) - sum(made)
    took = time.perf_counter() - first
    if made != [count + 1] * work.batch:
        raise SystemExit(f"{count + 1} tokens were asked for, {made} were made")
    return first - began, took * (work.batch * count / left if left else 1)


if __name__ == "__main__":
    main()
