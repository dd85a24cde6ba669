"""``benchmark``: its arguments, what it prints, and its exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from helpers.commands import assert_one_line, run

from mobilenet_chest.cli import benchmark as module
from mobilenet_chest.deploy.benchmark.benchmark import Benchmark, Row
from mobilenet_chest.deploy.benchmark.rounds import Speed, Spread
from mobilenet_chest.evaluation.paired import PairedComparison

FAST = Speed(5.0, 6.0, 7.0, Spread(2.0, 1.9, 2.1), Spread(300.0, 290.0, 310.0), 8, Spread(0.4, 0.3, 0.5), 90_000_000,
             Spread(12.0, 11.0, 13.0))  # fmt: skip
SLOW = Speed(10.0, 12.0, 14.0, Spread(1, 1, 1), Spread(100.0, 99.0, 101.0), 1, Spread(3, 3, 3), 400_000_000, None)
DIFFERENCE = PairedComparison(-0.001, -0.004, 0.002, 0.5, 0.5, "not inferior", True, 0.01)
ROWS = [
    Row("chest/3", "torch", "ab" * 16, 6_000_000, SLOW, {}, None, None, ""),
    Row("chest/3", "onnx", "ab" * 16, 5_500_000, FAST,
        {"val_auc": DIFFERENCE, "val_accuracy_crossfit": DIFFERENCE}, 2, True, ""),
    Row("other.onnx", "onnx", None, 5_500_000, FAST, {}, None, None, "the run that it is of is not here"),
]  # fmt: skip


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[object, ...]]:
    given: list[tuple[object, ...]] = []

    def measured(*arguments: object) -> Benchmark:
        given.append(arguments)
        return Benchmark(ROWS, 1, 5, 0.01, "a processor", (0.5, 0.7), "cd" * 16)

    monkeypatch.setattr(module, "run_benchmark", measured)
    return given


def test_tables_in_80_columns(folder: Path, calls: list[tuple[object, ...]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    result = run("benchmark", "chest", "other.onnx", "--format", "torch", "--format", "onnx", "--threads", "1")
    assert result.exit_code == 0
    assert calls == [(["chest", "other.onnx"], ["torch", "onnx"], 1, None, 5, 0.01)]
    tables = [line for line in result.stdout.splitlines() if line[:1] in "│┃┏└├┡"]
    assert max(map(len, tables)) <= 80
    for text in ("2.00 (1.90–2.10)", "300, 8 at once", "12.0 (11.0–13.0)",
                 "chest/3, onnx: not inferior within 0.01; labels changed: 2",
                 "−0.001 (−0.004 to +0.002)",
                 "other.onnx, onnx: not compared, the run", "logged as run cdcdcdcd", "load 0.5 before"):  # fmt: skip
        assert text in result.stdout


def test_one_json_document(folder: Path, calls: list[tuple[object, ...]]) -> None:
    result = run("benchmark", "chest", "--json")
    assert calls == [(["chest"], ["onnx"], None, None, 5, 0.01)]
    document = json.loads(result.stdout)
    assert document["rows"][1]["speed"]["times_faster"] == {"median": 2.0, "low": 1.9, "high": 2.1}
    assert document["rows"][0]["speed"]["millijoules"] is None
    assert document["rows"][1]["not_inferior"] is True
    assert document["run_id"] == "cd" * 16


def test_wrong_numbers(folder: Path) -> None:
    assert_one_line("benchmark", "chest", "--rounds", "0", wants="--rounds 0: give 1 or more")
    assert_one_line("benchmark", "chest", "--format", "tflite", wants="allowed: onnx, torch")
