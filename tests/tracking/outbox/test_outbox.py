"""Journals of all processes: the end of a command, runs that are resumed, one process at a time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from helpers.outbox import AwayStore, as_if_it_had_died, journal_of, steps
from mlflow import MlflowClient

from mobilenet_chest.cli.errors import exit_codes
from mobilenet_chest.config import Config
from mobilenet_chest.data.dataset import load_train_val
from mobilenet_chest.errors import NotDelivered, TrackingError, TrainingDiverged
from mobilenet_chest.selection.resume import find_resume_point
from mobilenet_chest.tracking.outbox import journal as journal_module
from mobilenet_chest.tracking.outbox import outbox
from mobilenet_chest.tracking.outbox.journal import outbox_folder
from mobilenet_chest.tracking.outbox.outbox import process_outbox
from mobilenet_chest.tracking.tracker import MlflowTracker
from mobilenet_chest.training import checkpoint
from mobilenet_chest.training.progress import Progress

Make = Callable[..., Config]


def test_what_a_process_left_that_was_killed_while_it_removed_one(
    away_store: AwayStore, tracker: MlflowTracker
) -> None:
    away_store.away = True
    tracker.log_metrics({"val_auc": 0.1}, 1)
    journal = as_if_it_had_died(tracker)
    (journal.folder / "writes.jsonl").unlink()
    (journal.folder / "header.json").unlink()
    assert process_outbox().flush_all() == []
    assert list(outbox_folder().iterdir()) == []


def end_with(error: BaseException | None) -> None:
    """As a command ends."""
    with exit_codes():
        if error is not None:
            raise error


def test_never_back(away_store: AwayStore, tracker: MlflowTracker, capsys: pytest.CaptureFixture[str]) -> None:
    """The end of a command says where it lies, and what it has come to stands."""
    away_store.away = True
    tracker.log_metrics({"val_auc": 0.1}, 1)
    folder = journal_of(tracker).folder
    with pytest.raises(NotDelivered) as caught:
        process_outbox().flush(0.0)
    line = str(caught.value)
    store = f"sqlite:///{Path.cwd() / 'mlflow.db'}"
    for fact in (f"run {str(tracker.run_id)[:8]}: 1 ", store, str(folder), "`mobilenet-chest repair`"):
        assert fact in line
    capsys.readouterr()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(outbox, "PATIENCE_SECONDS", 0.0)
        for error, code, own_line in (
            (None, 1, []),
            (KeyboardInterrupt(), 130, ["interrupted; run the same command to continue"]),
            (TrackingError("wrong"), 2, ["wrong"]),
            (TrainingDiverged("nan"), 1, ["nan"]),
        ):
            with pytest.raises(typer.Exit) as ended:
                end_with(error)
            assert ended.value.exit_code == code
            assert capsys.readouterr().err.splitlines() == [line, *own_line]
    away_store.away = False
    with exit_codes():
        pass
    assert steps(tracker) == [(1, 0.1)]


def test_a_training_goes_on_from_what_waits(away_store: AwayStore, phantom_config: Make, tmp_path: Path) -> None:
    config, file = phantom_config(), tmp_path / "last-0.pt"
    tracker = MlflowTracker()

    def interrupted() -> None:
        with tracker.run(config, load_train_val(config.data)):
            away_store.away = True
            checkpoint.save(file, {"progress": Progress(epoch=2).state()})
            tracker.log_file(file, "checkpoints")
            tracker.log_history([{"val_auc": 0.1}])
            tracker.log_history([{"val_auc": 0.2}], 2)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert tracker.run_id is not None
    assert (steps(tracker), journal_of(tracker).count()) == ([], 5)  # the last two: description and status
    away_store.away = False
    as_if_it_had_died(tracker)
    stands = find_resume_point(tracker.run_id, config)
    assert stands is not None
    assert (stands.progress.epoch, stands.file) == (2, "last-0.pt")
    assert MlflowClient().get_run(tracker.run_id).info.status == "KILLED"
    again = MlflowTracker(resume=tracker.run_id)
    with again.run(config, load_train_val(config.data)):
        again.log_history([{"val_auc": 0.1}, {"val_auc": 0.2}])
        again.log_history([{"val_auc": 0.3}], 3)
    assert steps(tracker) == [(1, 0.1), (2, 0.2), (3, 0.3)]
    assert list(outbox_folder().iterdir()) == []


def test_one_process_at_a_time(away_store: AwayStore, tracker: MlflowTracker) -> None:
    away_store.away = True
    tracker.log_metrics({"val_auc": 0.1}, 1)
    away_store.away = False
    journal = as_if_it_had_died(tracker)
    assert journal.acquire()
    assert process_outbox().flush_all() == []
    journal.release()
    assert len(process_outbox().flush_all()) == 1
    assert list(outbox_folder().iterdir()) == []


def test_what_another_process_delivers_is_waited_for(
    away_store: AwayStore, tracker: MlflowTracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A training does not go on meanwhile; for a living owner, which has lost the run, nobody waits."""
    away_store.away = True
    tracker.log_metrics({"val_auc": 0.1}, 1)
    away_store.away = False
    journal = as_if_it_had_died(tracker)
    monkeypatch.setattr(outbox, "PATIENCE_SECONDS", 0.0)
    monkeypatch.setattr(journal_module, "may_be_alive", lambda owner: False)
    assert journal.acquire()
    with pytest.raises(TrackingError, match=str(journal.folder)):
        process_outbox().flush_run(journal.run_id)
    monkeypatch.setattr(journal_module, "may_be_alive", lambda owner: True)
    process_outbox().flush_run(journal.run_id)
    assert journal.has_pending
    journal.release()
    process_outbox().flush_run(journal.run_id)
    assert steps(tracker) == [(1, 0.1)]
