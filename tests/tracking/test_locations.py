"""Artifacts whose folder was moved: said before any training, and where an artifact is missed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from mlflow import MlflowClient

from mobilenet_chest.errors import TrackingError
from mobilenet_chest.tracking.artifacts import artifact
from mobilenet_chest.tracking.locations import check_experiment, local_folder


def test_addresses_of_artifacts() -> None:
    assert local_folder("file:///a/b%20c") == Path("/a/b c")
    assert local_folder("/a/b") == Path("/a/b")
    assert [local_folder(uri) for uri in ("s3://a/b", "mlflow-artifacts:/1", "gs://a")] == [None] * 3


def test_a_fresh_store_is_not_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    check_experiment("chest")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_was_moved(tracking: Path) -> None:
    client, old = MlflowClient(), tracking / "old"
    (old / "mlruns").mkdir(parents=True)
    experiment = client.create_experiment("chest", artifact_location=(old / "mlruns" / "1").as_uri())
    check_experiment("chest")  # its own folder is made with its first artifact
    run = client.create_run(experiment)
    client.log_text(run.info.run_id, "x: 1", "config.yaml")
    shutil.move(old, tracking / "new")
    for attempt in (lambda: check_experiment("chest"), lambda: artifact(client, run, "config.yaml").__enter__()):
        with pytest.raises(TrackingError, match=f"ln -s NEW_PLACE '{old}"):
            attempt()
    assert not old.exists()
    old.symlink_to(tracking / "new")
    check_experiment("chest")
    with artifact(client, run, "config.yaml") as path:
        assert path.read_text() == "x: 1"


def test_an_experiment_that_is_deleted(tracking: Path) -> None:
    client = MlflowClient()
    client.delete_experiment(client.create_experiment("chest"))
    with pytest.raises(TrackingError, match="mlflow experiments restore"):
        check_experiment("chest")
