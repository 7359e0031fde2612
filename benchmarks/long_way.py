"""Tokens a second of a prompt when every layer computes every token, as JSON.

python benchmarks/long_way.py MODEL THREADS TOKENS

In Gemma 3n and Gemma 4's E sizes the upper layers have no keys and values of their own, so a prompt need not pass
through them but for its last token. Here it does, to see what that saves; the result is the same bit for bit
(tests/conformance).
"""

from __future__ import annotations

import argparse
import json

import gemwright
from gemwright.cli.passage import PASSAGE
from gemwright.cli.throughput import Workload, measure
from gemwright.models.gemma3n import Gemma3n
from gemwright.models.gemma4 import Gemma4


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("threads", type=int)
    parser.add_argument("tokens", type=int)
    asked = parser.parse_args()
    model = gemwright.load(asked.model, threads=asked.threads)
    network = model.network
    if not isinstance(network, (Gemma3n, Gemma4)):
        raise SystemExit("This model has no shortcut.")
    network.shortcut = False
    rates = measure(network, Workload(asked.tokens, 0, 0, 1, 1), model.encode(PASSAGE))
    print(json.dumps({"tokens_per_s": rates["prefill"][0]}))


if __name__ == "__main__":
    main()
