"""Lines, tables and JSON documents."""

from __future__ import annotations

import json
import math

import pytest

from mobilenet_chest.cli.format import interval_ends, line, metric_lines, metrics_table, print_json
from mobilenet_chest.evaluation.intervals import Interval

METRICS = {"val_auc": 0.95, "train_seconds": 61.25}
INTERVALS = {"val_auc": Interval(0.95, 0.9123, 0.9788)}


def test_a_line_is_printed_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    text = "[bold]x[/bold] " + "long " * 100
    line(text)
    assert capsys.readouterr().out == f"{text}\n"


def test_json_has_null_for_what_is_no_number(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"a": [math.nan, (1.5, -math.inf)], "b": {"c": "nan"}})
    assert json.loads(capsys.readouterr().out) == {"a": [None, [1.5, None]], "b": {"c": "nan"}}


def test_metrics_have_their_intervals(capsys: pytest.CaptureFixture[str]) -> None:
    metric_lines(METRICS, INTERVALS)
    assert [text.split() for text in capsys.readouterr().out.splitlines()] == [
        ["val_auc", "0.9500", "(0.9123–0.9788)"],
        ["train_seconds", "61.2500"],
    ]
    metrics_table("run 1", METRICS, INTERVALS)
    assert "0.95 (0.912–0.979)" in capsys.readouterr().out
    assert interval_ends(INTERVALS) == {"val_auc": [0.9123, 0.9788]}
