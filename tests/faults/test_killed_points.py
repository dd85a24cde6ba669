"""A sweep that is killed at one point of its work, and a repair between two of its steps."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers.sweeps import assert_every_run_is_whole, trials
from optuna.trial import TrialState

from mobilenet_chest import two_stage
from mobilenet_chest.config import Config
from mobilenet_chest.sweep import claims, run_sweep
from mobilenet_chest.sweep.claims import counts
from mobilenet_chest.sweep.repair import repair
from mobilenet_chest.tracking import artifact_writer
from mobilenet_chest.tracking.tracker import MlflowTracker
from mobilenet_chest.training import checkpoint, loop

EPOCHS = 5

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.name != "posix", reason="POSIX signals")]

RANGE = {"stage2.lr": {"low": 1e-4, "high": 1e-2, "log": True}}
FIVE = {
    "model": {"name": "timm:mobilenetv2_050", "weights": "none", "hidden": [8]},
    "stage1": {"epochs": 2},
    "stage2": {"epochs": EPOCHS - 2, "patience": None},
}


def die(*_: object, **__: object) -> Any:
    os.kill(os.getpid(), signal.SIGKILL)


def killed_in(act: Callable[[], object]) -> None:
    """Do something in a process that is killed in the midst of it."""
    process = multiprocessing.get_context("fork").Process(target=act)
    process.start()
    process.join(timeout=120)
    assert process.exitcode == -signal.SIGKILL


def at_call(number: int, real: Callable[..., Any]) -> Callable[..., Any]:
    """As ``real``, but killed at that call."""
    calls = itertools.count(1)
    return lambda *given, **named: die() if next(calls) == number else real(*given, **named)


def dying_at_call(number: int, write: Callable[..., Any]) -> Callable[..., Any]:
    """As ``write``, but killed in that call, when the contents are written and the file has not its name yet."""
    calls = itertools.count(1)

    def cut_short(*given: Any) -> Any:
        if next(calls) == number:
            os.fsync = die  # of a process that ends there
        return write(*given)

    return cut_short


@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
@pytest.mark.parametrize(
    ("point", "epochs"),
    # of two trials of two frozen epochs, which they share, and three others: eight
    [("after the ask", 8), ("in an epoch", 6), ("in a checkpoint", 6), ("in its copying", 6), ("at its end", 3)],
)
def test_killed_at(
    here: Path, tiny_search: Callable[..., Config], monkeypatch: pytest.MonkeyPatch, point: str, epochs: int
) -> None:
    """At most the current epoch is lost; ``epochs`` are trained by the sweep that continues."""
    config = tiny_search(RANGE, FIVE, trials=2)
    monkeypatch.setattr(artifact_writer, "CHECKPOINT_SECONDS", 0.0)

    def sweep() -> None:
        match point:
            case "after the ask":
                monkeypatch.setattr(claims, "worker_record", die)
            case "in an epoch":
                monkeypatch.setattr(loop, "train_epoch", at_call(3, loop.train_epoch))
            case "in a checkpoint":
                monkeypatch.setattr(checkpoint, "write_whole", dying_at_call(4, checkpoint.write_whole))
            case "in its copying":
                # config.yaml of the study and of the trial, two epochs of stage 1, its best, and then
                monkeypatch.setattr(MlflowTracker, "log_file", at_call(6, MlflowTracker.log_file))
            case "at its end":
                monkeypatch.setattr(two_stage, "remove_last", die)
        run_sweep(config)

    killed_in(sweep)
    (left,) = trials()
    assert left.state == TrialState.RUNNING
    begun = left.user_attrs.get("run_id")
    assert (begun is None) == (point == "after the ask")
    trained = itertools.count()
    real = loop.train_epoch
    monkeypatch.setattr(loop, "train_epoch", lambda *given, **named: (next(trained), real(*given, **named))[1])
    result = run_sweep(config)
    stored = trials()
    complete = [trial for trial in stored if trial.state == TrialState.COMPLETE]
    assert [trial.number for trial in stored if counts(trial)] == [trial.number for trial in complete]
    assert len(complete) == 2
    assert_every_run_is_whole(complete, EPOCHS)
    if point == "after the ask":  # it had no values yet
        assert [trial.user_attrs.get("retry_of") for trial in stored] == [None] * 3
    else:
        assert [t.number for t in stored if t.user_attrs.get("retry_of") == left.number] == [1]
        assert begun in {trial.user_attrs["run_id"] for trial in complete}
    assert result.complete
    assert next(trained) == epochs


@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
@pytest.mark.parametrize("second", ["fail_trial", "requeue"])
def test_a_reaper_killed_between_queuing_and_ending(
    here: Path, tiny_search: Callable[..., Config], monkeypatch: pytest.MonkeyPatch, second: str
) -> None:
    config = tiny_search(RANGE, FIVE, trials=1)
    real = loop.train_epoch

    def sweep() -> None:
        monkeypatch.setattr(loop, "train_epoch", at_call(2, real))
        run_sweep(config)

    def mend() -> None:
        monkeypatch.setattr(claims, second, die)
        repair()

    killed_in(sweep)
    for _ in range(2):
        killed_in(mend)
    run_sweep(config)
    stored = trials()
    assert [(trial.state, trial.user_attrs.get("retry_of")) for trial in stored] == [
        (TrialState.FAIL, None),
        (TrialState.COMPLETE, 0),
    ]
    assert_every_run_is_whole(stored[1:], EPOCHS)
