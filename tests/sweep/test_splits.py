"""Trials on rows of their own, and trials of folds."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from mobilenet_chest import cache
from mobilenet_chest.cli.sweep import print_sweep
from mobilenet_chest.combine import ensemble
from mobilenet_chest.config import Config, with_values
from mobilenet_chest.data.dataset import load_train_val
from mobilenet_chest.errors import DataError, PromotionRefused, StudyError, TrackingError
from mobilenet_chest.registry.promote import promote
from mobilenet_chest.sweep import check, run_sweep
from mobilenet_chest.sweep.splits import rows_of_trials, scored_on, split_seed
from mobilenet_chest.sweep.storage import open_storage
from mobilenet_chest.tracking import artifact_writer
from mobilenet_chest.tracking.artifacts import run_config, stored_predictions, trained_model
from mobilenet_chest.tracking.runs import find_runs, nested_runs

Make = Callable[..., Config]

RANGE = {"stage2.lr": {"low": 1e-4, "high": 1e-2, "log": True}}


def runs_of(parent: str) -> dict[int, Run]:
    """The nested runs of a study, by number of the trial."""
    return {int(run.data.tags["trial"]): run for run in nested_runs(MlflowClient(), parent)}


def test_seeds_of_splits_are_the_studys_and_the_trials() -> None:
    seeds = [split_seed(7, number) for number in range(100)]
    assert seeds[:2] == [split_seed(7, 0), split_seed(7, 1)]
    assert len({*seeds, *(split_seed(8, number) for number in range(100))}) == 200
    assert 0 <= min(seeds) < max(seeds) < 2**32


def test_each_trial_divides_the_rows_anew_and_a_second_try_as_the_first(
    here: Path, tiny_search: Make, driver_dies: Callable[[int], None]
) -> None:
    config = tiny_search(RANGE, trials=3, resampling="reshuffle")
    driver_dies(3)  # in the first epoch of the second trial
    with pytest.raises(KeyboardInterrupt):
        run_sweep(config)
    driver_dies(0)
    result = run_sweep(config)
    # trial 2 has the values, the run and the rows of trial 1, which was interrupted
    assert [trial.number for trial in result.trials] == [0, 2, 3]
    client, runs = MlflowClient(), runs_of(result.run_id)
    assert sorted(runs) == [0, 2, 3]
    whole = load_train_val(config.data)
    assert client.get_run(result.run_id).data.tags["data_digest"] == whole.digest
    rows = set()
    for number, origin in ((0, 0), (2, 1), (3, 3)):
        own = run_config(client, runs[number])
        assert own.data.split_seed == split_seed(7, origin)
        assert runs[number].data.tags["data_digest"] == load_train_val(own.data).digest
        table = stored_predictions(client, runs[number], "val")
        assert table["row"].tolist() == load_train_val(own.data).val.rows.tolist()
        assert len(table) == len(whole.val)
        assert table["label"].sum() == round(
            len(whole.val) * np.mean([*whole.train.labels.tolist(), *whole.val.labels.tolist()])
        )
        rows.add(tuple(table["row"]))
    assert len(rows) == 3


def test_a_study_from_before_there_was_resampling_goes_on(here: Path, tiny_search: Make) -> None:
    config = tiny_search(RANGE, trials=1)
    run_sweep(config)
    storage = open_storage("sqlite:///optuna.db")
    study = optuna.load_study(study_name="tiny", storage=storage)
    definition = json.loads(study.user_attrs["definition"])
    for key in ("study.resampling", "study.folds", "data.split_seed"):
        del definition[key]
    study.set_user_attr("definition", json.dumps(definition))
    storage.remove_session()
    storage.engine.dispose()
    check(config)
    with pytest.raises(StudyError, match=r"\(different: study\.resampling\)"):
        check(tiny_search(RANGE, trials=2, resampling="reshuffle"))


def test_rows_that_cannot_be_divided_are_refused_before_anything_is_trained(tracking: Path, tiny_search: Make) -> None:
    with pytest.raises(DataError, match="data.folds: 50, but class 0 has"):
        check(tiny_search(RANGE, resampling="kfold", folds=50))
    assert not (tracking / "optuna.db").exists()
    with np.load(tiny_search(RANGE).data.path or "") as file:
        np.savez(tracking / "one.npz", **file, train_patient=np.zeros(80, int), val_patient=np.zeros(40, int))
    one = with_values(tiny_search(RANGE), {"data.path": str(tracking / "one.npz")})
    assert len(load_train_val(one.data).val) == 34
    with pytest.raises(DataError, match=r"data\.split_seed: \d+, but of .* every patient on one"):
        check(tiny_search(RANGE, {"data.path": str(tracking / "one.npz")}, resampling="reshuffle"))


def test_what_is_said_of_rows(phantom_config: Make) -> None:
    said = {}
    for how in ("holdout", "reshuffle", "kfold"):
        config = phantom_config({"search": RANGE, "study": {"resampling": how}})
        said[how] = (rows_of_trials(config, load_train_val(config.data)), scored_on(config))
    assert said == {
        "holdout": ("", "on the validation split"),
        "reshuffle": (
            "; each splits the 102 rows of train and val differently, 34 for validation",
            "on a split of its own",
        ),
        "kfold": ("; each trains 5 times, on folds of the 102 rows of train and val", "on average over 5 folds"),
    }


# --- folds ---------------------------------------------------------------------------------------------------------


def folds_of(run_id: str | None) -> list[Run]:
    """The runs nested under a trial's, by fold."""
    return sorted(nested_runs(MlflowClient(), str(run_id)), key=lambda run: int(run.data.tags["fold"]))


