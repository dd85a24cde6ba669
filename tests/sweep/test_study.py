"""Whole sweeps on a tiny file: what is run, what is recorded of it, and what running the same again does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import mlflow
import pandas as pd
import pytest
from helpers.stores import work_here
from helpers.sweeps import artifact_paths, runs_by_trial, stored_trials
from helpers.workers import sweep_with_workers
from mlflow import MlflowClient

from mobilenet_chest.config import Config
from mobilenet_chest.errors import SweepFailed
from mobilenet_chest.sweep import remaining_trials, run_sweep
from mobilenet_chest.sweep.space import grid_points
from mobilenet_chest.tracking.run_metrics import metric_history, metrics_of

if TYPE_CHECKING:
    from helpers.stores import Store

Make = Callable[..., Config]

RANGE = {"stage2.lr": {"low": 1e-4, "high": 1e-2, "log": True}}
TOO_HIGH = 1e30
"""A learning rate after which nothing is finite any more."""


@pytest.mark.slow
def test_two_worker_processes_share_a_study(tracking: Path, tiniest_search: Make) -> None:
    config = tiniest_search(RANGE, {"tracking": {"keep_checkpoints": 1}}, trials=3)
    result, seen = sweep_with_workers(config, 2, tracking)
    assert [(trial.number, trial.state) for trial in result.trials] == [(n, "COMPLETE") for n in range(3)]
    assert (result.study, result.complete, result.new_trials) == ("tiny", True, 3)
    assert len({trial.params["stage2.lr"] for trial in result.trials}) == 3
    assert result.best.value == max(trial.value for trial in result.trials if trial.value is not None)
    assert seen[-1].total == 3
    assert seen[-1].states == {"COMPLETE": 3}
    assert seen[-1].running == []
    assert max(len(status.running) for status in seen) <= 2

    client = MlflowClient()
    parent = client.get_run(result.run_id)
    assert parent.info.status == "FINISHED"
    assert (parent.data.tags["kind"], parent.data.tags["study"]) == ("study", "tiny")
    assert parent.data.tags["best_trial"] == str(result.best.number)
    assert parent.data.tags["best_run"] == result.best.run_id
    nested = runs_by_trial(result.run_id)
    assert sorted(nested) == [0, 1, 2]
    for trial in result.trials:
        run = nested[trial.number]
        assert run.info.run_id == trial.run_id
        assert run.info.status == "FINISHED"
        tags = {key: run.data.tags[key] for key in ("kind", "study", "trial", "trial_state", "mlflow.parentRunId")}
        assert tags == {
            "kind": "trial",
            "study": "tiny",
            "trial": str(trial.number),
            "trial_state": "COMPLETE",
            "mlflow.parentRunId": result.run_id,
        }
        assert float(run.data.params["stage2.lr"]) == trial.params["stage2.lr"]
        assert metrics_of(run)["val_auc"] == trial.value
        assert artifact_paths(run.info.run_id, "predictions") == {"predictions/val.parquet"}
        assert artifact_paths(run.info.run_id, "plots") == {
            "plots/reliability.png", "plots/threshold_curve.png", "plots/training_curves.png",
            "plots/val_predictions.png",
        }  # fmt: skip
        kept = {"checkpoints/stage1_best.pt", "checkpoints/best.pt"} if trial.number == result.best.number else set()
        assert artifact_paths(run.info.run_id, "checkpoints") == kept


@pytest.mark.parametrize(("given", "expected"), [(None, 3), (2, 2)])
def test_processes_are_those_of_the_experiment_unless_told(
    here: Path, tiniest_search: Make, given: int | None, expected: int
) -> None:
    asked: list[int] = []
    with pytest.raises(SweepFailed):  # nobody runs a trial
        run_sweep(
            tiniest_search(RANGE, trials=4, workers=3),
            workers=given,
            launch=lambda job, number, *_: asked.append(number),
        )
    assert asked == [expected]


def test_the_same_again_does_nothing_and_more_trials_go_on(here: Path, tiniest_search: Make) -> None:
    config = tiniest_search(RANGE, {"tracking.keep_checkpoints": 1}, trials=2)
    assert remaining_trials(config) == 2
    first = run_sweep(config)
    assert remaining_trials(config) == 0
    before = stored_trials()
    again = run_sweep(config)
    assert (again.new_trials, again.run_id, again.trials) == (0, first.run_id, first.trials)
    assert stored_trials() == before

    more = tiniest_search(RANGE, {"tracking.keep_checkpoints": 1}, trials=4)
    assert remaining_trials(more) == 2
    continued = run_sweep(more)
    assert (continued.new_trials, continued.run_id, continued.complete) == (2, first.run_id, True)
    assert continued.trials[:2] == first.trials
    assert len({trial.params["stage2.lr"] for trial in continued.trials}) == 4
    runs = runs_by_trial(continued.run_id)
    assert sorted(runs) == [0, 1, 2, 3]
    with_checkpoints = [number for number, run in runs.items() if artifact_paths(run.info.run_id, "checkpoints")]
    assert with_checkpoints == [continued.best.number]
    assert all(artifact_paths(run.info.run_id, "predictions") for run in runs.values())

    assert artifact_paths(continued.run_id) == {"config.yaml", "leaderboard.csv", "plots"}
    assert artifact_paths(continued.run_id, "plots") == {"plots/study.html"}
    path = mlflow.artifacts.download_artifacts(run_id=continued.run_id, artifact_path="leaderboard.csv")
    table = pd.read_csv(path)
    assert list(table.columns) == [
        "trial", "number", "state", "val_auc", "val_auc_low", "val_auc_high", "tied", "seconds", "run_id", "stage2.lr",
    ]  # fmt: skip
    assert list(table["val_auc"]) == sorted(table["val_auc"], reverse=True)
    assert table["number"][0] == continued.best.number
    assert set(table["run_id"]) == {run.info.run_id for run in runs.values()}
    page = mlflow.artifacts.download_artifacts(run_id=continued.run_id, artifact_path="plots/study.html")
    text = Path(page).read_text(encoding="utf-8")
    assert "<h1>Study tiny</h1>" in text
    assert text.count("<tr") == 5
    assert "https://cdn" not in text.split("</head>")[0]
    assert len(stored_trials()) == 4


@pytest.mark.slow
def test_a_grid_is_run_precisely_and_a_failure_does_not_stop_it(here: Path, tiniest_search: Make) -> None:
    search = {"stage2.lr": {"choices": [1e-3, TOO_HIGH]}, "model.stem": {"choices": ["mean", "sum"]}}
    config = tiniest_search(search, trials=50, sampler="grid")
    result = run_sweep(config)
    assert [trial.params for trial in result.trials] == grid_points(config)
    assert result.complete
    assert len(stored_trials()) == 4
    failed = [trial for trial in result.trials if trial.params["stage2.lr"] == TOO_HIGH]
    runs = runs_by_trial(result.run_id)
    assert [trial.state for trial in result.trials].count("FAIL") == len(failed) == 2
    for trial in failed:
        run = runs[trial.number]
        assert (trial.state, trial.value, trial.run_id) == ("FAIL", None, run.info.run_id)
        assert trial.reason is not None
        assert trial.reason.startswith("TrainingDiverged: epoch 2: train_loss is ")
        assert (run.info.status, run.data.tags["trial_state"]) == ("FAILED", "FAIL")
        assert run.data.tags["failure"] == trial.reason
    assert result.best.params["stage2.lr"] == 1e-3
    metrics = metrics_of(MlflowClient().get_run(result.run_id))
    counts = {name: metrics[f"trials_{name}"] for name in ("complete", "pruned", "fail")}
    assert counts == {"complete": 2, "pruned": 0, "fail": 2}


@pytest.mark.slow
def test_trials_that_differ_in_stage_2_share_stage_1(here: Path, tiniest_search: Make) -> None:
    """Two settings of stage 1 by two of stage 2: two stage 1s are trained."""
    search = {"stage1.lr": {"choices": [1e-3, 1e-2]}, "stage2.lr": {"choices": [1e-4, 1e-3]}}
    result = run_sweep(tiniest_search(search, {"stage1.epochs": 3}, sampler="grid", trials=4))
    assert (result.stage1["stage1_epochs_trained"], result.stage1["stage1_epochs_reused"]) == (6, 6)
    assert result.stage1["saved_seconds"] > 0
    parent = metrics_of(MlflowClient().get_run(result.run_id))
    assert {name: parent[name] for name in result.stage1} == result.stage1
    for run in runs_by_trial(result.run_id).values():
        # the run of a trial that took its stage 1 over has its curves all the same
        history = metric_history(MlflowClient(), run.info.run_id, "train_loss")
        assert [point.step for point in history] == [1, 2, 3, 4]
    search["stage1.lr"] = {"choices": [1e-2]}
    again = run_sweep(tiniest_search(search, {"stage1.epochs": 3}, sampler="grid", trials=2, name="other"))
    assert (again.stage1["stage1_epochs_trained"], again.stage1["stage1_epochs_reused"]) == (0, 6)


@pytest.mark.slow
def test_the_share_to_prune_is_searched_beside_the_network_it_leaves(store: Store) -> None:
    config = store.config(
        {
            "name": "front",
            "stage1": {"epochs": 0},
            "stage2.epochs": 1,
            "compress": {"method": "prune", "parent": store.single[:8]},
            "search": {"compress.ratio": {"choices": [0.25, 0.75]}},
            "study": {"trials": 2, "sampler": "grid", "pruner": "none", "also": ["parameters", "latency_1_ms"]},
        }
    )
    result = run_sweep(config, launch=work_here)
    assert [trial.state for trial in result.trials] == ["COMPLETE"] * 2
    nested = runs_by_trial(result.run_id)
    sizes = {trial.params["compress.ratio"]: metrics_of(nested[trial.number])["parameters"] for trial in result.trials}
    assert sizes[0.25] > sizes[0.75]
    smallest = next(trial.number for trial in result.trials if trial.params["compress.ratio"] == 0.75)
    assert smallest in result.front
    # the same experiment again, with the parent named as before, is the same study
    assert run_sweep(config, launch=work_here).new_trials == 0


@pytest.mark.slow
def test_the_method_of_compression_is_searched(store: Store) -> None:
    config = store.config(
        {
            "name": "methods",
            "stage1": {"epochs": 0},
            "stage2.epochs": 1,
            "compress": {"method": "prune", "parent": store.single[:8]},
            "search": {"compress.method": {"choices": ["prune", "int8-qat"]}},
            "study": {"trials": 2, "sampler": "grid", "pruner": "none"},
        }
    )
    result = run_sweep(config, launch=work_here)
    assert [trial.state for trial in result.trials] == ["COMPLETE"] * 2
    nested = runs_by_trial(result.run_id)
    params = {trial.params["compress.method"]: nested[trial.number].data.params for trial in result.trials}
    assert {name: values.get("compress.method") for name, values in params.items()} == {
        "prune": "prune", "int8-qat": "int8-qat"
    }  # fmt: skip
    assert run_sweep(config, launch=work_here).new_trials == 0
