"""A trial of folds: a training on each, and their means."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from helpers.sweeps import stored_trials
from mlflow import MlflowClient
from mlflow.entities import Run
from optuna.trial import TrialState

from mobilenet_chest import cache
from mobilenet_chest.cli.sweep import print_sweep
from mobilenet_chest.combine import ensemble
from mobilenet_chest.config import Config
from mobilenet_chest.data.dataset import load_train_val
from mobilenet_chest.errors import PromotionRefused, TrackingError
from mobilenet_chest.registry.promote import promote
from mobilenet_chest.sweep import commands, control, run_sweep, trial_run
from mobilenet_chest.tracking import artifact_writer
from mobilenet_chest.tracking.artifacts import run_config, stored_predictions, stress_rows, trained_model
from mobilenet_chest.tracking.run_metrics import metric_history, metrics_of
from mobilenet_chest.tracking.runs import find_runs, nested_runs

Make = Callable[..., Config]

RANGE = {"stage2.lr": {"low": 1e-4, "high": 1e-2, "log": True}}


def folds_of(run_id: str | None) -> list[Run]:
    """The runs nested under a trial's, by fold."""
    return sorted(nested_runs(MlflowClient(), str(run_id)), key=lambda run: int(run.data.tags["fold"]))


def history(run_id: str | None, metric: str) -> list[tuple[int, float]]:
    return [(point.step, point.value) for point in metric_history(MlflowClient(), str(run_id), metric)]


