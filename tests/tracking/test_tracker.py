"""What a run leaves in MLflow, and how it ends."""

from __future__ import annotations

import json
import os
import pwd
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import mlflow
import pandas as pd
import pytest
import yaml
from helpers.experiments import LARGE_MODEL
from helpers.outbox import AwayStore
from mlflow import MlflowClient
from mlflow.entities import Run

from mobilenet_chest.config import Config, flatten, load
from mobilenet_chest.data.dataset import load_train_val
from mobilenet_chest.errors import OwnershipLost, TrackingError, TrainingDiverged
from mobilenet_chest.tracking import store
from mobilenet_chest.tracking.artifacts import resume_point
from mobilenet_chest.tracking.description import run_params, run_tags
from mobilenet_chest.tracking.environment import hardware, software
from mobilenet_chest.tracking.outbox.journal import outbox_folder
from mobilenet_chest.tracking.run_metrics import metric_history, metrics_of
from mobilenet_chest.tracking.run_settings import FIELDS, settings_of
from mobilenet_chest.tracking.tracker import MlflowTracker
from mobilenet_chest.training.epoch import Record
from mobilenet_chest.two_stage import train

Make = Callable[..., Config]


def only_run(experiment: str = "tiny") -> Run:
    client = MlflowClient()
    (run,) = client.search_runs([client.get_experiment_by_name(experiment).experiment_id])
    return run


def artifacts(run: Run) -> set[str]:
    client = MlflowClient()
    folders = [item for item in client.list_artifacts(run.info.run_id) if item.is_dir]
    files = {item.path for item in client.list_artifacts(run.info.run_id) if not item.is_dir}
    return files | {item.path for folder in folders for item in client.list_artifacts(run.info.run_id, folder.path)}


def test_a_run_holds_what_the_contract_lists(tracking: Path, phantom_config: Make) -> None:
    config = phantom_config(LARGE_MODEL | {"tracking.plots": True})
    result = train(config, MlflowTracker(tags={"note": "mine"}))
    run, data = only_run(), load_train_val(config.data)
    assert run.info.run_id == result.run_id
    assert (run.info.status, run.info.run_name) == ("FINISHED", "tiny")

    assert run.data.params == run_params(config)
    assert settings_of(run) == {name: flatten(config.resolved())[name] for name in FIELDS}
    tags = run.data.tags
    assert {name: tags[name] for name in ("kind", "note", "model", "weights", "dataset", "classes")} == {
        "kind": "train", "note": "mine", "model": "mobilenet_v3_large", "weights": "none", "dataset": "chestmnist",
        "classes": "cardiomegaly / pneumothorax",
    }  # fmt: skip
    assert (tags["config_digest"], tags["data_digest"]) == (config.digest(), data.digest)
    assert tags["val_digest"] == data.val.digest[:16]
    assert {"git_commit", "git_dirty", "package_version"} <= set(tags)
    assert (tags["software"], tags["hardware"]) == (software(), hardware("cpu"))
    assert tags["git_dirty"] in {"true", "false", "unknown"}

    client = MlflowClient()
    for name, values in {name: [record[name] for record in result.history] for name in result.history[0]}.items():
        logged = {metric.step: metric.value for metric in metric_history(client, run.info.run_id, name)}
        final = {0: result.metrics[name]} if name in result.metrics else {}
        assert logged == {1: values[0], 2: values[1]} | final
    assert {name: metrics_of(run)[name] for name in result.metrics} == result.metrics

    assert artifacts(run) == {
        "config.yaml", "checkpoints/stage1_best.pt", "checkpoints/best.pt", "predictions/val.parquet",
        "plots/reliability.png", "plots/threshold_curve.png", "plots/training_curves.png", "plots/val_predictions.png",
    }  # fmt: skip
    folder = Path(client.download_artifacts(run.info.run_id, ""))
    assert load(folder / "config.yaml") == config
    table = pd.read_parquet(folder / "predictions" / "val.parquet")
    assert list(table.columns) == ["row", "label", "probability", "probability_tta"]
    for name in table:
        assert table[name].tolist() == getattr(result.predictions, str(name)).tolist()

    inputs = {item.tags[0].value: item.dataset for item in run.inputs.dataset_inputs}
    assert set(inputs) == {"train", "val"}
    assert inputs["val"].digest == data.val.digest[:16]
    assert json.loads(inputs["val"].profile)["rows"] == 34