def history(run_id: str | None, metric: str) -> list[tuple[int, float]]:
    return [(point.step, point.value) for point in MlflowClient().get_metric_history(str(run_id), metric)]


def trials_of(name: str) -> list[optuna.trial.FrozenTrial]:
    storage = open_storage("sqlite:///optuna.db")
    found = optuna.load_study(study_name=name, storage=storage).get_trials()
    storage.remove_session()
    storage.engine.dispose()
    return found


def test_a_trial_is_the_mean_of_its_folds(
    here: Path, tiny_search: Make, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(optuna.trial.Trial, "should_prune", lambda trial: trial.number == 1)
    config = tiny_search(
        RANGE, {"tracking": {"keep_checkpoints": 1}}, trials=2, pruner="median", resampling="kfold", folds=3
    )
    result = run_sweep(config)
    client, (whole, pruned) = MlflowClient(), result.trials
    assert [trial.state for trial in result.trials] == ["COMPLETE", "PRUNED"]
    data = load_train_val(config.data)

    folds, run = folds_of(whole.run_id), client.get_run(str(whole.run_id))
    values = [fold.data.metrics["val_auc"] for fold in folds]
    assert [fold.data.tags["kind"] for fold in folds] == ["fold"] * 3
    assert [fold.info.status for fold in folds] == ["FINISHED"] * 3
    assert [(fold.data.params["data.folds"], fold.data.params["data.fold"]) for fold in folds] == [
        ("3", "0"), ("3", "1"), ("3", "2")
    ]  # fmt: skip
    assert len({fold.data.tags["data_digest"] for fold in folds}) == 3
    assert whole.value == run.data.metrics["val_auc"] == pytest.approx(np.mean(values), abs=1e-12)
    assert history(whole.run_id, "val_auc") == [*enumerate(values, 1), (4, whole.value)]
    assert trials_of("tiny")[0].intermediate_values == pytest.approx(
        {1: values[0], 2: np.mean(values[:2]), 3: np.mean(values)}, abs=1e-12
    )
    assert run.data.metrics["train_seconds"] == pytest.approx(sum(f.data.metrics["train_seconds"] for f in folds))
    assert run.data.metrics["parameters"] == folds[0].data.metrics["parameters"]
    assert "train_loss" not in run.data.metrics
    assert (run.data.tags["folds"], run.data.tags["data_digest"]) == ("3", data.digest)
    out_of_fold = stored_predictions(client, run, "val")
    assert len(out_of_fold) == len(data.train) + len(data.val)
    assert out_of_fold["row"].is_monotonic_increasing
    for fold in folds:
        own, number = stored_predictions(client, fold, "val"), int(fold.data.tags["fold"])
        of_it = out_of_fold[out_of_fold["fold"] == number].drop(columns="fold")
        assert own.equals(of_it.reset_index(drop=True))
    interval = result.ties.intervals[0]
    assert interval.value == pytest.approx(whole.value)
    assert interval.low < whole.value < interval.high

    # a trial that is pruned ends after the fold that decided, and keeps no checkpoint
    (only,) = folds_of(pruned.run_id)
    assert pruned.value == only.data.metrics["val_auc"]
    assert "predictions" not in {entry.path for entry in client.list_artifacts(str(pruned.run_id))}
    assert client.list_artifacts(only.info.run_id, "checkpoints") == []
    assert {entry.path for entry in client.list_artifacts(folds[0].info.run_id, "checkpoints")} == {
        "checkpoints/best.pt", "checkpoints/stage1_best.pt"
    }  # fmt: skip

    # it has no model, and says what makes one of it
    (candidate,) = find_runs(client, "tiny")
    assert candidate.run_id == whole.run_id
    way_out = f"trained on 3 folds, each with a model of its own; `mobilenet-chest ensemble {whole.run_id}`"
    with pytest.raises(PromotionRefused, match=way_out):
        promote("tiny")
    with pytest.raises(TrackingError, match=way_out):
        trained_model(client, run, run_config(client, run))
    print_sweep(config, result, as_json=False)
    said = capsys.readouterr().out
    assert f"best: trial 0, val_auc {whole.value:.4f} on average over 3 folds" in said
    assert said.endswith("      mobilenet-chest ensemble tiny\n")
    combined = ensemble.run_ensemble([candidate])
    assert combined.members == tuple(fold.info.run_id for fold in folds)
    made = client.get_run(combined.run_id)
    assert made.data.tags["scored_on"] == run.data.tags["scored_on"]
    assert made.data.tags["data_digest"] == data.digest
    assert stored_predictions(client, made, "val").equals(out_of_fold.drop(columns="fold"))


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
    (interrupted, _) = trials_of("tiny")
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
    found, expected = (client.get_run(str(one.best.run_id)).data.metrics for one in (result, whole))
    assert result.best.value == whole.best.value
    timed = ("train_seconds", "stage1_epochs_reused", "stage1_epochs_trained", "saved_seconds")
    assert {name: value for name, value in found.items() if name not in timed} == {
        name: value for name, value in expected.items() if name not in timed
    }
    assert trials_of("tiny")[1].intermediate_values == trials_of("whole")[0].intermediate_values
