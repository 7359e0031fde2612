"""The benchmark's arithmetic and its table; no model runs here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def document(module) -> dict[str, Any]:
    rows, report = module("rows"), module("report")
    decode = report.Measured(
        rows.Row("decode 128", rows.Work("decode", generate=128, batch=2), {"llama.cpp": 1.5, "OpenVINO": 3.0}),
        threads=2,
        samples={"gemwright": [30.0, 10.0, 20.0], "llama.cpp": [10.0, 10.0, 40.0]},
        failures={"OpenVINO": "it was not in the mood"},
        per_token={"weight_bytes": 1e9, "cache_bytes": 1e8, "layer_multiplications": 3e9, "head_multiplications": 1e9},
    )
    start = report.Measured(
        rows.Row("start", rows.Work("start"), {"llama.cpp": 5.0}), 2, {"gemwright": [0.5], "llama.cpp": [2.0]}
    )
    limits = {(2, None): {"read_bytes_per_s": 24e9, "multiplications_per_s": 400e9}}
    engines: dict[str, dict[str, Any]] = {"gemwright": {}, "llama.cpp": {}}
    document: dict[str, Any] = report.as_document([decode, start], engines, "A CPU", 2, limits)
    return document


def test_medians_are_compared_and_above_one_always_means_better(document) -> None:
    decode, start = document["rows"]
    assert decode["medians"] == {"gemwright": 20.0, "llama.cpp": 10.0}
    assert decode["ratios"] == {"llama.cpp": 2.0}
    assert start["ratios"] == {"llama.cpp": 4.0}


def test_goals_are_judged_by_the_ratio(document) -> None:
    assert [row["reached"] for row in document["rows"]] == [{"llama.cpp": True}, {"llama.cpp": False}]


def test_a_batch_reads_the_weights_once_and_each_sequence_its_cache(document) -> None:
    decode, start = document["rows"]
    assert decode["use_of_limits"]["memory"] == pytest.approx(20 * (1e9 / 2 + 1e8) / 24e9)
    assert decode["use_of_limits"]["int8"] == pytest.approx(20 * 4e9 / 400e9)
    assert start["use_of_limits"] == {}


def test_a_prefill_is_judged_by_the_multiplications_of_the_layers(module) -> None:
    rows, report = module("rows"), module("report")
    per_token = {"weight_bytes": 1, "cache_bytes": 1, "layer_multiplications": 1e8, "head_multiplications": 2e8}
    one = report.Measured(rows.Row("p", rows.Work("prefill", prompt=9)), 1, {"gemwright": [1000.0]}, {}, per_token)
    limits = {(1, None): {"read_bytes_per_s": 1e9, "multiplications_per_s": 4e11}}
    [row] = report.as_document([one], {}, "A CPU", 1, limits)["rows"]
    assert row["use_of_limits"] == {"int8": 0.25}


def test_the_table_shows_medians_ratios_goals_and_shares_of_the_limits(module, document) -> None:
    table = module("report").as_table(document)
    decode = next(line for line in table.splitlines() if line.startswith("decode 128"))
    assert " ".join(decode.split()) == "decode 128, tokens/s 20.00 10.00 2.00× ✓ 1.50 failed [1] 50 % 20 %"
    start = next(line for line in table.splitlines() if line.startswith("start"))
    assert " ".join(start.split()) == "start, s 0.50 2.00 4.00× ✗ 5.00"
    assert "2 threads can read 24.0 GB/s and multiply 400 G int8/s" in table


def test_a_peer_that_failed_is_shown_with_its_reason(module, document) -> None:
    assert "[1] decode 128, OpenVINO: it was not in the mood" in module("report").as_table(document)


def test_a_row_of_which_we_have_no_figure_has_no_ratio_and_still_shows_the_peer(module) -> None:
    rows, report = module("rows"), module("report")
    row = rows.Row("copying", rows.Work("copy"), {"llama.cpp": 2.0})
    one = report.Measured(row, 2, {"llama.cpp": [7.0]}, {"gemwright": "no such option"})
    document = report.as_document([one], {}, "A CPU", 2, {})
    assert document["rows"][0]["ratios"] == {}
    assert "copying, tokens/s" in report.as_table(document)
    assert "7.00" in report.as_table(document)
    assert "[1] copying, gemwright: no such option" in report.as_table(document)


def test_the_document_is_written_as_json_and_plotted(module, document, tmp_path: Path) -> None:
    path = module("report").write_json(document, tmp_path)
    assert json.loads(path.read_text()) == json.loads(json.dumps(document))
    picture = module("plot").plot(document, tmp_path / "plot.png")
    assert picture.read_bytes().startswith(b"\x89PNG")
