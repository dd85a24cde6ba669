"""A sweep that is killed at one point of its work, and a repair between two of its steps."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.killed import killed_in, repair_killed_in, sweep_killed_at
from helpers.sweeps import SMALLEST, assert_every_run_is_whole, steps, trials
from optuna.trial import TrialState

from mobilenet_chest.config import Config
from mobilenet_chest.sweep import run_sweep
from mobilenet_chest.sweep.claims import counts
from mobilenet_chest.sweep.result import SweepResult
from mobilenet_chest.training import loop

EPOCHS = 5

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.name != "posix", reason="POSIX signals")]

RANGE = {"stage2.lr": {"low": 1e-4, "high": 1e-2, "log": True}}
FIVE = {
    "model": {"name": SMALLEST, "weights": "none", "hidden": [8]},
    "optimizer": {"batch_size": 40},
    "stage1": {"epochs": 2},
    "stage2": {"epochs": EPOCHS - 2, "patience": None},
}


@pytest.mark.parametrize(
    ("point", "epochs"),
    # of two trials of two frozen epochs, which they share, and three others: eight
    [("after the ask", 8), ("in epoch 3", 6), ("in a checkpoint", 6), ("in its copying", 6), ("at its end", 3)],
)
def test_killed_at(
    here: Path, tiny_search: Callable[..., Config], monkeypatch: pytest.MonkeyPatch, point: str, epochs: int
) -> None:
    """At most the current epoch is lost; ``epochs`` are trained by the sweep that continues."""
    config = tiny_search(RANGE, FIVE, trials=2)
    killed_in(sweep_killed_at, config, point)
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


def test_killed_at_pauses_and_thaws(
    here: Path, tiny_search: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One study, killed four times: trials, reports and values are as without kills, and no epoch is trained twice."""
    rates = [1e-3, 2e-3, 4e-3]
    settings = {"sampler": "grid", "trials": 3, "scheduler": "asha", "asha": {"first": 3}}
    whole = run_sweep(tiny_search({"stage2.lr": {"choices": rates}}, FIVE | {"name": "whole"}, **settings))
    leader = whole.best.params["stage2.lr"]
    first = [leader, *(rate for rate in rates if rate != leader)]  # it waits until the third has reached the rung
    config = tiny_search({"stage2.lr": {"choices": first}}, FIVE, **settings)
    for point in ("before pause 2", "at a rung", "after the thaw", "in epoch 1"):
        killed_in(sweep_killed_at, config, point)
    trained = itertools.count()
    real = loop.train_epoch
    monkeypatch.setattr(loop, "train_epoch", lambda *given, **named: (next(trained), real(*given, **named))[1])
    result = run_sweep(config)
    assert next(trained) == 2  # the thawed trial's, after the rung

    def ends(sweep: SweepResult) -> dict[float, tuple[str, float | None, list[int]]]:
        return {t.params["stage2.lr"]: (t.state, t.value, steps(str(t.run_id))) for t in sweep.trials}

    assert ends(result) == ends(whole)
    assert sorted(state for state, _, _ in ends(result).values()) == ["COMPLETE", "PAUSED", "PAUSED"]
    assert result.best.params == whole.best.params
    assert result.complete


@pytest.mark.parametrize("second", ["fail_trial", "requeue"])
def test_a_reaper_killed_between_queuing_and_ending(
    here: Path, tiny_search: Callable[..., Config], second: str
) -> None:
    config = tiny_search(RANGE, FIVE, trials=1)
    killed_in(sweep_killed_at, config, "in epoch 2")
    for _ in range(2):
        killed_in(repair_killed_in, second)
    run_sweep(config)
    stored = trials()
    assert [(trial.state, trial.user_attrs.get("retry_of")) for trial in stored] == [
        (TrialState.FAIL, None),
        (TrialState.COMPLETE, 0),
    ]
    assert_every_run_is_whole(stored[1:], EPOCHS)