def test_a_nested_run(tracking: Path, phantom_config: Make) -> None:
    config, data = phantom_config({"search": {"seed": {"low": 1, "high": 3}}}), load_train_val(phantom_config().data)
    parent = MlflowTracker("study", name="wide")
    parent.start(config, data)
    child = MlflowTracker("trial", tags={"trial": "4"}, parent=parent.run_id, searched=["model.dropout"])
    with child.run(phantom_config(), data):
        child.log_metrics({"val_auc": 0.5}, 1)
        child.log_tags({"state": "fine"})
    client = MlflowClient()
    run = client.get_run(child.run_id)
    assert run.data.tags["mlflow.parentRunId"] == parent.run_id
    assert (run.data.tags["kind"], run.data.tags["trial"], run.data.tags["state"]) == ("trial", "4", "fine")
    assert "search.seed.low" not in run.data.params
    assert float(run.data.params["model.dropout"]) == phantom_config().model.dropout
    parent_run = client.get_run(parent.run_id)
    assert (parent_run.info.status, parent_run.info.run_name) == ("RUNNING", "wide")
    assert parent_run.data.params["search.seed.high"] == "3.0"
    text = mlflow.artifacts.load_text(f"{parent_run.info.artifact_uri}/config.yaml")
    assert yaml.safe_load(text)["search"]["seed"]["low"] == 1


def test_a_history_at_once(tracking: Path, phantom_config: Make) -> None:
    """More figures than MLflow takes in one call."""
    config = phantom_config()
    tracker = MlflowTracker()
    with tracker.run(config, load_train_val(config.data)):
        tracker.log_history([{"val_auc": epoch / 1000, "val_loss": 1.0} for epoch in range(700)])
        tracker.log_history([])
    assert tracker.run_id is not None
    points = metric_history(MlflowClient(), tracker.run_id, "val_auc")
    assert [(point.step, point.value) for point in points] == [(epoch + 1, epoch / 1000) for epoch in range(700)]


def test_a_keyboard_interrupt_kills_and_the_run_goes_on(tracking: Path, phantom_config: Make) -> None:
    config = phantom_config()

    def interrupt(epoch: int, record: Record) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(config, MlflowTracker(), on_epoch=interrupt)
    run = only_run()
    assert run.info.status == "KILLED"
    assert {"checkpoints/last-0.pt", "checkpoints/best.pt"} <= artifacts(run)

    started: list[str] = []
    tracker = MlflowTracker(resume=run.info.run_id, on_start=started.append)
    resumed = train(config, tracker, resume=resume_point(MlflowClient(), run))
    assert started == [resumed.run_id] == [run.info.run_id]
    assert only_run().info.status == "FINISHED"
    assert not {"checkpoints/last-0.pt", "checkpoints/last-1.pt"} & artifacts(run)
    steps = [metric.step for metric in metric_history(MlflowClient(), run.info.run_id, "train_loss")]
    assert steps == [1, 2]


def test_what_is_there_is_not_logged_again(tracking: Path, phantom_config: Make) -> None:
    """Killed after it had logged an epoch whose checkpoint it had not kept, or the other way round."""
    config = phantom_config()
    data = load_train_val(config.data)
    first = MlflowTracker()
    first.start(config, data)
    first.log_history([{"val_auc": 0.5, "lr": 1.0}])
    first.log_history([{"val_auc": 0.6}], 2)
    first.log_metrics({"val_auc": 0.55})
    first.log_metrics({"val_auc": 0.6}, 4)
    again = MlflowTracker(resume=first.run_id)
    with again.run(config, data):
        again.log_history([{"val_auc": 0.5, "lr": 1.0}, {"val_auc": 0.6, "lr": 0.9}])
        again.log_history([{"val_auc": 0.7, "lr": 0.8}], 3)
        again.log_metrics({"val_auc": 0.65})
        again.log_metrics({"val_auc": 0.7}, 4)
    assert first.run_id is not None
    history = {
        name: [(point.step, point.value) for point in metric_history(MlflowClient(), first.run_id, name)]
        for name in ("val_auc", "lr")
    }
    assert history == {
        "val_auc": [(1, 0.5), (2, 0.6), (3, 0.7), (0, 0.65), (4, 0.6)],
        "lr": [(1, 1.0), (2, 0.9), (3, 0.8)],
    }


