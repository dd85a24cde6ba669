"""Reading artifacts: where unfinished runs resume, whatever has happened to their files; models and predictions."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.stores import Store
from mlflow import MlflowClient
from mlflow.entities import Run

from mobilenet_chest.config import Config
from mobilenet_chest.errors import TrackingError
from mobilenet_chest.tracking import artifact_writer, artifacts
from mobilenet_chest.tracking.artifacts import resume_point
from mobilenet_chest.tracking.runs import get_run
from mobilenet_chest.tracking.tracker import MlflowTracker
from mobilenet_chest.training.epoch import Record
from mobilenet_chest.two_stage import train

Make = Callable[..., Config]


@pytest.fixture
def unfinished(tracking: Path, phantom_config: Make, monkeypatch: pytest.MonkeyPatch) -> tuple[Run, Path]:
    """A run interrupted after its third epoch, with the checkpoints of its second and third."""
    monkeypatch.setattr(artifact_writer, "CHECKPOINT_SECONDS", 0.0)

    def interrupt(epoch: int, record: Record) -> None:
        if epoch == 3:
            raise KeyboardInterrupt

    tracker = MlflowTracker()
    model = {"name": "timm:mobilenetv2_050", "weights": "none", "hidden": [8]}
    with pytest.raises(KeyboardInterrupt):
        train(phantom_config({"model": model, "stage2.epochs": 3}), tracker, interrupt)
    assert tracker.run_id is not None
    (folder,) = tracking.glob(f"mlruns/*/{tracker.run_id}/artifacts/checkpoints")
    return get_run(MlflowClient(), tracker.run_id), folder


def test_the_newest_is_used(unfinished: tuple[Run, Path]) -> None:
    run, folder = unfinished
    stands = resume_point(MlflowClient(), run)
    assert stands is not None
    assert (stands.progress.epoch, stands.file) == (3, "last-0.pt")
    (folder / "last-0.pt").unlink()
    stands = resume_point(MlflowClient(), run)
    assert stands is not None
    assert (stands.progress.epoch, stands.file) == (2, "last-1.pt")
    (folder / "last-1.pt").unlink()
    assert resume_point(MlflowClient(), run) is None


def test_a_damaged_checkpoint_is_ignored(unfinished: tuple[Run, Path], caplog: pytest.LogCaptureFixture) -> None:
    """Cut off anywhere, or with a byte changed anywhere: never other values than were written."""
    run, folder = unfinished
    newest, chance = folder / "last-0.pt", random.Random(5)
    whole = newest.read_bytes()
    expected = resume_point(MlflowClient(), run)
    assert expected is not None
    for attempt in range(8):
        place = chance.randrange(len(whole))
        newest.write_bytes(whole[:place] if attempt % 2 else whole[:place] + b"\xa5" + whole[place + 1 :])
        caplog.clear()
        stands = resume_point(MlflowClient(), run)
        assert stands is not None
        if "last-0.pt is damaged" in caplog.text:
            assert (stands.progress.epoch, stands.file) == (2, "last-1.pt")
        else:  # a byte between the entries of the file, which nothing reads
            assert attempt % 2 == 0
            assert stands.progress.history == expected.progress.history


def test_an_unknown_run(tracking: Path) -> None:
    with pytest.raises(TrackingError, match="no run none at"):
        get_run(MlflowClient(), "none")


class TestReadingBack:
    def test_the_config_is_the_one_trained(self, store: Store) -> None:
        assert artifacts.run_config(store.client, store.run(store.single)) == store.single_config

    def test_a_trial_s_config_has_its_own_values_and_no_search(self, store: Store) -> None:
        trials = [store.run(trial) for trial in store.trials]
        configs = [artifacts.run_config(store.client, trial) for trial in trials]
        assert sorted(config.model.dropout for config in configs) == [0.2, 0.6]
        for trial, config in zip(trials, configs, strict=True):
            assert trial.data.params["model.dropout"] == str(config.model.dropout)
            assert config.search == {}

    def test_predictions_have_a_row_for_each_validation_image(self, store: Store) -> None:
        table = artifacts.stored_predictions(store.client, store.run(store.single), "val")
        assert list(table) == ["row", "label", "probability", "probability_tta"]
        assert len(table) == 34
        assert table["probability_tta"].between(0, 1).all()

    def test_a_missing_artifact_is_named(self, store: Store) -> None:
        with pytest.raises(TrackingError, match=f"{store.single[:8]} has no predictions/test.parquet"):
            artifacts.stored_predictions(store.client, store.run(store.single), "test")

    def test_a_removed_checkpoint_says_why(self, store: Store) -> None:
        run: Run = store.run(store.trials[1 - store.best])
        with pytest.raises(TrackingError, match=r"tracking\.keep_checkpoints"):
            artifacts.trained_model(store.client, run, artifacts.run_config(store.client, run))

    def test_a_config_of_another_schema_is_refused(self, store: Store) -> None:
        store.client.log_text(store.single, "name: tiny\nnot_a_key: 1\n", "config.yaml")
        with pytest.raises(TrackingError, match=r"config\.yaml .*not_a_key"):
            artifacts.run_config(store.client, store.run(store.single))
