"""Whole sweeps on a tiny file: what is run, what is recorded of it, and what running the same again does."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import mlflow
import optuna
import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from mobilenet_chest.config import Config
from mobilenet_chest.errors import ConfigError, StudyError, SweepFailed
from mobilenet_chest.sweep import SweepResult, check, remaining_trials, run_sweep, trial_run
from mobilenet_chest.sweep.space import grid_points
from mobilenet_chest.sweep.supervisor import FAILURES_LIMIT
from mobilenet_chest.tracking.runs import nested_runs
from mobilenet_chest.training.progress import StageCost
from mobilenet_chest.training.stages import prepare

Make = Callable[..., Config]

RANGE = {"stage2.lr": {"low": 1e-4, "high": 1e-2, "log": True}}
TOO_HIGH = 1e30
"""A learning rate after which nothing is finite any more."""


def runs_of(result: SweepResult) -> dict[int, Run]:
    """The nested runs, by number of the trial."""
    return {int(run.data.tags["trial"]): run for run in nested_runs(MlflowClient(), result.run_id)}


def files(run_id: str, folder: str = "") -> set[str]:
    return {entry.path for entry in MlflowClient().list_artifacts(run_id, folder or None)}


def stored(url: str = "sqlite:///optuna.db", name: str = "tiny") -> list[optuna.trial.FrozenTrial]:
    """The trials as Optuna itself reads them."""
    storage = optuna.storages.RDBStorage(url)
    trials = optuna.load_study(study_name=name, storage=storage).get_trials()
    storage.remove_session()
    storage.engine.dispose()
    return trials


def test_two_worker_processes_share_a_study(tracking: Path, tiny_search: Make) -> None:
    config = tiny_search(RANGE, {"tracking": {"keep_checkpoints": 1}}, trials=3)
    seen: list[Any] = []
    result = run_sweep(config, workers=2, on_status=seen.append)
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
    nested = runs_of(result)
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
        assert run.data.metrics["val_auc"] == trial.value
        assert files(run.info.run_id, "predictions") == {"predictions/val.parquet"}
        assert files(run.info.run_id, "plots") == {
            "plots/reliability.png", "plots/threshold_curve.png", "plots/training_curves.png",
            "plots/val_predictions.png",
        }  # fmt: skip
        kept = {"checkpoints/stage1_best.pt", "checkpoints/best.pt"} if trial.number == result.best.number else set()
        assert files(run.info.run_id, "checkpoints") == kept


def test_the_same_again_does_nothing_and_more_trials_go_on(here: Path, tiny_search: Make) -> None:
    config = tiny_search(RANGE, {"tracking": {"keep_checkpoints": 1}}, trials=2)
    assert remaining_trials(config) == 2
    first = run_sweep(config)
    assert remaining_trials(config) == 0
    before = stored()
    again = run_sweep(config)
    assert (again.new_trials, again.run_id, again.trials) == (0, first.run_id, first.trials)
    assert stored() == before

    more = tiny_search(RANGE, {"tracking": {"keep_checkpoints": 1}}, trials=4)
    assert remaining_trials(more) == 2
    continued = run_sweep(more)
    assert (continued.new_trials, continued.run_id, continued.complete) == (2, first.run_id, True)
    assert continued.trials[:2] == first.trials
    assert len({trial.params["stage2.lr"] for trial in continued.trials}) == 4
    runs = runs_of(continued)
    assert sorted(runs) == [0, 1, 2, 3]
    with_checkpoints = [number for number, run in runs.items() if files(run.info.run_id, "checkpoints")]
    assert with_checkpoints == [continued.best.number]
    assert all(files(run.info.run_id, "predictions") for run in runs.values())

    assert files(continued.run_id) == {"config.yaml", "leaderboard.csv", "plots"}
    assert files(continued.run_id, "plots") == {"plots/study.html"}
    path = mlflow.artifacts.download_artifacts(run_id=continued.run_id, artifact_path="leaderboard.csv")
    table = pd.read_csv(path)
    assert list(table.columns) == [
        "trial", "state", "val_auc", "val_auc_low", "val_auc_high", "tied", "seconds", "run_id", "stage2.lr",
    ]  # fmt: skip
    assert list(table["val_auc"]) == sorted(table["val_auc"], reverse=True)
    assert table["trial"][0] == continued.best.number
    assert set(table["run_id"]) == {run.info.run_id for run in runs.values()}
    page = mlflow.artifacts.download_artifacts(run_id=continued.run_id, artifact_path="plots/study.html")
    text = Path(page).read_text(encoding="utf-8")
    assert "<h1>Study tiny</h1>" in text
    assert text.count("<tr") == 5
    assert "https://cdn" not in text.split("</head>")[0]

    wider = tiny_search({"stage2.lr": {"low": 1e-5, "high": 1e-2, "log": True}}, trials=6)
    with pytest.raises(StudyError, match=r"study 'tiny' exists with another search .*different: search\.stage2\.lr\)"):
        check(wider)
    with pytest.raises(StudyError, match=r"different: data\.image_size\)"):
        check(tiny_search(RANGE, {"data.image_size": 48}, trials=6))
    check(tiny_search(RANGE, {"gates.sensitivity": 0.9}, trials=6))
    assert len(stored()) == 4


def test_a_grid_is_run_precisely_and_a_failure_does_not_stop_it(here: Path, tiny_search: Make) -> None:
    search = {"stage2.lr": {"choices": [1e-3, TOO_HIGH]}, "model.stem": {"choices": ["mean", "sum"]}}
    config = tiny_search(search, trials=50, sampler="grid")
    result = run_sweep(config)
    assert [trial.params for trial in result.trials] == grid_points(config)
    assert result.complete
    assert len(stored()) == 4
    failed = [trial for trial in result.trials if trial.params["stage2.lr"] == TOO_HIGH]
    runs = runs_of(result)
    assert [trial.state for trial in result.trials].count("FAIL") == len(failed) == 2
    for trial in failed:
        run = runs[trial.number]
        assert (trial.state, trial.value, trial.run_id) == ("FAIL", None, run.info.run_id)
        assert trial.reason is not None
        assert trial.reason.startswith("TrainingDiverged: epoch 2: train_loss is ")
        assert (run.info.status, run.data.tags["trial_state"]) == ("FAILED", "FAIL")
        assert run.data.tags["failure"] == trial.reason
    assert result.best.params["stage2.lr"] == 1e-3
    metrics = MlflowClient().get_run(result.run_id).data.metrics
    counts = {name: metrics[f"trials_{name}"] for name in ("complete", "pruned", "fail")}
    assert counts == {"complete": 2, "pruned": 0, "fail": 2}


def test_a_failed_trial_keeps_no_checkpoint(here: Path, tiny_search: Make) -> None:
    """Its first stage went well, and left one behind."""
    result = run_sweep(tiny_search({"stage2.lr": {"choices": [1e-3, TOO_HIGH]}}, sampler="grid"))
    (failed,) = [trial for trial in result.trials if trial.state == "FAIL"]
    assert failed.run_id is not None
    assert files(failed.run_id, "checkpoints") == set()
    assert files(result.best.run_id or "", "checkpoints") != set()


def test_a_sweep_whose_first_trials_all_fail_is_given_up(here: Path, tiny_search: Make) -> None:
    config = tiny_search({"stage2.lr": {"low": 1e25, "high": 1e30, "log": True}}, {"stage1.epochs": 0}, trials=10)
    with pytest.raises(SweepFailed) as caught:
        run_sweep(config)
    message = str(caught.value)
    assert message.startswith("study 'tiny': its first trials all failed; the last failure: TrainingDiverged: epoch 1")
    assert "\n" not in message
    assert [trial.state.name for trial in stored()] == ["FAIL"] * FAILURES_LIMIT
    runs = MlflowClient().search_runs([MlflowClient().get_experiment_by_name("tiny").experiment_id])
    assert sorted((run.data.tags["kind"], run.info.status) for run in runs) == [
        ("study", "FAILED"),
        *[("trial", "FAILED")] * FAILURES_LIMIT,
    ]


def test_nan_is_never_the_best(here: Path, tiny_search: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """The figures of a trial are made up here: a real training stops before it comes to that."""
    values = iter([math.nan, 0.6, math.inf, 0.7])

    def trained(config: Config, tracker: Any, on_epoch: Any, resume: None) -> Any:
        data = prepare(config).data
        with tracker.run(config, data):
            return SimpleNamespace(metrics={"val_auc": next(values)} | StageCost().metrics(), status="finished")

    monkeypatch.setattr(trial_run, "train", trained)
    result = run_sweep(tiny_search(RANGE, trials=4))
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


def test_a_pruned_trial_is_tagged_and_counts(here: Path, tiny_search: Make) -> None:
    """The last point of the grid learns nothing: its loss stays above the others' median."""
    bad = 1e-9
    search = {"stage2.lr": {"choices": [bad, 1e-3, 1.5e-3, 2e-3, 2.5e-3]}}
    settings = {"sampler": "grid", "pruner": "median", "metric": "val_loss", "direction": "minimize", "trials": 5}
    values = {"stage1.epochs": 0, "stage2.epochs": 3, "loss": {"name": "bce"}}
    seed = next(
        seed
        for seed in range(100)
        if grid_points(tiny_search(search, values | {"seed": seed}, **settings))[-1]["stage2.lr"] == bad
    )
    result = run_sweep(tiny_search(search, values | {"seed": seed}, **settings))
    assert [trial.state for trial in result.trials] == ["COMPLETE"] * 4 + ["PRUNED"]
    pruned = result.trials[-1]
    run = runs_of(result)[4]
    assert pruned.run_id == run.info.run_id
    assert (run.info.status, run.data.tags["trial_state"]) == ("FINISHED", "PRUNED")
    history = MlflowClient().get_metric_history(run.info.run_id, "train_loss")
    assert 1 <= len(history) < 3
    assert pruned.value == MlflowClient().get_metric_history(run.info.run_id, "val_loss")[len(history) - 1].value
    assert files(run.info.run_id, "checkpoints") == set()
    assert files(run.info.run_id, "predictions") == {"predictions/val.parquet"}
    assert remaining_trials(tiny_search(search, values | {"seed": seed}, **settings)) == 0


