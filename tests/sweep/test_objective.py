"""One trial: how it ends in the study and in MLflow, and which checkpoints it leaves."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import requests
from helpers.sweeps import artifact_paths, runs_by_trial
from mlflow import MlflowClient

from mobilenet_chest.config import EPOCH_METRICS, Config
from mobilenet_chest.sweep import local_workers, remaining_trials, run_sweep, trial_run
from mobilenet_chest.sweep.space import grid_points
from mobilenet_chest.sweep.stored_study import stored_studies
from mobilenet_chest.tracking import tags
from mobilenet_chest.tracking.outbox import delivery, sender, writes
from mobilenet_chest.tracking.outbox.journal import journals
from mobilenet_chest.tracking.run_metrics import metric_history, metrics_of
from mobilenet_chest.training.progress import StageCost
from mobilenet_chest.training.stages import prepare

Make = Callable[..., Config]

RANGE = {"stage2.lr": {"low": 1e-4, "high": 1e-2, "log": True}}
FIVE = {
    "stage1": {"epochs": 2},
    "stage2": {"epochs": 3, "patience": None},
}
TOO_HIGH = 1e30
"""A learning rate after which nothing is finite any more."""


def test_a_failed_trial_keeps_no_checkpoint(here: Path, tiniest_search: Make) -> None:
    """Its first stage went well, and left one behind."""
    result = run_sweep(tiniest_search({"stage2.lr": {"choices": [1e-3, TOO_HIGH]}}, sampler="grid"))
    (failed,) = [trial for trial in result.trials if trial.state == "FAIL"]
    assert failed.run_id is not None
    assert artifact_paths(failed.run_id, "checkpoints") == set()
    assert artifact_paths(result.best.run_id or "", "checkpoints") != set()


EPOCH = dict.fromkeys(("stage", "train_loss", *EPOCH_METRICS, "images_per_second", "epoch_seconds"), 1.0)


def test_nan_is_never_the_best(here: Path, tiniest_search: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """The metrics are made up here: a real training stops before it comes to that."""
    values = iter([math.nan, 0.6, math.inf, 0.7])

    def trained(config: Config, tracker: Any, on_epoch: Any, resume: None, on_history: Any) -> Any:
        data = prepare(config).data
        with tracker.run(config, data):
            metrics, history = {"val_auc": next(values)} | StageCost().metrics(), [EPOCH]
            return SimpleNamespace(metrics=metrics, status="finished", history=history)

    monkeypatch.setattr(trial_run, "train", trained)
    result = run_sweep(tiniest_search(RANGE, trials=4))
    assert [(trial.state, trial.value) for trial in result.trials] == [
        ("FAIL", None),
        ("COMPLETE", 0.6),
        ("FAIL", None),
        ("COMPLETE", 0.7),
    ]
    assert [trial.reason for trial in result.trials[::2]] == [
        "TrainingDiverged: val_auc is nan",
        "TrainingDiverged: val_auc is inf",
    ]
    assert result.best.number == 3


@pytest.mark.slow
def test_a_pruned_trial_is_tagged_and_counts(here: Path, tiniest_search: Make) -> None:
    """The last point of the grid learns nothing: its loss stays above the others' median."""
    bad = 1e-9
    search = {"stage2.lr": {"choices": [bad, 1e-3, 1.5e-3, 2e-3, 2.5e-3]}}
    settings = {"sampler": "grid", "pruner": "median", "metric": "val_loss", "direction": "minimize", "trials": 5}
    values = {"stage1.epochs": 0, "stage2.epochs": 3, "loss": {"name": "bce"}}
    seed = next(
        seed
        for seed in range(100)
        if grid_points(tiniest_search(search, values | {"seed": seed}, **settings))[-1]["stage2.lr"] == bad
    )
    result = run_sweep(tiniest_search(search, values | {"seed": seed}, **settings))
    assert [trial.state for trial in result.trials] == ["COMPLETE"] * 4 + ["PRUNED"]
    pruned = result.trials[-1]
    run = runs_by_trial(result.run_id)[4]
    assert pruned.run_id == run.info.run_id
    assert (run.info.status, run.data.tags["trial_state"]) == ("FINISHED", "PRUNED")
    history = metric_history(MlflowClient(), run.info.run_id, "train_loss")
    assert 1 <= len(history) < 3
    assert pruned.value == metric_history(MlflowClient(), run.info.run_id, "val_loss")[len(history) - 1].value
    assert artifact_paths(run.info.run_id, "checkpoints") == set()
    assert artifact_paths(run.info.run_id, "predictions") == {"predictions/val.parquet"}
    assert remaining_trials(tiniest_search(search, values | {"seed": seed}, **settings)) == 0


