"""``points``: its three tables."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.commands import assert_one_line

from mobilenet_chest.cli.points import print_points
from mobilenet_chest.evaluation.intervals import Interval
from mobilenet_chest.selection.operating_points import OperatingPoints, TargetPoint, ThresholdMetrics

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


def test_a_run_that_is_not_there(tracking: Path) -> None:
    assert_one_line("points", "none", wants="none")