def test_trials_that_differ_in_stage_2_share_stage_1(here: Path, tiny_search: Make) -> None:
    """Two settings of stage 1 by two of stage 2: two stage 1s are trained."""
    search = {"stage1.lr": {"choices": [1e-3, 1e-2]}, "stage2.lr": {"choices": [1e-4, 1e-3]}}
    result = run_sweep(tiny_search(search, {"stage1.epochs": 3}, sampler="grid", trials=4))
    assert (result.stage1["stage1_epochs_trained"], result.stage1["stage1_epochs_reused"]) == (6, 6)
    assert result.stage1["saved_seconds"] > 0
    parent = MlflowClient().get_run(result.run_id).data.metrics
    assert {name: parent[name] for name in result.stage1} == result.stage1
    for run in runs_of(result).values():
        # the run of a trial that took its stage 1 over has its curves all the same
        history = MlflowClient().get_metric_history(run.info.run_id, "train_loss")
        assert [point.step for point in history] == [1, 2, 3, 4]
    again = run_sweep(tiny_search(search, {"stage1.epochs": 3}, sampler="grid", trials=4, name="other"))
    assert (again.stage1["stage1_epochs_trained"], again.stage1["stage1_epochs_reused"]) == (0, 12)


@pytest.mark.parametrize(("budget", "steps"), [("epoch", [1, 2, 3, 4]), ("phase", [2, 4])])
def test_when_the_pruner_is_asked(here: Path, tiny_search: Make, budget: str, steps: list[int]) -> None:
    values = {"stage1.epochs": 0, "stage2": {"epochs": 4, "resolutions": [16, 32]}}
    run_sweep(tiny_search({"stage2.lr": {"choices": [1e-4]}}, values, budget=budget, trials=1))
    assert sorted(stored()[0].intermediate_values) == steps


