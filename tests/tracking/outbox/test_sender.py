"""A training whose store is away for a while: its writes arrive in order, with their times, and cost little time."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest
from helpers.outbox import AwayStore, journal_of, steps
from mlflow import MlflowClient

from mobilenet_chest.config import Config
from mobilenet_chest.data.dataset import load_train_val
from mobilenet_chest.errors import OwnershipLost
from mobilenet_chest.tracking.outbox import sender
from mobilenet_chest.tracking.outbox.journal import outbox_folder
from mobilenet_chest.tracking.outbox.outbox import Outbox, process_outbox
from mobilenet_chest.tracking.outbox.writes import Write
from mobilenet_chest.tracking.run_metrics import metric_history
from mobilenet_chest.tracking.tracker import MlflowTracker

Make = Callable[..., Config]


def test_in_order_when_it_is_back(
    away_store: AwayStore, tracker: MlflowTracker, caplog: pytest.LogCaptureFixture
) -> None:
    tracker.log_metrics({"val_auc": 0.1}, 1)
    away_store.away = True
    for epoch in (2, 3, 4):
        tracker.log_metrics({"val_auc": epoch / 10}, epoch)
    tracker.log_tags({"note": "mine"})
    assert (steps(tracker), journal_of(tracker).count()) == ([(1, 0.1)], 4)
    (record,) = caplog.records
    assert (record.levelname, "is away (nobody there)" in record.message) == ("WARNING", True)
    caplog.clear()
    away_store.away = False
    tracker.log_metrics({"val_auc": 0.5}, 5)
    assert [write["metrics"][0][3] for write in away_store.taken if "metrics" in write] == [1, 2, 3, 4, 5]
    assert steps(tracker) == [(epoch, epoch / 10) for epoch in range(1, 6)]
    assert not journal_of(tracker).has_pending
    (record,) = caplog.records
    assert (record.levelname, "5 pending writes sent" in record.message) == ("INFO", True)
    tracker.log_metrics({"val_auc": 0.6}, 6)
    assert steps(tracker)[-1] == (6, 0.6)


def test_time_is_kept(away_store: AwayStore, tracker: MlflowTracker) -> None:
    """A metric has the time at which it was measured, not that at which it was sent."""
    away_store.away = True
    tracker.log_metrics({"val_auc": 0.5}, 1)
    (waiting,) = journal_of(tracker).pending_writes()
    away_store.away = False
    process_outbox().flush()
    assert tracker.run_id is not None
    (point,) = metric_history(MlflowClient(), tracker.run_id, "val_auc")
    assert point.timestamp == waiting.write["metrics"][0][2]


def test_not_tried_all_the_time(away_store: AwayStore, tracker: MlflowTracker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender, "RETRY_SECONDS", 60.0)
    monkeypatch.setattr(sender, "LONGEST_RETRY_SECONDS", 60.0)
    away_store.away = True
    tracker.log_metrics({"val_auc": 0.1}, 1)
    away_store.away = False
    tracker.log_metrics({"val_auc": 0.2}, 2)
    assert (steps(tracker), journal_of(tracker).count()) == ([], 2)
    tracker.end(3)  # the last occasion
    assert steps(tracker) == [(1, 0.1), (2, 0.2)]


def test_a_training_waits_for_a_moment_only(
    away_store: AwayStore, tracker: MlflowTracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender, "DELIVERY_SECONDS", 0.0)
    away_store.away = True
    for epoch in range(1, 5):
        tracker.log_metrics({"val_auc": 0.1}, epoch)
    away_store.away = False
    tracker.log_metrics({"val_auc": 0.1}, 5)
    assert journal_of(tracker).count() == 5
    process_outbox().flush()
    assert [step for step, _ in steps(tracker)] == [1, 2, 3, 4, 5]


def test_system_metrics_wait_too(away_store: AwayStore, phantom_config: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0.05")
    config = phantom_config({"tracking.system_metrics": True})
    tracker = MlflowTracker()
    with tracker.run(config, load_train_val(config.data)):
        deadline = time.monotonic() + 60

        def samples() -> int:  # a slow machine has time for heartbeats among them
            journal, writes = journal_of(tracker), away_store.taken
            if away_store.away:
                writes = [each.write for each in journal.pending_writes()] if journal.has_pending else []
            return sum("system/" in json.dumps(write) for write in writes)

        for away in (False, True):
            away_store.away = away
            while samples() < 3:
                assert time.monotonic() < deadline
                time.sleep(0.02)
        away_store.away = False
    process_outbox().flush()
    found = steps(tracker, "system/cpu_utilization_percentage")
    assert len(found) >= 6
    assert [step for step, _ in found] == list(range(len(found)))


def test_an_owner_that_has_lost_the_run_keeps_nothing(away_store: AwayStore, phantom_config: Make) -> None:
    lost = False

    @contextmanager
    def guard() -> Iterator[None]:
        if lost:
            raise OwnershipLost("not ours")
        yield

    tracker = MlflowTracker(guard=guard)
    tracker.start(phantom_config(), load_train_val(phantom_config().data))
    away_store.away = True
    tracker.log_metrics({"val_auc": 0.1}, 1)
    assert journal_of(tracker).has_pending
    lost = True
    with pytest.raises(OwnershipLost):
        tracker.log_metrics({"val_auc": 0.2}, 2)
    assert not journal_of(tracker).folder.exists()
    lost, away_store.away = False, True
    tracker.log_metrics({"val_auc": 0.3}, 3)
    lost, away_store.away = True, False
    assert process_outbox().flush_all() == ["not ours"]
    assert (steps(tracker), list(outbox_folder().iterdir())) == ([], [])


def test_threads_write_one_after_the_other(tracking: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For each run: a write to one run does not wait for another run's."""
    writing: dict[str, int] = {"a": 0, "b": 0}
    most: dict[str, int] = {"a": 0, "b": 0}
    both = threading.Barrier(2)

    def slow_send(client: MlflowClient, run_id: str, write: Write, file: Path | None = None) -> None:
        writing[run_id] += 1
        most[run_id] = max(most[run_id], writing[run_id])
        if "meet" in write["tags"]:
            both.wait(30)  # passes only while the other run is written, too
        time.sleep(0.01)
        writing[run_id] -= 1

    monkeypatch.setattr(sender, "send", slow_send)
    outbox, client = Outbox(), MlflowClient()
    senders = {run_id: sender.Sender(client, run_id, nullcontext, outbox) for run_id in ("a", "b")}
    with ThreadPoolExecutor(4) as pool:
        jobs = [pool.submit(writer.write, {"tags": {"meet": "here"}}) for writer in senders.values()]
        jobs += [pool.submit(senders["a"].write, {"tags": {"n": str(n)}}) for n in range(10)]
        jobs += [pool.submit(senders["a"].send_or_drop, lambda: {"tags": {"beat": "1"}}) for _ in range(10)]
        for job in jobs:
            job.result(60)
    assert most == {"a": 1, "b": 1}
