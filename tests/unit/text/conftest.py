from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from gemwright.embedded import default_model
from gemwright.settings import load_settings
from gemwright.text.tokenizer import Tokenizer
from gemwright.weights import Checkpoint, open_checkpoint
from unit.text.toy import Toy

DATA = Path(__file__).parent / "data"


@pytest.fixture(scope="session")
def toy() -> Toy:
    return Toy.of()


@pytest.fixture(scope="session")
def tokenizer(toy: Toy) -> Tokenizer:
    return Tokenizer.from_pieces(toy.pieces())


@pytest.fixture(scope="session")
def real_checkpoint() -> Checkpoint:
    return open_checkpoint(default_model(load_settings().cache_dir, print))


@pytest.fixture(scope="session")
def real(real_checkpoint: Checkpoint) -> Tokenizer:
    return Tokenizer.from_gguf(real_checkpoint)


@pytest.fixture(scope="session")
def goldens() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(gzip.decompress((DATA / "tokenizer_goldens.json.gz").read_bytes()))
    return content


@pytest.fixture(scope="session")
def chat_goldens() -> list[dict[str, Any]]:
    cases: list[dict[str, Any]] = json.loads(gzip.decompress((DATA / "chat_goldens.json.gz").read_bytes()))["cases"]
    return cases


@pytest.fixture(scope="session")
def template_goldens() -> list[dict[str, Any]]:
    content = json.loads(gzip.decompress((DATA / "template_goldens.json.gz").read_bytes()))
    cases: list[dict[str, Any]] = content["cases"]
    return cases
