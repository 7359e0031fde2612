"""Which engines a benchmark asks, in which order, and what becomes of those that fail; no model runs here."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

import pytest


class Fake:
    """An engine whose figure is its name's length, or that fails."""

    def __init__(self, name: str, asked: list[str], failure: Exception | None = None) -> None:
        self._name, self._asked, self._failure = name, asked, failure

    def measure(self, job) -> float:
        self._asked.append(self._name)
        if self._failure:
            raise self._failure
        return float(len(self._name))

    def per_token(self, work) -> dict[str, float]:
        return {"weight_bytes": 1.0}

    def about(self) -> dict[str, str]:
        return {}


OPTIONS = Namespace(rounds=3, pause=0.0, model=Path("m.gguf"))


def measured(module, **failures: Exception):
    """A row after three rounds, and who was asked in which order. failures: by engine, spaces as underscores."""
    compare, report, rows = module("compare"), module("report"), module("rows")
    asked: list[str] = []
    engines = {
        name: Fake(name, asked, failures.get(name.replace(" ", "_")))
        for name in ("gemwright", "OpenVINO", "ONNX Runtime")
    }
    row = rows.Row("decode", rows.Work("decode", generate=1), {"llama.cpp": 2.0, "OpenVINO": 2.0, "ONNX Runtime": None})
    one = report.Measured(row, 2)
    for round_number in range(3):
        compare._measure(one, engines, round_number, OPTIONS)
    return one, asked


def test_engines_take_turns_and_the_one_that_begins_changes(module) -> None:
    one, asked = measured(module)
    assert asked == [
        "gemwright", "OpenVINO", "ONNX Runtime", "OpenVINO", "ONNX Runtime", "gemwright", "ONNX Runtime", "gemwright",
        "OpenVINO",
    ]  # fmt: skip
    assert one.samples == {"gemwright": [9.0] * 3, "OpenVINO": [8.0] * 3, "ONNX Runtime": [12.0] * 3}
    assert one.per_token == {"weight_bytes": 1.0}


def test_an_engine_that_failed_is_remembered_with_its_reason_and_not_asked_again(module) -> None:
    failure = module("processes").Failed("there is no model")
    one, asked = measured(module, OpenVINO=failure)
    assert one.failures == {"OpenVINO": "there is no model"}
    assert asked.count("OpenVINO") == 1
    assert asked.count("gemwright") == 3


def test_a_defect_of_the_benchmark_is_not_taken_for_a_failed_engine(module) -> None:
    with pytest.raises(KeyError):
        measured(module, OpenVINO=KeyError("a bug"))


def test_without_peers_gemwright_is_measured_alone(module, capsys) -> None:
    assert set(module("compare").available("")) == {"gemwright", "gemwright, plain"}
    assert "PEERS is not set" in capsys.readouterr().out


def test_peers_may_be_a_folder_of_llama_cpp_programs(module, tmp_path: Path, monkeypatch) -> None:
    compare = module("compare")
    monkeypatch.setattr(compare, "PEERS_HOME", tmp_path / "nothing")
    (tmp_path / "llama-bench").touch()
    assert set(compare.available(str(tmp_path))) == {"gemwright", "gemwright, plain", "llama.cpp"}


def test_peers_may_be_the_folder_that_bench_peers_made(module, tmp_path: Path) -> None:
    (tmp_path / "llama" / "wrapped").mkdir(parents=True)
    (tmp_path / "llama" / "wrapped" / "llama-bench").touch()
    (tmp_path / "openvino").mkdir()
    names = set(module("compare").available(str(tmp_path)))
    assert names == {"gemwright", "gemwright, plain", "llama.cpp", "OpenVINO"}


def test_a_folder_that_is_neither_is_refused(module, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="has neither llama-bench nor"):
        module("compare").available(str(tmp_path))


def test_rows_are_chosen_by_parts_of_their_names(module) -> None:
    rows = module("rows")
    assert [row.name for row in rows.chosen("peak, START")] == ["start to first token", "peak memory"]
    assert rows.chosen("") == list(rows.ROWS)
    with pytest.raises(SystemExit, match="No row is called like 'sideways'"):
        rows.chosen("sideways")


def test_every_row_has_a_name_of_its_own_and_goals_that_ask_for_more_than_equality(module) -> None:
    rows = module("rows").ROWS
    assert len({row.name for row in rows}) == len(rows)
    assert all(goal > 1 for row in rows for goal in row.peers.values() if goal is not None)


def test_llama_cpp_held_to_a_target_it_was_not_built_for_fails_with_a_sentence(module, tmp_path: Path) -> None:
    engines, rows, processes = module("engines"), module("rows"), module("processes")
    (tmp_path / "llama-bench").touch()
    job = engines.Job(rows.Work("prefill", prompt=8), Path("m.gguf"), 2, "avx2")
    with pytest.raises(processes.Failed, match=r"no llama\.cpp built for avx2 alone"):
        engines.LlamaCpp({None: tmp_path}).measure(job)


def test_a_peer_without_its_model_fails_with_a_sentence(module, tmp_path: Path) -> None:
    engines, rows, processes = module("engines"), module("rows"), module("processes")
    job = engines.Job(rows.Work("prefill", prompt=8), Path("m.gguf"), 2, None)
    with pytest.raises(processes.Failed, match="`make bench-peers` makes it"):
        engines.VenvPeer(tmp_path, "openvino_run.py").measure(job)
