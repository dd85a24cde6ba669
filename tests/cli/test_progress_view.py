"""What live views show at the widths that terminals have."""

from __future__ import annotations

import dataclasses
import io

import pytest
from rich.console import Console, RenderableType

from mobilenet_chest.cli.progress_view import BLOCKS, epoch_line, sparkline, sweep_view, training_view
from mobilenet_chest.sweep import RunningTrial, SweepStatus, TrialSummary
from mobilenet_chest.training.epochs import Epochs

VALUES = tuple(0.6 + 0.3 * n / 47 for n in range(47))
EPOCHS = Epochs(47, 150, 2, "val_auc", VALUES, max(VALUES), 0.3121, 312.4, (30, 120), {1: 0.4, 2: 5.0})
PARAMS = {"stage2.lr": 0.00123, "model.dropout": 0.431, "loss.name": "focal"}
RUNNING = [
    RunningTrial(5, "RUNNING", None, None, PARAMS, epochs=EPOCHS, seconds_left=515.0),
    RunningTrial(7, "RUNNING", None, None, PARAMS, attempt=2, attempt_of=0, epochs=EPOCHS, seconds_left=633.0),
    RunningTrial(8, "RUNNING", None, None, PARAMS),
]
ENDED = [TrialSummary(number, "COMPLETE", 0.9 + number / 100, "a" * 32, PARAMS) for number in range(1, 5)]
STATUS = SweepStatus(20, {"COMPLETE": 3, "PRUNED": 1, "FAIL": 1}, ENDED[3], RUNNING, 1234.0, 5000.0, False, ENDED)


def text(view: RenderableType, width: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width, force_terminal=False, color_system=None)
    console.print(view)
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert all(len(line) <= width for line in lines)
    return [line.rstrip() for line in lines]


@pytest.mark.parametrize("width", [60, 80, 100, 120, 160, 250])
def test_each_trial_is_a_line_of_the_width_that_there_is(width: int) -> None:
    lines = text(sweep_view(STATUS, "lr", "val_auc", width, 40), width)
    assert lines[0].startswith("study lr: 5/20 trials done, 3 running")
    assert lines[1].startswith("best val_auc 0.9400 (trial 4); 20.6 min so far")
    headings = next(line for line in lines if line.startswith("trial "))
    (row,) = [line.split() for line in lines if line.startswith("5 ")]
    assert row[1] == "47/150"
    assert {"0.8936", "8.6"} < set(row)  # the metric, and the minutes left
    if width >= 80:
        assert headings.split()[:8] == ["trial", "epoch", "stage", "loss", "val_auc", "best", "images/s", "left"]
    drawn = next(word for word in row if set(word) <= set(BLOCKS))
    assert 6 <= len(drawn) <= 40
    assert (drawn[0], drawn[-1]) == (BLOCKS[0], BLOCKS[-1])
    assert any(line.startswith("0, second") for line in lines)
    assert any(line.split()[:2] == ["8", "starting"] for line in lines)
    assert [line.split()[0] for line in lines[-4:]] == ["4", "3", "2", "1"]
    assert lines[-4].split()[1:4] == ["complete", "0.9400", "best"]
    assert ("stage2.lr 0.00123" in " ".join(lines[:7])) == (width >= 120)


def test_the_trend_of_all_values_is_drawn_not_the_end_alone() -> None:
    assert sparkline(range(100), 8) == BLOCKS
    assert sparkline([3.0, 1.0, 2.0], 8) == "█▁▅"
    assert sparkline([1.0, 1.0], 8) == "▁▁"
    assert sparkline([], 8) == sparkline([1.0], 0) == ""
    assert sparkline([0.0, 1.0], 8, ascii_only=True).isascii()


def test_a_terminal_without_unicode(capsys: pytest.CaptureFixture[str]) -> None:
    assert all(line.isascii() for line in text(sweep_view(STATUS, "lr", "val_auc", 100, 40, ascii_only=True), 100))