@pytest.mark.slow
def test_a_trial_is_the_mean_of_its_folds(
    here: Path, tiny_search: Make, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop_the_third() -> None:
        (running,) = [trial for trial in stored_trials("tiny") if trial.state == TrialState.RUNNING]
        if running.number == 2:
            commands.command("tiny", None, partial(commands.stop_trial, number=2))

    monkeypatch.setattr(optuna.trial.Trial, "should_prune", lambda trial: trial.number == 1)
    monkeypatch.setattr(trial_run, "check_driver", stop_the_third)
    monkeypatch.setattr(control, "LOOK_SECONDS", 0.0)
    config = tiny_search(
        RANGE,
        {"tracking.keep_checkpoints": 1, "evaluation": {"stress": {}}},
        trials=3,
        pruner="median",
        resampling="kfold",
        folds=3,
    )
    result = run_sweep(config)
    client, (whole, pruned, stopped) = MlflowClient(), result.trials
    assert [trial.state for trial in result.trials] == ["COMPLETE", "PRUNED", "PRUNED"]
    data = load_train_val(config.data)

    folds, run = folds_of(whole.run_id), client.get_run(str(whole.run_id))
    values = [metrics_of(fold)["val_auc"] for fold in folds]
    assert [fold.data.tags["kind"] for fold in folds] == ["fold"] * 3
    assert [fold.info.status for fold in folds] == ["FINISHED"] * 3
    assert [(fold.data.params["data.folds"], fold.data.params["data.fold"]) for fold in folds] == [
        ("3", "0"), ("3", "1"), ("3", "2")
    ]  # fmt: skip
    assert len({fold.data.tags["data_digest"] for fold in folds}) == 3
    told = stored_trials("tiny")[0].user_attrs
    assert [each["best_epoch"] for each in told["trainings"]] == [metrics_of(fold)["best_epoch"] for fold in folds]
    assert (told["epochs"]["fold"], told["epochs"]["folds"]) == (2, 3)
    assert whole.value == metrics_of(run)["val_auc"] == pytest.approx(np.mean(values), abs=1e-12)
    assert history(whole.run_id, "val_auc") == [*enumerate(values, 1), (4, whole.value)]
    assert stored_trials("tiny")[0].intermediate_values == pytest.approx(
        {1: values[0], 2: np.mean(values[:2]), 3: np.mean(values)}, abs=1e-12
    )
    assert metrics_of(run)["train_seconds"] == pytest.approx(sum(metrics_of(f)["train_seconds"] for f in folds))
    assert metrics_of(run)["parameters"] == metrics_of(folds[0])["parameters"]
    assert "train_loss" not in metrics_of(run)
    assert (run.data.tags["folds"], run.data.tags["data_digest"]) == ("3", data.digest)
    out_of_fold = stored_predictions(client, run, "val")
    assert len(out_of_fold) == len(data.train) + len(data.val)
    assert out_of_fold["row"].is_monotonic_increasing
    for fold in folds:
        table, number = stored_predictions(client, fold, "val"), int(fold.data.tags["fold"])
        of_it = out_of_fold[out_of_fold["fold"] == number].drop(columns="fold")
        assert table.equals(of_it.reset_index(drop=True))
    # its table of corruptions is the mean of theirs
    rows, *of_folds = (stress_rows(client, each) for each in (run, *folds))
    assert [(row["corruption"], row["severity"]) for row in rows] == [
        (row["corruption"], row["severity"]) for row in of_folds[0]
    ]
    assert rows[7]["auc"] == pytest.approx(np.mean([table[7]["auc"] for table in of_folds]))
    assert rows[7]["images"] == len(out_of_fold)
    means = [metrics_of(each) for each in (run, *folds)]
    widths = [each["stress_auc_mean_high"] - each["stress_auc_mean_low"] for each in means]
    assert 0 < widths[0] < max(widths[1:])
    interval = result.ties.intervals[0]
    assert interval.value == pytest.approx(whole.value)
    assert interval.low < whole.value < interval.high

    # a trial that is pruned ends after the fold that decided, and keeps no checkpoint
    (only,) = folds_of(pruned.run_id)
    assert pruned.value == metrics_of(only)["val_auc"]
    assert "predictions" not in {entry.path for entry in client.list_artifacts(str(pruned.run_id))}
    assert client.list_artifacts(only.info.run_id, "checkpoints") == []
    assert {entry.path for entry in client.list_artifacts(folds[0].info.run_id, "checkpoints")} == {
        "checkpoints/best.pt", "checkpoints/stage1_best.pt"
    }  # fmt: skip

    # one that is stopped by hand ends so too: a fold cut short would count as a whole one
    (only,) = folds_of(stopped.run_id)
    assert (only.info.status, len(history(only.info.run_id, "train_loss"))) == ("FINISHED", 2)
    assert stopped.value == metrics_of(only)["val_auc"]

    # it has no model, and says what makes one of it
    (candidate,) = find_runs(client, "tiny")
    assert candidate.run_id == whole.run_id
    next_step = f"3 folds.*`mobilenet-chest ensemble {whole.run_id[:8]}`"
    with pytest.raises(PromotionRefused, match=next_step):
        promote("tiny")
    with pytest.raises(TrackingError, match=next_step):
        trained_model(client, run, run_config(client, run))
    print_sweep(config, result, as_json=False)
    output = capsys.readouterr().out
    assert f"best: trial 0, val_auc {whole.value:.4f} on average over 3 folds" in output
    assert output.endswith("      mobilenet-chest ensemble tiny\n")
    combined = ensemble.run_ensemble([candidate])
    assert combined.members == tuple(fold.info.run_id for fold in folds)
    made = client.get_run(combined.run_id)
    assert made.data.tags["scored_on"] == run.data.tags["scored_on"]
    assert made.data.tags["data_digest"] == data.digest
    assert stored_predictions(client, made, "val").equals(out_of_fold.drop(columns="fold"))


@pytest.mark.slow
def test_folds_that_were_done_are_not_trained_again(
    here: Path, tiny_search: Make, driver_dies: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(artifact_writer, "CHECKPOINT_SECONDS", 0.0)
    settings: dict[str, Any] = {"trials": 1, "resampling": "kfold", "folds": 2}
    whole = run_sweep(tiny_search(RANGE, {"name": "whole"}, **settings))
    cache.clear()  # or the folds would have no stage 1 to be interrupted in
    config = tiny_search(RANGE, **settings)
    driver_dies(3)  # two epochs in each fold
    with pytest.raises(KeyboardInterrupt):
        run_sweep(config)
    (interrupted, _) = stored_trials("tiny")
    before = folds_of(interrupted.user_attrs["run_id"])
    assert [fold.info.status for fold in before] == ["FINISHED", "KILLED"]
    driver_dies(0)
    result = run_sweep(config)
    assert result.best.run_id == interrupted.user_attrs["run_id"]
    after = folds_of(result.best.run_id)
    assert [fold.info.run_id for fold in after] == [fold.info.run_id for fold in before]
    assert after[0].info.end_time == before[0].info.end_time
    assert [fold.data.tags["trial"] for fold in after] == ["0", "1"]
    assert [history(fold.info.run_id, "train_loss") for fold in after] == [
        history(fold.info.run_id, "train_loss") for fold in folds_of(whole.best.run_id)
    ]
    client = MlflowClient()
    resumed, expected = (metrics_of(client.get_run(str(sweep.best.run_id))) for sweep in (result, whole))
    assert result.best.value == whole.best.value
    timed = ("train_seconds", "stage1_epochs_reused", "stage1_epochs_trained", "saved_seconds")
    assert {name: value for name, value in resumed.items() if name not in timed} == {
        name: value for name, value in expected.items() if name not in timed
    }
    assert stored_trials("tiny")[1].intermediate_values == stored_trials("whole")[0].intermediate_values