def test_epochs_taken_over_are_not_reported(here: Path, tiny_search: Make) -> None:
    search = {"stage2.lr": {"choices": [1e-4, 1e-3]}}
    run_sweep(tiny_search(search, {"stage1.epochs": 2}, sampler="grid", trials=2))
    assert [sorted(trial.intermediate_values) for trial in stored()] == [[1, 2, 3], [3]]


@pytest.mark.parametrize("search", [{"low": 0, "high": 17}, {"choices": [0, [20, 3]]}])
def test_a_block_that_no_trial_will_find(here: Path, tiny_search: Make, search: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"search\.stage2\.unfreeze_from: (17|20), but .* has 17 blocks"):
        check(tiny_search({"stage2.unfreeze_from": search}, {"stage2.epochs": 2, "model.name": "mobilenet_v3_large"}))
    check(tiny_search({"stage2.unfreeze_from": {"low": 0, "high": 16}}, {"model.name": "mobilenet_v3_large"}))


def test_what_cannot_be_searched_is_refused_before_anything_is_made(here: Path, tiny_search: Make) -> None:
    before = sorted(path.name for path in here.iterdir())
    with pytest.raises(ConfigError, match="tiny: nothing to search"):
        check(tiny_search({}))
    with pytest.raises(ConfigError, match="sampler grid needs choices"):
        run_sweep(tiny_search(RANGE, sampler="grid"))
    assert remaining_trials(tiny_search(RANGE)) == 2
    assert sorted(path.name for path in here.iterdir()) == before