def test_latency_is_an_objective(here: Path, tiniest_search: Make) -> None:
    result = run_sweep(tiniest_search(RANGE, trials=1, also=["latency_1_ms", "train_seconds"]))
    (trial,) = result.trials
    metrics = metrics_of(runs_by_trial(result.run_id)[0])
    assert trial.also == (metrics["latency_1_ms"], metrics["train_seconds"])
    assert 0 < metrics["latency_1_ms"] < 10_000
    assert result.front == [0]


@pytest.mark.slow
def test_stress_is_an_objective(here: Path, tiniest_search: Make) -> None:
    """As the metric it is reported of stressed epochs only; as a second objective it is maximised."""
    stress = {"evaluation": {"metric": "stress_auc_mean", "stress": {"every": 3}}, "stage2.epochs": 4,
              "stage2.patience": None}  # fmt: skip
    result = run_sweep(tiniest_search(RANGE, stress, trials=1, metric="stress_auc_mean", pruner="median"))
    (trial,) = result.trials
    metrics = metrics_of(runs_by_trial(result.run_id)[0])
    assert trial.value == metrics["stress_auc_mean"]
    assert "heldout_stress_auc_mean" in metrics
    (study,) = stored_studies(f"sqlite:///{here / 'optuna.db'}")
    # stage 1 has one epoch; the third of stage 2 is less than 3 epochs before the last
    assert list(study.trials[0].intermediate_values) == [1, 2, 5]
    second = run_sweep(tiniest_search(RANGE, stress, name="both", trials=1, also=["stress_auc_worst"]))
    for number, run in runs_by_trial(second.run_id).items():
        assert second.trials[number].also == (metrics_of(run)["stress_auc_worst"],)
    values = {trial.number: (trial.value, trial.also[0]) for trial in second.trials}
    best = max(values, key=lambda number: values[number])
    assert best in second.front


@pytest.mark.slow
def test_a_trial_that_ends_while_its_store_is_away_loses_nothing(
    here: Path, tiniest_search: Make, monkeypatch: pytest.MonkeyPatch, logged: pytest.LogCaptureFixture
) -> None:
    away, seen, kept = False, list[str](), list[int]()

    def send(client: MlflowClient, run_id: str, write: Any, file: Path | None = None) -> None:
        nonlocal away
        if tags.RESULT in write.get("tags", {}) and run_id not in seen:  # it goes away with each trial's end
            seen.append(run_id)
            away = True
        if away:
            raise requests.ConnectionError("nobody there")
        writes.send(client, run_id, write, file)

    def comes_back(seconds: float) -> None:
        nonlocal away
        kept.append(sum(journal.count() for journal in journals()))
        away = False  # before the next trial begins

    monkeypatch.setattr(sender, "send", send)
    monkeypatch.setattr(delivery, "send", send)
    monkeypatch.setattr(local_workers, "wait_reachable", comes_back)
    result = run_sweep(tiniest_search(RANGE, FIVE, trials=2))
    assert [run_id for trial in result.trials if (run_id := trial.run_id)] == seen
    assert kept[0] == 0
    assert min(kept[1:]) >= 3  # the result, the run's end, the study's word
    delivered = logged.text.count("pending writes sent")
    assert delivered == len(seen) == 2
    runs = [MlflowClient().get_run(str(trial.run_id)) for trial in result.trials]
    assert [run.info.status for run in runs] == ["FINISHED"] * 2
    assert [run.data.tags["trial_state"] for run in runs] == ["COMPLETE"] * 2
    assert [tags.RESULT in run.data.tags for run in runs] == [True] * 2
    assert journals() == []
