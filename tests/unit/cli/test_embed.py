"""`gemwright embed`, with a small random EmbeddingGemma in the place of a real one."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gemwright
from gemwright.cli.app import run_program
from support.small_embedding import small_embedding
from unit.cli.conftest import FakeModel, Ran


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_embedding(tmp_path_factory.mktemp("small"))


@pytest.fixture
def embed(path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """`embed("a text", "--json", stdin=b"…")`: the command's end."""

    def runner(*arguments: str, stdin: bytes = b"") -> Ran:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8"))
        status = run_program(["embed", "--model", str(path), *arguments])
        return Ran(status, *capsys.readouterr())

    return runner


def vectors(ran: Ran) -> np.ndarray[Any, Any]:
    return np.array([json.loads(line)["embedding"] for line in ran.out.splitlines()], np.float32)


def test_json_has_a_line_for_each_text_with_its_whole_vector(embed: Callable[..., Ran], path: Path) -> None:
    ran = embed("able", "the table", "--json")
    assert ran.status == 0, ran.err
    model = gemwright.load(path)
    np.testing.assert_array_equal(vectors(ran), model.embed(["able", "the table"]))
    first = json.loads(ran.out.splitlines()[0])
    assert (first["index"], first["tokens"], first["cut_from"]) == (0, len(model.encode("able")), None)


def test_options_mean_what_they_mean_in_python(embed: Callable[..., Ran], path: Path) -> None:
    ran = embed("--task", "document", "--title", "ab", "-d", "128", "--json", "able")
    expected = gemwright.load(path).embed(["able"], task="document", title="ab", dimensions=128)
    np.testing.assert_array_equal(vectors(ran), expected)
    np.testing.assert_array_equal(
        vectors(embed("--prompt", "le ", "--json", "able")), vectors(embed("--json", "le able"))
    )


def test_lines_of_standard_input_are_texts(embed: Callable[..., Ran]) -> None:
    piped = embed("--json", stdin=b"able\n\nt\xff\n")
    assert len(piped.out.splitlines()) == 3
    np.testing.assert_array_equal(vectors(piped)[:2], vectors(embed("--json", "able", "")))


def test_people_see_the_beginning_of_each_vector(embed: Callable[..., Ran]) -> None:
    lines = embed("able", "a\x1b[2J" + "a" * 60).out.splitlines()
    assert lines[0] == "Vectors of 160 values"
    assert lines[1].split() == ["text", "tokens", "values"]
    assert lines[2].startswith("able ")
    assert lines[2].endswith("…")
    assert "\x1b" not in lines[3]
    assert "\\x1b" in lines[3]


def test_no_text_at_all_is_a_usage_error(embed: Callable[..., Ran]) -> None:
    ran = embed()
    assert ran.status == 2
    assert "Standard input is empty" in ran.err


def test_too_long_a_text_is_refused_unless_it_may_be_cut(embed: Callable[..., Ran]) -> None:
    refused = embed("b" * 600, "--json")
    assert refused.status == 4
    assert json.loads(refused.out)["error"]["code"] == "context_overflow"
    cut = embed("able", "b" * 600, "--json", "--truncate")
    assert cut.status == 0
    assert "Text 1 was cut from 602 to 512 tokens." in cut.err
    assert json.loads(cut.out.splitlines()[1])["cut_from"] == 602


def test_a_model_that_continues_texts_is_refused(run: Callable[..., Ran], model: FakeModel) -> None:
    ran = run("embed", "able")
    assert ran.status == 2
    assert "makes no vectors" in ran.err
    assert model.loaded_with["name"] is None


@pytest.mark.parametrize(
    "command", ["run --model MODEL able", "bench MODEL", "perplexity MODEL MODEL/config.json -c 16"]
)
def test_a_model_that_makes_vectors_continues_nothing(
    path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    assert run_program(command.replace("MODEL", str(path)).split()) == 2
    assert "continues none" in capsys.readouterr().err