def test_a_failed_run_says_why(tracking: Path, phantom_config: Make) -> None:
    with pytest.raises(TrainingDiverged):
        train(phantom_config({"stage1.lr": 1e38, "stage1.epochs": 3, "optimizer.clip_norm": None}), MlflowTracker())
    run = only_run()
    assert run.info.status == "FAILED"
    assert run.data.tags["failure"].startswith("TrainingDiverged: epoch ")


def test_artifacts_that_cannot_be_written_leave_no_running_run(tracking: Path, phantom_config: Make) -> None:
    (tracking / "mlruns").write_text("in the way of the folder")
    tracker = MlflowTracker()
    config = phantom_config()
    with pytest.raises((TrackingError, OSError)), tracker.run(config, load_train_val(config.data)):
        pytest.fail("the run was entered")
    client = MlflowClient()
    found = client.get_experiment_by_name("tiny")
    runs = client.search_runs([found.experiment_id]) if found else []
    assert [run.info.status for run in runs if run.info.status == "RUNNING"] == []


def test_a_user_without_an_account(tracking: Path, phantom_config: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """A container started with a user number of its own has no name for it."""
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 54321)
    with pytest.raises(KeyError):
        pwd.getpwuid(54321)
    config = phantom_config()
    assert run_tags(config, load_train_val(config.data))["model"] == "mobilenet_v3_small"


def test_a_run_that_was_given_to_another_is_left_as_it_is(tracking: Path, phantom_config: Make, tmp_path: Path) -> None:
    lost = False

    @contextmanager
    def guard() -> Iterator[None]:
        if lost:
            raise OwnershipLost("not ours")
        yield

    config, file = phantom_config(), tmp_path / "note.txt"
    file.write_text("late")
    tracker = MlflowTracker(guard=guard)

    def write_late() -> None:
        nonlocal lost
        with tracker.run(config, load_train_val(config.data)):
            tracker.log_metrics({"train_loss": 0.5}, step=1)
            lost = True
            for late in (
                lambda: tracker.log_metrics({"train_loss": 0.4}, step=2),
                lambda: tracker.log_history([{"val_loss": 0.4}]),
                lambda: tracker.log_tags({"late": "yes"}),
                lambda: tracker.log_file(file),
                lambda: tracker.remove_file("config.yaml"),
            ):
                with pytest.raises(OwnershipLost):
                    late()
            tracker.log_metrics({"train_loss": 0.4}, step=2)

    with pytest.raises(OwnershipLost):
        write_late()
    run = only_run()
    assert (run.info.status, metrics_of(run)) == ("RUNNING", {"train_loss": 0.5})
    assert {"late", "failure"} & run.data.tags.keys() == set()
    assert artifacts(run) == {"config.yaml"}


def test_a_failure_does_not_show_the_store_s_password(
    tracking: Path, phantom_config: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, tracker = phantom_config(), MlflowTracker()

    def fail() -> None:
        with tracker.run(config, load_train_val(config.data)):
            monkeypatch.setattr(store, "tracking_uri", lambda: "http://ann:hush@127.0.0.1:9")
            raise RuntimeError("API request to http://ann:hush@127.0.0.1:9/api failed")

    with pytest.raises(RuntimeError):
        fail()
    assert only_run().data.tags["failure"] == "RuntimeError: API request to http://ann:***@127.0.0.1:9/api failed"


def test_a_run_that_is_over_is_not_written_later(
    away_store: AwayStore, tracker: MlflowTracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mobilenet_chest.tracking.tracker.send", away_store.send)
    later = MlflowTracker(resume=tracker.run_id)
    away_store.away = True
    with pytest.raises(TrackingError, match="nobody there"):
        later.log_metrics({"test_auc": 0.5}, 0)
    assert list(outbox_folder().iterdir() if outbox_folder().exists() else []) == []
