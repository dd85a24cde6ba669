"""Where unfinished runs stand, whatever has happened to their files."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from mobilenet_chest.config import Config
from mobilenet_chest.errors import TrackingError
from mobilenet_chest.tracking import MlflowTracker, artifact_writer
from mobilenet_chest.tracking.artifacts import resume_point
from mobilenet_chest.tracking.runs import get_run
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
