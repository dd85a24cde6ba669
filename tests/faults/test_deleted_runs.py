"""Runs deleted in MLflow: a sweep makes the study's run again, and all commands agree on the best trial."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow import MlflowClient

from mobilenet_chest.config import Config
from mobilenet_chest.errors import SweepFailed, TrackingError
from mobilenet_chest.sweep import run_sweep
from mobilenet_chest.sweep.repair import repair
from mobilenet_chest.tracking.runs import find_run, nested_runs
from mobilenet_chest.tracking.store import tracking_uri
from mobilenet_chest.tracking.study_run import prune_checkpoints

RANGE = {"stage2.lr": {"low": 1e-4, "high": 1e-2, "log": True}}
Make = Callable[..., Config]


def remove(run_id: str, for_good: bool) -> None:
    MlflowClient().delete_run(run_id)
    if for_good:  # what `mlflow gc` does to a run in the trash
        from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

        SqlAlchemyStore(tracking_uri(), "mlruns")._hard_delete_run(run_id)


@pytest.mark.parametrize("for_good", [False, True])
def test_the_run_of_a_study(here: Path, tiny_search: Make, for_good: bool) -> None:
    config = tiny_search(RANGE, trials=2)
    first = run_sweep(config)
    remove(first.run_id, for_good)
    (line,) = repair()
    assert "run its sweep again" in line
    with pytest.raises(TrackingError) as caught:
        find_run(MlflowClient(), "tiny")
    assert for_good or f"mlflow runs restore --run-id {first.run_id}" in str(caught.value)
    second = run_sweep(config)
    assert (second.run_id != first.run_id, second.new_trials) == (True, 0)
    assert second.best.run_id == first.best.run_id == find_run(MlflowClient(), "tiny").run_id
    assert {run.info.run_id for run in nested_runs(MlflowClient(), second.run_id)} == {t.run_id for t in first.trials}
    assert "leaderboard.csv" in {file.path for file in MlflowClient().list_artifacts(second.run_id)}
    assert repair() == []
    assert run_sweep(config).run_id == second.run_id


@pytest.mark.parametrize("for_good", [False, True])
def test_the_run_of_the_best_trial(here: Path, tiny_search: Make, for_good: bool) -> None:
    config = tiny_search(RANGE, trials=2)
    first = run_sweep(config)
    assert first.best.run_id is not None
    remove(first.best.run_id, for_good)
    prune_checkpoints({first.best.run_id: False})  # no worker dies of it
    (line,) = repair()
    assert (f"mlflow runs restore --run-id {first.best.run_id}" in line) != for_good
    assert ("deleted for good" in line) == for_good
    second = run_sweep(config)
    assert second.best.number != first.best.number
    assert second.best.run_id == find_run(MlflowClient(), "tiny").run_id
    if not for_good:
        MlflowClient().restore_run(first.best.run_id)
        assert run_sweep(config).best.run_id == first.best.run_id == find_run(MlflowClient(), "tiny").run_id
        return
    assert second.best.run_id is not None
    remove(second.best.run_id, for_good)
    with pytest.raises(SweepFailed, match="not in MLflow any more"):
        run_sweep(config)
