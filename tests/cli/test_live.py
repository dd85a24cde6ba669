"""Live views, and the package's log beside them."""

from __future__ import annotations

import io
import logging
import re
import sys

import pytest
from rich.console import Console

from mobilenet_chest import logs
from mobilenet_chest.cli import live
from mobilenet_chest.cli.live import live_sweep, live_training
from mobilenet_chest.config import Config, parse
from mobilenet_chest.sweep import SweepStatus, TrialSummary

CONTROL = re.compile(r"\x1b\[[?\d;]*[A-Za-z]|\r")
"""What moves and hides a terminal's cursor."""

TRIAL = TrialSummary(1, "COMPLETE", 0.9, "a" * 32, {"stage2.lr": 1e-3})


@pytest.fixture
def config() -> Config:
    return parse({"name": "lr", "search": {"stage2.lr": {"low": 1e-4, "high": 1e-2}}, "study": {"trials": 3}})


def status(complete: int, seconds: float) -> SweepStatus:
    return SweepStatus(3, {"COMPLETE": complete}, TRIAL, [TRIAL], seconds, 30.0)


def test_an_epoch_is_a_line_on_stderr(config: Config, capsys: pytest.CaptureFixture[str]) -> None:
    names = ("stage", "train_loss", "val_loss", "val_accuracy", "val_auc", "images_per_second")
    with live_training(config) as on_epoch:
        on_epoch(2, dict.fromkeys(names, 1.0))  # type: ignore[arg-type]
    captured = capsys.readouterr()
    total = config.stage1.epochs + config.stage2.epochs
    assert captured.out == ""
    assert captured.err.startswith(f"epoch 2/{total} stage 1  train_loss 1.0000  ")


def test_without_a_terminal_only_changes_are_printed(config: Config, capsys: pytest.CaptureFixture[str]) -> None:
    with live_sweep(config, quiet=False) as report:
        for state in (status(1, 10), status(1, 20), status(2, 30)):
            report(state)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert [text.partition(" ")[0] for text in captured.err.splitlines()] == ["1/3", "2/3"]
    assert "10 s so far, 30 s left" in captured.err


def test_the_log_is_printed_above_the_live_table(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = io.StringIO()
    console = Console(file=terminal, force_terminal=True, width=100, legacy_windows=False)
    monkeypatch.setattr(live, "err", console)
    monkeypatch.setattr(sys, "stderr", terminal)
    logs.show()
    with live_sweep(config, quiet=False) as report:
        report(status(1, 10))
        logging.getLogger("mobilenet_chest.sweep").info("trial 7 is queued again")
        report(status(2, 20))
    written = terminal.getvalue()
    (line,) = [text for text in written.splitlines() if "trial 7" in text]
    assert CONTROL.sub("", line) == "trial 7 is queued again"  # once, on a line of its own
    assert sys.stderr is terminal
