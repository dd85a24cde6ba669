"""What waits is delivered: in order, once, to the right store, by the right process."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
import typer
from mlflow import MlflowClient
from mlflow.utils.file_utils import local_file_uri_to_path

from mobilenet_chest.cli.errors import exit_codes
from mobilenet_chest.config import Config
from mobilenet_chest.data.dataset import load_train_val
from mobilenet_chest.errors import NotDelivered, OwnershipLost, TrackingError, TrainingDiverged
from mobilenet_chest.selection.resume import find_resume_point
from mobilenet_chest.tracking import MlflowTracker
from mobilenet_chest.tracking.outbox import delivery, sender
from mobilenet_chest.tracking.outbox.delivery import OWN, flush, flush_all, flush_run
from mobilenet_chest.tracking.outbox.journal import Journal, PendingWrite, journals, outbox_folder
from mobilenet_chest.tracking.outbox.writes import Write, send
from mobilenet_chest.tracking.provenance import identity
from mobilenet_chest.tracking.study_run import prune_checkpoints, sync_trial_runs
from mobilenet_chest.training import checkpoint
from mobilenet_chest.training.progress import Progress

Make = Callable[..., Config]


class Store:
    """The test's own store, which can be away; what it has taken, in order."""

    def __init__(self) -> None:
        self.away, self.taken = False, list[Any]()

    def send(self, client: MlflowClient, run_id: str, write: Write, file: Path | None = None) -> None:
        if self.away:
            raise requests.ConnectionError("nobody there")
        send(client, run_id, write, file)
        self.taken.append(write)


