"""Lines, tables and JSON documents."""

from __future__ import annotations

import json
import logging
import math
from pathlib import Path

import pytest

from mobilenet_chest import logs
from mobilenet_chest.cli.format import error_line, interval_ends, line, metric_lines, metrics_table, print_json
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
    assert "0.9500 (0.912–0.979)" in capsys.readouterr().out
    assert interval_ends(INTERVALS) == {"val_auc": [0.9123, 0.9788]}


def test_a_line_on_stderr_is_in_the_log_s_file_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(logs.FILE_VARIABLE, str(tmp_path / "all.log"))
    logging.getLogger(logs.LOGGER).handlers = []
    logs.show(logging.WARNING)
    error_line("kept: 2 of 3 trials finished", logging.WARNING)
    assert capsys.readouterr().err == "kept: 2 of 3 trials finished\n"  # once
    (written,) = (tmp_path / "all.log").read_text().splitlines()
    assert " WARNING " in written
    assert written.endswith("]: kept: 2 of 3 trials finished")
    for handler in logging.getLogger(logs.LOGGER).handlers:
        handler.close()
