"""``evaluate``: what it prints, and options that do not fit together."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from helpers.commands import assert_one_line, assert_refused

from mobilenet_chest.cli.evaluate import print_evaluation
from mobilenet_chest.evaluation.groups import GroupMetrics
from mobilenet_chest.evaluation.intervals import Interval
from mobilenet_chest.selection.evaluate import Evaluation

EVALUATION = Evaluation(
    "a" * 32, "val", 34, {"val_auc": 0.95, "threshold": 0.5}, 0, intervals={"val_auc": Interval(0.95, 0.9, 0.99)}
)
ACCURACY = Interval(0.8, 0.7, 0.9)
GROUPS = [
    GroupMetrics("", "", 34, 12, 20, {"accuracy": ACCURACY}, ""),
    GroupMetrics("view", "AP", 4, 1, 3, {}, "1 image of class 1"),
]


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("│").split("│")]


def test_metrics_with_their_intervals(capsys: pytest.CaptureFixture[str]) -> None:
    print_evaluation(EVALUATION, None, as_json=False)
    heading, *lines = capsys.readouterr().out.splitlines()
    assert heading.startswith(f"run {'a' * 8}, val: 34 images; ")
    assert [line.split() for line in lines] == [["val_auc", "0.9500", "(0.9000–0.9900)"], ["threshold", "0.5000"]]


def test_groups_have_a_row_each(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    print_evaluation(replace(EVALUATION, groups=GROUPS), None, as_json=False)
    rows = [cells(line) for line in capsys.readouterr().out.splitlines() if line.startswith("│")]
    assert rows == [
        ["", "34", "20", "12", "", "", "0.800 (0.700–0.900)", "", ""],
        ["view AP", "4", "3", "1", "1 image of class 1", "", "", "", ""],
    ]


def test_json_has_the_ends_of_intervals(capsys: pytest.CaptureFixture[str]) -> None:
    print_evaluation(EVALUATION, None, as_json=True)
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert document["intervals"] == {"val_auc": [0.9, 0.99]}
    assert document["metrics"] == {"val_auc": 0.95, "threshold": 0.5}
    assert "points" not in document


@pytest.mark.parametrize(
    ("options", "names"),
    [
        (["--groups", " , "], "--groups ' , '"),
        (["--again"], "--again"),
        (["--prevalence", "2"], "2"),
    ],
)
def test_options_that_do_not_fit(folder: Path, options: list[str], names: str) -> None:
    assert_refused(folder, "evaluate", "none", "--split", "val", *options, wants=names)


def test_a_run_that_is_not_there(tracking: Path) -> None:
    assert_one_line("evaluate", "none", "--split", "val", wants="none")