@pytest.fixture
def store(tracking: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    store = Store()
    monkeypatch.setattr(sender, "send", store.send)
    monkeypatch.setattr(delivery, "send", store.send)
    monkeypatch.setattr(sender, "RETRY_SECONDS", 0.0)
    monkeypatch.setattr(sender, "LONGEST_RETRY_SECONDS", 0.0)
    yield store
    OWN.clear()


@pytest.fixture
def tracker(store: Store, phantom_config: Make) -> MlflowTracker:
    tracker = MlflowTracker()
    tracker.start(phantom_config(), load_train_val(phantom_config().data))
    store.taken.clear()
    return tracker


def steps(tracker: MlflowTracker, name: str = "val_auc") -> list[tuple[int, float]]:
    assert tracker.run_id is not None
    return sorted((point.step, point.value) for point in MlflowClient().get_metric_history(tracker.run_id, name))


def as_if_it_had_died(journal: Journal) -> Journal:
    """The journal of a process that is gone, with this one's identity as its owner's."""
    del OWN[journal.folder.name]
    journal.release()
    (found,) = journals()
    return found


def own(tracker: MlflowTracker) -> Journal:
    assert tracker._sender is not None
    return tracker._sender._journal


def test_in_order_when_it_is_back(store: Store, tracker: MlflowTracker, capsys: pytest.CaptureFixture[str]) -> None:
    tracker.log_metrics({"val_auc": 0.1}, 1)
    store.away = True
    for epoch in (2, 3, 4):
        tracker.log_metrics({"val_auc": epoch / 10}, epoch)
    tracker.log_tags({"note": "mine"})
    assert (steps(tracker), own(tracker).count()) == ([(1, 0.1)], 4)
    errors = capsys.readouterr().err
    assert errors.count("is away (nobody there)") == len(errors.splitlines()) == 1
    store.away = False
    tracker.log_metrics({"val_auc": 0.5}, 5)
    assert [write["metrics"][0][3] for write in store.taken if "metrics" in write] == [1, 2, 3, 4, 5]
    assert steps(tracker) == [(epoch, epoch / 10) for epoch in range(1, 6)]
    assert not own(tracker).has_pending
    assert "5 writes that had waited are delivered" in capsys.readouterr().err
    tracker.log_metrics({"val_auc": 0.6}, 6)
    assert steps(tracker)[-1] == (6, 0.6)


def test_time_is_kept(store: Store, tracker: MlflowTracker) -> None:
    """A figure has the time at which it was measured, not that of its delivery."""
    store.away = True
    tracker.log_metrics({"val_auc": 0.5}, 1)
    (waiting,) = own(tracker).pending_writes()
    store.away = False
    flush()
    assert tracker.run_id is not None
    (point,) = MlflowClient().get_metric_history(tracker.run_id, "val_auc")
    assert point.timestamp == waiting.write["metrics"][0][2]


def test_not_tried_all_the_time(store: Store, tracker: MlflowTracker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender, "RETRY_SECONDS", 60.0)
    monkeypatch.setattr(sender, "LONGEST_RETRY_SECONDS", 60.0)
    store.away = True
    tracker.log_metrics({"val_auc": 0.1}, 1)
    store.away = False
    tracker.log_metrics({"val_auc": 0.2}, 2)
    assert (steps(tracker), own(tracker).count()) == ([], 2)
    tracker.end(3)  # the last occasion
    assert steps(tracker) == [(1, 0.1), (2, 0.2)]


def test_a_training_stands_still_for_a_moment_only(
    store: Store, tracker: MlflowTracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender, "DELIVERY_SECONDS", 0.0)
    store.away = True
    for epoch in range(1, 5):
        tracker.log_metrics({"val_auc": 0.1}, epoch)
    store.away = False
    tracker.log_metrics({"val_auc": 0.1}, 5)
    assert own(tracker).count() == 5
    flush()
    assert [step for step, _ in steps(tracker)] == [1, 2, 3, 4, 5]


def test_files_that_come_again_are_sent_once(store: Store, tracker: MlflowTracker, tmp_path: Path) -> None:
    file, client = tmp_path / "last-0.pt", MlflowClient()
    assert tracker.run_id is not None
    store.away = True
    for epoch in range(1, 6):
        file.write_text(f"after epoch {epoch}")
        tracker.log_file(file, "checkpoints")
        tracker.log_metrics({"val_auc": 0.1}, epoch)
    store.away = False
    flush()
    # the last contents first: a checkpoint is never behind the figures
    assert [next(iter(write)) for write in store.taken] == ["upload", *["metrics"] * 5]
    folder = Path(local_file_uri_to_path(client.get_run(tracker.run_id).info.artifact_uri)) / "checkpoints"
    assert (folder / "last-0.pt").read_text() == "after epoch 5"

    store.away = True
    tracker.log_file(file, "checkpoints")
    tracker.remove_file("checkpoints/last-0.pt")
    file.write_text("another")
    tracker.log_file(file, "checkpoints")
    store.away = False
    flush()
    assert (folder / "last-0.pt").read_text() == "another"
    store.away = True
    tracker.log_file(file, "checkpoints")
    tracker.remove_file("checkpoints/last-0.pt")
    store.away = False
    flush()
    assert client.list_artifacts(tracker.run_id, "checkpoints") == []


@pytest.mark.parametrize("killed_at", range(6))
def test_killed_between_a_write_and_its_place(
    store: Store, tracker: MlflowTracker, killed_at: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "last-0.pt"
    file.write_text("whole")
    store.away = True
    tracker.log_metrics({"val_auc": 0.1}, 1)
    tracker.log_tags({"note": "mine"})
    tracker.log_file(file, "checkpoints")
    tracker.log_metrics({"val_auc": 0.2}, 2)
    tracker.remove_file("checkpoints/last-1.pt")
    tracker.end(3)
    store.away = False
    journal = as_if_it_had_died(own(tracker))
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
            flush_all()
    assert journal.has_pending
    (line,) = flush_all()
    assert f"{6 - killed_at} writes that had waited are delivered" in line
    assert steps(tracker) == [(1, 0.1), (2, 0.2)]
    assert len(store.taken) == 7
    assert tracker.run_id is not None
    run = MlflowClient().get_run(tracker.run_id)
    assert (run.info.status, run.data.tags["note"]) == ("FINISHED", "mine")


def test_superseded(store: Store, tracker: MlflowTracker) -> None:
    """Another process has trained those epochs itself by now."""
    store.away = True
    tracker.log_metrics({"val_auc": 0.1}, 1)
    store.away = False
    journal = as_if_it_had_died(own(tracker))
    assert tracker.run_id is not None
    MlflowClient().set_tag(tracker.run_id, "owner", json.dumps(identity() | {"pid": 1}))
    (line,) = flush_all()
    assert line == (
        f"run {tracker.run_id}: another process has gone on with it; what waited from the one before is discarded"
    )
    assert (steps(tracker), journal.folder.exists()) == ([], False)


def test_another_stores(store: Store, tracker: MlflowTracker, tracking: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store.away = True
    tracker.log_metrics({"val_auc": 0.1}, 1)
    store.away = False
    journal = as_if_it_had_died(own(tracker))
    with monkeypatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tracking / 'other.db'}")
        (line,) = flush_all()
        assert f"is for sqlite:///{tracking / 'mlflow.db'}, not sqlite:///{tracking / 'other.db'}; set" in line
        with pytest.raises(TrackingError, match="is for sqlite"):
            flush_run(journal.run_id)
    assert not (tracking / "other.db").exists()
    assert journal.count() == 1
    flush_run(journal.run_id)
    assert steps(tracker) == [(1, 0.1)]


def test_refused(store: Store, tracker: MlflowTracker) -> None:
    """It stays, and is said each time."""
    store.away = True
    tracker.log_metrics({"val_auc": 0.1}, 1)
    store.away = False
    journal = as_if_it_had_died(own(tracker))
    assert tracker.run_id is not None
    MlflowClient().delete_run(tracker.run_id)
    for _ in range(2):
        (line,) = flush_all()
        assert f"1 writes wait in {journal.folder}: " in line
        assert "refuses them; remove the folder to give them up (" in line


def test_what_a_process_left_that_was_killed_while_it_removed_one(store: Store, tracker: MlflowTracker) -> None:
    store.away = True
    tracker.log_metrics({"val_auc": 0.1}, 1)
    journal = as_if_it_had_died(own(tracker))
    (journal.folder / "writes.jsonl").unlink()
    (journal.folder / "header.json").unlink()
    assert flush_all() == []
    assert list(outbox_folder().iterdir()) == []


def test_an_owner_that_has_lost_the_run_keeps_nothing(store: Store, phantom_config: Make) -> None:
    lost = False

    @contextmanager
    def guard() -> Iterator[None]:
        if lost:
            raise OwnershipLost("not ours")
        yield

    tracker = MlflowTracker(guard=guard)
    tracker.start(phantom_config(), load_train_val(phantom_config().data))
    store.away = True
    tracker.log_metrics({"val_auc": 0.1}, 1)
    assert own(tracker).has_pending
    lost = True
    with pytest.raises(OwnershipLost):
        tracker.log_metrics({"val_auc": 0.2}, 2)
    assert not own(tracker).folder.exists()
    lost, store.away = False, True
    tracker.log_metrics({"val_auc": 0.3}, 3)
    lost, store.away = True, False
    assert flush_all() == ["not ours"]
    assert (steps(tracker), list(outbox_folder().iterdir())) == ([], [])


def end_with(error: BaseException | None) -> None:
    """As a command ends."""
    with exit_codes():
        if error is not None:
            raise error


def test_never_back(store: Store, tracker: MlflowTracker, capsys: pytest.CaptureFixture[str]) -> None:
    """The end of a command says where it lies, and what it has come to stands."""
    store.away = True
    tracker.log_metrics({"val_auc": 0.1}, 1)
    folder = own(tracker).folder
    line = (
        f"run {tracker.run_id}: 1 writes could not be sent to sqlite:///{Path.cwd() / 'mlflow.db'}; they wait in "
        f"{folder}, and `mobilenet-chest repair` delivers them when it is back"
    )
    with pytest.raises(NotDelivered) as caught:
        flush(0.0)
    assert str(caught.value) == line
    capsys.readouterr()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(delivery, "PATIENCE_SECONDS", 0.0)
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
    store.away = False
    with exit_codes():
        pass
    assert steps(tracker) == [(1, 0.1)]


def test_a_training_goes_on_from_what_waits(store: Store, phantom_config: Make, tmp_path: Path) -> None:
    config, file = phantom_config(), tmp_path / "last-0.pt"
    tracker = MlflowTracker()

    def interrupted() -> None:
        with tracker.run(config, load_train_val(config.data)):
            store.away = True
            checkpoint.save(file, {"progress": Progress(epoch=2).state()})
            tracker.log_file(file, "checkpoints")
            tracker.log_metrics({"val_auc": 0.1}, 1)
            tracker.log_metrics({"val_auc": 0.2}, 2)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert tracker.run_id is not None
    assert (steps(tracker), own(tracker).count()) == ([], 4)
    store.away = False
    as_if_it_had_died(own(tracker))
    stands = find_resume_point(tracker.run_id, config)
    assert stands is not None
    assert (stands.progress.epoch, stands.file) == (2, "last-0.pt")
    assert MlflowClient().get_run(tracker.run_id).info.status == "KILLED"
    again = MlflowTracker(resume=tracker.run_id)
    with again.run(config, load_train_val(config.data)):
        again.log_history([{"val_auc": 0.1}, {"val_auc": 0.2}])
        again.log_metrics({"val_auc": 0.3}, 3)
    assert steps(tracker) == [(1, 0.1), (2, 0.2), (3, 0.3)]
    assert list(outbox_folder().iterdir()) == []


def test_a_run_that_is_over_is_not_written_later(store: Store, tracker: MlflowTracker, monkeypatch: Any) -> None:
    monkeypatch.setattr("mobilenet_chest.tracking.tracker.send", store.send)
    later = MlflowTracker(resume=tracker.run_id)
    store.away = True
    with pytest.raises(TrackingError, match="is away \\(nobody there\\)"):
        later.log_metrics({"test_auc": 0.5}, 0)
    assert list(outbox_folder().iterdir() if outbox_folder().exists() else []) == []


def test_a_sweep_looks_after_its_runs_later(
    store: Store, tracker: MlflowTracker, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tracker.run_id is not None
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    (line,) = sync_trial_runs(tracker.run_id, [], {})
    assert line.startswith("its runs are not looked after: no tracking server answers at http://127.0.0.1:9")
    prune_checkpoints({tracker.run_id: False})
    assert "stay for now: no tracking server answers" in capsys.readouterr().err


def test_one_process_at_a_time(store: Store, tracker: MlflowTracker) -> None:
    store.away = True
    tracker.log_metrics({"val_auc": 0.1}, 1)
    store.away = False
    journal = as_if_it_had_died(own(tracker))
    assert journal.acquire()
    assert flush_all() == []
    journal.release()
    assert len(flush_all()) == 1
    assert list(outbox_folder().iterdir()) == []


def test_what_another_process_delivers_is_waited_for(
    store: Store, tracker: MlflowTracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A training does not go on meanwhile; for a living owner, which has lost the run, nobody waits."""
    store.away = True
    tracker.log_metrics({"val_auc": 0.1}, 1)
    store.away = False
    journal = as_if_it_had_died(own(tracker))
    monkeypatch.setattr(delivery, "PATIENCE_SECONDS", 0.0)
    monkeypatch.setattr(delivery, "may_be_alive", lambda owner: False)
    assert journal.acquire()
    with pytest.raises(TrackingError, match=f"another process is delivering {journal.folder}; wait for it"):
        flush_run(journal.run_id)
    monkeypatch.setattr(delivery, "may_be_alive", lambda owner: True)
    flush_run(journal.run_id)
    assert journal.has_pending
    journal.release()
    flush_run(journal.run_id)
    assert steps(tracker) == [(1, 0.1)]


def test_system_metrics_wait_too(store: Store, phantom_config: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0.05")
    config = phantom_config({"tracking": {"system_metrics": True}})
    tracker = MlflowTracker()
    with tracker.run(config, load_train_val(config.data)):
        deadline = time.monotonic() + 60
        for away in (False, True):
            store.away = away
            before = len(store.taken) if not away else own(tracker).count()
            while (own(tracker).count() if away else len(store.taken)) < before + 3:
                assert time.monotonic() < deadline
                time.sleep(0.02)
        store.away = False
    flush()
    found = steps(tracker, "system/cpu_utilization_percentage")
    assert len(found) >= 6
    assert [step for step, _ in found] == list(range(len(found)))
