"""Live views, and the package's log beside them."""

from __future__ import annotations

import dataclasses
import io
import logging
import re
import sys
from pathlib import Path

import pytest
from rich.console import Console

import mobilenet_chest
from mobilenet_chest import logs
from mobilenet_chest.cli import live
from mobilenet_chest.cli.live import announce, live_sweep, live_training
from mobilenet_chest.config import Config, parse
from mobilenet_chest.sweep import RunningTrial, SweepStatus, TrialSummary
from mobilenet_chest.training.epochs import Epochs

CONTROL = re.compile(r"\x1b\[[?\d;]*[A-Za-z]|\r")
"""What moves and hides a terminal's cursor."""

TRIAL = TrialSummary(1, "COMPLETE", 0.9, "a" * 32, {"stage2.lr": 1e-3})
RUNNING = RunningTrial(1, "RUNNING", 0.9, None, {"stage2.lr": 1e-3})


@pytest.fixture
def config() -> Config:
    fields = {"name": "lr", "study": {"trials": 3}, "evaluation": {"metric": "val_auc"}}
    return parse(fields | {"search": {"stage2.lr": {"low": 1e-4, "high": 1e-2}}})


def status(complete: int, seconds: float) -> SweepStatus:
    return SweepStatus(3, {"COMPLETE": complete}, TRIAL, [RUNNING], seconds, 30.0)


def training(done: int, seconds: float) -> SweepStatus:
    """One trial is trained, and nothing else happens."""
    epochs = Epochs(done, 20, 2, "val_auc", (0.8,), 0.9, 0.25, 310.0, (5, 15), {2: 2.0})
    running = dataclasses.replace(RUNNING, epochs=epochs, seconds_left=60.0)
    return dataclasses.replace(status(1, seconds), running=[running])


def record(stage: int = 1) -> dict[str, float]:
    names = ("train_loss", "val_loss", "val_accuracy", "val_auc", "images_per_second", "epoch_seconds")
    return dict.fromkeys(names, 1.0) | {"stage": float(stage)}


def test_an_epoch_is_a_line_on_stderr(config: Config, capsys: pytest.CaptureFixture[str]) -> None:
    with live_training(config) as on_epoch:
        on_epoch(2, record())
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


def test_epochs_are_a_line_every_ten_seconds_at_most_and_the_last_one(
    config: Config, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([0.0, 0.0, 4.0, 9.9, 10.0, 10.0, 11.0, 11.0])
    monkeypatch.setattr(live.time, "monotonic", lambda: next(clock))
    total = config.stage1.epochs + config.stage2.epochs
    with live_training(config) as on_epoch:
        for epoch in (1, 2, 3, 4, total):
            on_epoch(epoch, record())
    printed = [line.split("/")[0] for line in capsys.readouterr().err.splitlines()]
    assert printed == ["epoch 1", "epoch 4", f"epoch {total}"]


def test_epochs_of_trials_are_lines_every_ten_seconds_at_most(
    config: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    with live_sweep(config, quiet=False) as report:
        for done, seconds in ((1, 0), (2, 1), (5, 9.5), (6, 10), (6, 20.5), (7, 21)):
            report(training(done, seconds))
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("trial 1: ")]
    assert [line.split("  ")[0] for line in lines] == [
        "trial 1: epoch 1/20",
        "trial 1: epoch 6/20",
        "trial 1: epoch 7/20",
    ]
    assert all(line.endswith("val_auc 0.8000  best 0.9000  310 images/s  60 s left") for line in lines)


@pytest.mark.parametrize("chooses", ["val_auc", "val_accuracy"])
def test_two_metrics_are_said_once_at_the_start(chooses: str, capsys: pytest.CaptureFixture[str]) -> None:
    search = {"stage2.lr": {"low": 1e-4, "high": 1e-2}}
    config = parse({"name": "x", "search": search, "evaluation": {"metric": chooses}})
    with live_sweep(config, quiet=False) as report:
        assert capsys.readouterr().err == ""  # a refusal is one line
        report(status(1, 1))
        report(status(2, 2))
    notes = [line for line in capsys.readouterr().err.splitlines() if line.startswith("note: ")]
    assert len(notes) == (chooses != "val_auc")


def test_the_first_line_is_for_terminals(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    announce(Path("a.yaml"))
    assert capsys.readouterr().err == ""
    terminal = io.StringIO()
    monkeypatch.setattr(live, "err", Console(file=terminal, force_terminal=True, width=100, highlight=False))
    announce(Path("a.yaml"))
    assert terminal.getvalue() == f"mobilenet-chest {mobilenet_chest.__version__}: reading a.yaml\n"


def test_a_training_in_a_terminal_is_one_line_that_changes(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = io.StringIO()
    console = Console(file=terminal, force_terminal=True, width=100, legacy_windows=False)
    monkeypatch.setattr(live, "err", console)
    with live_training(config, history=[record(), record()]) as on_epoch:
        on_epoch(3, record(2))
    last = CONTROL.sub("", terminal.getvalue()).splitlines()[-1]
    assert last.split()[:2] == [f"3/{1 + config.stage2.epochs + 1}", "2"]


def test_a_sweep_s_view_ends_with_an_empty_line_for_the_sign_of_ctrl_c(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind a line of the terminal's width it would begin another line, and one of the view would stay for good."""
    terminal = io.StringIO()
    monkeypatch.setattr(live, "err", Console(file=terminal, force_terminal=True, width=80, legacy_windows=False))
    with live_sweep(config, quiet=False) as report:
        report(training(3, 10))
    drawn, _, erased = terminal.getvalue().rpartition("\x1b[?25h")
    trial, last = CONTROL.sub("", drawn).splitlines()[-2:]
    assert trial.startswith("1 ")
    assert last == ""
    assert erased.count("\x1b[2K") == 6  # two lines of summary, an empty one, a heading, the trial, the last one


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