def test_a_low_terminal_counts_what_it_cannot_show() -> None:
    lines = text(sweep_view(STATUS, "lr", "val_auc", 100, 10), 100)
    assert lines[-1].split() == ["1", "earlier"]
    assert [line.split()[0] for line in lines[-4:-1]] == ["4", "3", "2"]


def test_before_anything_has_ended() -> None:
    status = SweepStatus(20, {}, None, RUNNING[2:], 1.0, None)
    lines = text(sweep_view(status, "lr", "val_auc", 80, 24), 80)
    assert lines[1] == "best none yet; 1 s so far, unknown time left"
    assert "ended" not in " ".join(lines)


@pytest.mark.parametrize("ascii_only", [False, True])
@pytest.mark.parametrize("name", ["hospital-" * 22, "医院" * 50])
def test_a_long_name_leaves_room_for_the_counts(name: str, ascii_only: bool) -> None:
    for width in (80, 120):
        first = text(sweep_view(STATUS, name, "val_auc", width, 40, ascii_only), width)[0]
        assert first.startswith(f"study {name[:4]}")
        sign = "..." if ascii_only else "…"
        assert first.endswith(f"{sign}: 5/20 trials done, 3 running, 1 pruned, 1 failed")


def test_a_failed_trial_says_why() -> None:
    failed = TrialSummary(9, "FAIL", None, None, PARAMS, reason="TrainingDiverged: epoch 3")
    lines = text(sweep_view(dataclasses.replace(STATUS, ended=[failed]), "lr", "val_auc", 80, 24), 80)
    assert lines[-1].split() == ["9", "fail", "TrainingDiverged:", "epoch", "3"]


def test_a_paused_trial_is_shown_as_paused_and_not_as_done() -> None:
    paused = TrialSummary(9, "PAUSED", 0.8, None, PARAMS)
    status = dataclasses.replace(STATUS, states={"COMPLETE": 3, "PAUSED": 2}, ended=[paused])
    lines = text(sweep_view(status, "lr", "val_auc", 80, 24), 80)
    assert lines[0] == "study lr: 3/20 trials done, 3 running, 2 paused, 0 pruned, 0 failed"
    assert lines[-1].split()[:3] == ["9", "paused", "0.8000"]


def test_a_confirmation_has_trainings_and_no_best() -> None:
    repeated = RunningTrial(4, "RUNNING", None, None, PARAMS, epochs=EPOCHS, seed=77)
    status = SweepStatus(6, {"COMPLETE": 2}, None, [repeated], 10.0, 20.0, confirming=True)
    lines = text(sweep_view(status, "lr", "val_auc", 100, 24), 100)
    assert lines[0] == "study lr: confirmation: 2/6 trainings done, 1 running, 0 failed"
    assert lines[1] == "10 s so far, 20 s left"
    assert lines[-1].startswith("4, seed 77")


def test_names_and_values_are_shown_as_they_are() -> None:
    odd = dataclasses.replace(RUNNING[0], params={"model.name": "[red]x[/red]"})
    lines = text(sweep_view(dataclasses.replace(STATUS, running=[odd]), "[b]", "val_auc", 160, 24), 160)
    assert lines[0].startswith("study [b]: ")
    assert "[red]x[/red]" in " ".join(lines)


@pytest.mark.parametrize("width", [60, 80, 160])
def test_a_training_is_one_line(width: int) -> None:
    headings, line = text(training_view(EPOCHS, width), width)
    assert headings.split()[0] == "epoch"
    assert line.split()[0] == "47/150"
    assert BLOCKS[-1] in line
    assert ("312" in line.split()) == (width >= 80)


def test_a_fold_is_named() -> None:
    folded = dataclasses.replace(EPOCHS, fold=1, folds=5)
    assert text(training_view(folded, 100), 100)[1].split()[:3] == ["fold", "2/5", "47/150"]


def test_an_epoch_in_a_line() -> None:
    assert epoch_line(EPOCHS, 515.0) == (
        "epoch 47/150  stage 2  train_loss 0.3121  val_auc 0.8936  best 0.8936  312 images/s  8.6 min left"
    )
    assert epoch_line(dataclasses.replace(EPOCHS, done=0, loss=None), None) == "epoch 0/150"
