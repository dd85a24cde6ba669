"""One journal is sent: in order, once, to the right store, by the right process."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.outbox import AwayStore, as_if_it_had_died, steps
from mlflow import MlflowClient
from mlflow.utils.file_utils import local_file_uri_to_path

from mobilenet_chest.config import Config
from mobilenet_chest.errors import TrackingError
from mobilenet_chest.tracking.outbox.journal import Journal, PendingWrite
from mobilenet_chest.tracking.outbox.outbox import process_outbox
from mobilenet_chest.tracking.provenance import identity
from mobilenet_chest.tracking.tracker import MlflowTracker

Make = Callable[..., Config]


def test_files_that_come_again_are_sent_once(away_store: AwayStore, tracker: MlflowTracker, tmp_path: Path) -> None:
    file, client = tmp_path / "last-0.pt", MlflowClient()
    assert tracker.run_id is not None
    away_store.away = True
    for epoch in range(1, 6):
        file.write_text(f"after epoch {epoch}")
        tracker.log_file(file, "checkpoints")
        tracker.log_metrics({"val_auc": 0.1}, epoch)
    away_store.away = False
    process_outbox().flush()
    # the last contents first: a checkpoint is never behind the metrics
    assert [next(iter(write)) for write in away_store.asked] == ["upload", *["metrics"] * 5]
    folder = Path(local_file_uri_to_path(client.get_run(tracker.run_id).info.artifact_uri)) / "checkpoints"
    assert (folder / "last-0.pt").read_text() == "after epoch 5"

    away_store.away = True
    tracker.log_file(file, "checkpoints")
    tracker.remove_file("checkpoints/last-0.pt")
    file.write_text("another")
    tracker.log_file(file, "checkpoints")
    away_store.away = False
    process_outbox().flush()
    assert (folder / "last-0.pt").read_text() == "another"
    away_store.away = True
    tracker.log_file(file, "checkpoints")
    tracker.remove_file("checkpoints/last-0.pt")
    away_store.away = False
    process_outbox().flush()
    assert client.list_artifacts(tracker.run_id, "checkpoints") == []


@pytest.mark.parametrize("killed_at", range(6))
def test_killed_between_a_write_and_its_place(
    away_store: AwayStore, tracker: MlflowTracker, killed_at: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "last-0.pt"
    file.write_text("whole")
    away_store.away = True
    tracker.log_metrics({"val_auc": 0.1}, 1)
    tracker.log_tags({"note": "mine"})
    tracker.log_file(file, "checkpoints")
    tracker.log_metrics({"val_auc": 0.2}, 2)
    tracker.remove_file("checkpoints/last-1.pt")
    tracker.end(3)
    away_store.away = False
    journal = as_if_it_had_died(tracker)
    count, delivered = 0, Journal.mark_sent

    def killed(self: Journal, waiting: PendingWrite) -> None:
        nonlocal count
        count += 1
        if count == killed_at + 1:
            raise KeyboardInterrupt
        delivered(self, waiting)

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "mark_sent", killed)
        with pytest.raises(KeyboardInterrupt):
            process_outbox().flush_all()
    assert journal.has_pending
    (line,) = process_outbox().flush_all()
    assert f"{6 - killed_at} pending writes sent" in line
    assert steps(tracker) == [(1, 0.1), (2, 0.2)]
    assert len(away_store.asked) == 7
    assert tracker.run_id is not None
    run = MlflowClient().get_run(tracker.run_id)
    assert (run.info.status, run.data.tags["note"]) == ("FINISHED", "mine")


def test_superseded(away_store: AwayStore, tracker: MlflowTracker) -> None:
    """Another process has trained those epochs itself by now."""
    away_store.away = True
    tracker.log_metrics({"val_auc": 0.1}, 1)
    away_store.away = False
    journal = as_if_it_had_died(tracker)
    assert tracker.run_id is not None
    MlflowClient().set_tag(tracker.run_id, "owner", json.dumps(identity() | {"pid": 1}))
    (line,) = process_outbox().flush_all()
    assert f"run {str(tracker.run_id)[:8]}: another process has resumed it" in line
    assert (steps(tracker), journal.folder.exists()) == ([], False)


def test_another_stores(
    away_store: AwayStore, tracker: MlflowTracker, tracking: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    away_store.away = True
    tracker.log_metrics({"val_auc": 0.1}, 1)
    away_store.away = False
    journal = as_if_it_had_died(tracker)
    with monkeypatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tracking / 'other.db'}")
        (line,) = process_outbox().flush_all()
        assert f"are for sqlite:///{tracking / 'mlflow.db'}, not sqlite:///{tracking / 'other.db'}" in line
        with pytest.raises(TrackingError, match=r"other\.db"):
            process_outbox().flush_run(journal.run_id)
    assert not (tracking / "other.db").exists()
    assert journal.count() == 1
    process_outbox().flush_run(journal.run_id)
    assert steps(tracker) == [(1, 0.1)]


def test_refused(away_store: AwayStore, tracker: MlflowTracker) -> None:
    """It stays, and is said each time."""
    away_store.away = True
    tracker.log_metrics({"val_auc": 0.1}, 1)
    away_store.away = False
    journal = as_if_it_had_died(tracker)
    assert tracker.run_id is not None
    MlflowClient().delete_run(tracker.run_id)
    for _ in range(2):
        (line,) = process_outbox().flush_all()
        assert f"run {journal.run_id[:8]}: 1 writes are pending in {journal.folder}: " in line
        assert "refuses them" in line