def test_no_trial_is_begun_after_the_time_is_up(here: Path, tiny_search: Make) -> None:
    config = tiny_search(RANGE)
    with pytest.raises(SweepFailed, match="no trial was completed; no trial was begun"):
        run_sweep(config, timeout=0.0)
    assert stored() == []
    assert remaining_trials(config) == 2


# --- several objectives --------------------------------------------------------------------------------------------


def test_a_front_of_several_objectives(here: Path, tiny_search: Make) -> None:
    search = {"model.hidden": {"choices": [[2], [8], [32]]}, "stage2.lr": {"choices": [1e-3, 3e-3]}}
    config = tiny_search(search, {"tracking": {"keep_checkpoints": 0}}, trials=6, sampler="grid", also=["parameters"])
    result = run_sweep(config)
    points = {trial.number: (trial.value or 0.0, *trial.also) for trial in result.trials}
    assert len({parameters for _, parameters in points.values()}) == 3

    def beaten(point: tuple[float, ...]) -> bool:
        """Another is at least as good in both, and better in one."""
        value, size = point
        return any(v >= value and s <= size and (v, s) != (value, size) for v, s in points.values())

    assert result.front == [number for number, point in points.items() if not beaten(point)]
    assert 0 < len(result.front) < 6
    assert result.best.value == max(value for value, _ in points.values())
    assert all(len(trial.values) == 2 and not trial.intermediate_values for trial in stored())

    client = MlflowClient()
    assert client.get_run(result.run_id).data.tags["pareto_front"] == ",".join(map(str, result.front))
    table = pd.read_csv(mlflow.artifacts.download_artifacts(run_id=result.run_id, artifact_path="leaderboard.csv"))
    assert set(table.loc[table["on_front"], "trial"]) == set(result.front)
    assert dict(zip(table["trial"], table["parameters"], strict=True)) == {n: p for n, (_, p) in points.items()}
    page = Path(mlflow.artifacts.download_artifacts(run_id=result.run_id, artifact_path="plots/study.html"))
    assert "<h2>Pareto front</h2>" in page.read_text(encoding="utf-8")
    for number, run in runs_of(result).items():
        assert bool(files(run.info.run_id, "checkpoints")) == (number in result.front)
    assert run_sweep(config).new_trials == 0


def test_latency_is_an_objective(here: Path, tiny_search: Make) -> None:
    result = run_sweep(tiny_search(RANGE, trials=1, also=["latency_1_ms", "train_seconds"]))
    (trial,) = result.trials
    metrics = runs_of(result)[0].data.metrics
    assert trial.also == (metrics["latency_1_ms"], metrics["train_seconds"])
    assert 0 < metrics["latency_1_ms"] < 10_000
    assert result.front == [0]
