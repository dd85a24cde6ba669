"""``points``: its three tables."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.commands import assert_one_line, assert_refused

from mobilenet_chest.cli.points import print_points
from mobilenet_chest.evaluation.conformal import ConformalResult, ConformalRule
from mobilenet_chest.evaluation.intervals import Interval
from mobilenet_chest.selection.operating_points import Abstention, OperatingPoints, TargetPoint, ThresholdMetrics

SCORES = {"ece": 0.0154, "ece_bias": 0.0133, "brier": 0.08, "log_loss": 0.3}
SHARE = Interval(0.9, 0.85, 0.95)
POINTS = OperatingPoints(
    "a" * 32,
    "val",
    34,
    1.25,
    SCORES,
    SCORES | {"ece": 0.011},
    {f"{name}{suffix}": Interval(SCORES[name], 0, 1) for name in ("ece", "brier", "log_loss")
     for suffix in ("", "_calibrated")},
    [TargetPoint("specificity", 0.95, 0.75, SHARE)],
    [ThresholdMetrics(0.5, 0.35, SHARE, SHARE, SHARE, SHARE, SHARE)],
)  # fmt: skip


def test_three_tables(capsys: pytest.CaptureFixture[str]) -> None:
    print_points(POINTS)
    heading, *lines = capsys.readouterr().out.splitlines()
    assert heading == f"run {'a' * 8}, val: 34 images; temperature 1.250"
    rows = [[cell.strip() for cell in line.strip("│").split("│")] for line in lines if line.startswith("│")]
    assert rows == [
        ["ECE", "0.015 (0.000–1.000)", "0.015 (0.000–1.000)"],
        ["ECE if calibrated", "0.013", "0.013"],
        ["Brier", "0.080 (0.000–1.000)", "0.080 (0.000–1.000)"],
        ["log-loss", "0.300 (0.000–1.000)", "0.300 (0.000–1.000)"],
        ["specificity 0.95", "0.7500", "sensitivity 0.900 (0.850–0.950)"],
        ["threshold", "0.5000"],
        *([name, "0.900 (0.850–0.950)"] for name in ("sensitivity", "specificity", "accuracy", "PPV", "NPV")),
    ]
    headings = [[cell.strip() for cell in line.strip("┃").split("┃")] for line in lines if line.startswith("┃")]
    assert headings[0] == ["probabilities", "as trained", "calibrated, cross-fitted"]
    assert headings[2] == ["prevalence", "0.3500"]


def test_a_share_of_no_images_is_undefined(capsys: pytest.CaptureFixture[str]) -> None:
    """One image of each class: the NPV has no value where none is called negative."""
    nothing = Interval(math.nan, math.nan, math.nan)
    print_points(replace(POINTS, figures=[replace(POINTS.figures[0], npv=nothing)]))
    text = capsys.readouterr().out
    assert "nan" not in text
    assert ["NPV", "undefined"] in [[cell.strip() for cell in line.strip("│").split("│")] for line in text.splitlines()]


def test_answers_with_a_promise(capsys: pytest.CaptureFixture[str]) -> None:
    result = ConformalResult(0.1, (SHARE, Interval(0.8, 0.7, 0.85)), SHARE, SHARE, SHARE, SHARE)
    rule = ConformalRule(0.1, 0.75, -math.inf)
    found = Abstention(rule, (97, 5), ((0.84, 0.96), (1.0, 1.0)), result, 0.0456, {"0.5": 0.01, "1": 0.1})
    print_points(replace(POINTS, abstention=found))
    *_, zero, one, _, shares, risk = capsys.readouterr().out.splitlines()
    cells = [[cell.strip() for cell in row.strip("│").split("│")] for row in (zero, one)]
    assert cells == [
        ["0", "probability ≤ 0.7500", "0.900 (0.840–0.960)", "0.900 (0.850–0.950)"],
        ["1", "always: too few images", "0.900 (1.000–1.000)", "0.800 (0.700–0.850), broken"],
    ]
    assert shares.count("0.900 (0.850–0.950)") == 4
    assert "50%: 0.010, 100%: 0.100; mean 0.046" in risk


def test_a_wrong_error_rate(folder: Path) -> None:
    assert_refused(folder, "points", "none", "--error-rate", "0.5", wants="--error-rate 0.5")


def test_a_run_that_is_not_there(tracking: Path) -> None:
    assert_one_line("points", "none", wants="none")
