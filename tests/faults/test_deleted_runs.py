"""Runs deleted in MLflow: a sweep makes the study's run again, all commands agree on the best trial, and a promotion
says what it could not compare with."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.registry import Promoted, artifact, remove_run, set_gates
from mlflow import MlflowClient

from mobilenet_chest.config import Config
from mobilenet_chest.errors import PromotionRefused, SweepFailed, TrackingError
from mobilenet_chest.registry.promote import promote
from mobilenet_chest.sweep import run_sweep
from mobilenet_chest.sweep.repair import repair
from mobilenet_chest.tracking.runs import find_run, nested_runs
from mobilenet_chest.tracking.study_run import prune_checkpoints

RANGE = {"stage2.lr": {"low": 1e-4, "high": 1e-2, "log": True}}
Make = Callable[..., Config]


@pytest.mark.parametrize("for_good", [pytest.param(False, marks=pytest.mark.slow), True])
def test_the_run_of_a_study(here: Path, tiny_search: Make, for_good: bool) -> None:
    config = tiny_search(RANGE, trials=2)
    first = run_sweep(config)
    remove_run(first.run_id, for_good)
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


@pytest.mark.parametrize("for_good", [pytest.param(False, marks=pytest.mark.slow), True])
def test_the_run_of_the_best_trial(here: Path, tiny_search: Make, for_good: bool) -> None:
    config = tiny_search(RANGE, trials=2)
    first = run_sweep(config)
    assert first.best.run_id is not None
    remove_run(first.best.run_id, for_good)
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
    remove_run(second.best.run_id, for_good)
    with pytest.raises(SweepFailed, match="not in MLflow any more"):
        run_sweep(config)


@pytest.mark.parametrize("gone", ["version", "run in the trash", "run", "artifacts"])
def test_a_champion(promoted: Promoted, gone: str) -> None:
    store, promotion = promoted
    set_gates(store, store.single, {"champion": {"margin": 0.9}})
    (before,) = promote(store.single, dry_run=True, even_if_worse=True).gates
    if gone == "version":
        store.client.delete_model_version("tiny", "1")
    elif gone == "artifacts":
        shutil.rmtree(artifact(store, promotion.run_id))
    else:
        remove_run(promotion.run_id, for_good=gone == "run")
    if gone in ("version", "run in the trash"):
        (gate,) = promote(store.single, dry_run=True, even_if_worse=True).gates
        assert gate.passed
        assert (gate.figure, "no earlier version" in gate.detail) == (
            (None, True) if gone == "version" else (before.figure, False)
        )
        return
    with pytest.raises(PromotionRefused) as caught:
        promote(store.single, dry_run=True, even_if_worse=True)
    (reason,) = caught.value.reasons
    why = "its run was deleted" if gone == "run" else "no predictions/val.parquet that can be read"
    assert f"cannot be compared with version 1: {why}" in reason
    assert "mobilenet-chest promote --rollback tiny" in reason
    assert "\n" not in reason
    # without such a gate it is promoted, and what was not compared is stated
    set_gates(store, store.single, {})
    steps = promote(store.single, dry_run=True, even_if_worse=True).reasons
    assert any("not compared with version 1: its run was deleted" in step for step in steps) == (gone == "run")
