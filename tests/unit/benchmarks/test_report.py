"""The benchmark's arithmetic and its way of watching a process; no model runs here."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).resolve().parents[3] / "benchmarks"


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))


def _module(name: str) -> ModuleType:
    return importlib.import_module(name)


@pytest.fixture
def document() -> dict:
    samples = {
        "decode 128, tokens/s": {"gemwright": [30.0, 10.0, 20.0], "llama.cpp": [10.0, 10.0, 40.0]},
        "load, s": {"gemwright": [0.5], "llama.cpp": [2.0]},
    }
    limits = {"memory_read_bytes_per_s": 20e9, "bytes_per_token": 250e6}
    return _module("report").as_document(samples, {"gemwright": {}, "llama.cpp": {}}, "A CPU", 2, "m.gguf", limits)


def test_medians_are_compared_and_above_one_always_means_better(document: dict) -> None:
    decode, load = document["metrics"].values()
    assert decode["medians"] == {"gemwright": 20.0, "llama.cpp": 10.0}
    assert decode["ratios"] == {"llama.cpp": 2.0}
    assert load["ratios"] == {"llama.cpp": 4.0}


def test_the_limit_of_decoding_is_bandwidth_over_bytes(document: dict) -> None:
    assert document["limits"]["decode_tokens_per_s"] == 80.0
    assert "at most 80 tokens/s" in _module("report").as_table(document)


def test_the_document_is_written_as_json_and_plotted(document: dict, tmp_path: Path) -> None:
    paths = _module("report").save(document, tmp_path)
    assert [path.suffix for path in paths] == [".json", ".png"]
    assert json.loads(paths[0].read_text()) == document
    assert paths[1].read_bytes().startswith(b"\x89PNG")


def test_a_process_is_watched_to_its_first_output_and_its_end() -> None:
    holds, speaks, waits = "held = bytearray(64 << 20)", "print('x', flush=True)", "time.sleep(0.3)"
    program = f"import sys, time; {holds}; {speaks}; {waits}; sys.stderr.write('late')"
    started = _module("processes").run_to_first_output([sys.executable, "-c", program])
    assert started.exit_s - started.first_output_s >= 0.25
    assert started.peak_rss_mib > 64
    assert started.stdout == b"x\n"
    assert started.stderr == "late"


@pytest.mark.parametrize("program", ["print('x'); raise SystemExit(3)", "pass"])
def test_a_process_that_fails_or_says_nothing_ends_the_benchmark(program: str) -> None:
    with pytest.raises(SystemExit, match="ended with status"):
        _module("processes").run_to_first_output([sys.executable, "-c", program])


def test_a_folder_without_the_peer_s_tools_is_said_and_skipped(tmp_path: Path, capsys) -> None:
    engines = _module("compare")._engines(str(tmp_path), Path("m.gguf"), 2)
    assert [engine.name for engine in engines] == ["gemwright"]
    assert "no llama-bench and no llama-completion" in capsys.readouterr().out


def test_no_peer_is_said_and_skipped(capsys) -> None:
    engines = _module("compare")._engines("", Path("m.gguf"), 2)
    assert [engine.name for engine in engines] == ["gemwright"]
    assert "PEERS is not set" in capsys.readouterr().out
