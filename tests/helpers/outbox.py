"""A store that can be away, a tracker that writes to it, and what became of its pending writes."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
from mlflow import MlflowClient

from mobilenet_chest import logs
from mobilenet_chest.config import Config
from mobilenet_chest.data.dataset import load_train_val
from mobilenet_chest.tracking.outbox import delivery, outbox, sender
from mobilenet_chest.tracking.outbox.journal import Journal, journals
from mobilenet_chest.tracking.outbox.outbox import Outbox
from mobilenet_chest.tracking.outbox.writes import Write, send
from mobilenet_chest.tracking.run_metrics import metric_history
from mobilenet_chest.tracking.tags import HEARTBEAT
from mobilenet_chest.tracking.tracker import MlflowTracker


class AwayStore:
    """The test's own store, which can be away; what it has taken, in order."""

    def __init__(self) -> None:
        self.away, self.taken = False, list[Any]()

    def send(self, client: MlflowClient, run_id: str, write: Write, file: Path | None = None) -> None:
        if self.away:
            raise requests.ConnectionError("nobody there")
        send(client, run_id, write, file)
        self.taken.append(write)

    @property
    def asked(self) -> list[Any]:
        """What it has taken without heartbeats, which a slow machine has time for."""
        return [write for write in self.taken if set(write.get("tags", ())) != {HEARTBEAT}]


@pytest.fixture
def away_store(tracking: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> AwayStore:
    """The present store, which is tried again with every write; this process has an outbox of its own for the test."""
    store = AwayStore()
    monkeypatch.setattr(sender, "send", store.send)
    monkeypatch.setattr(delivery, "send", store.send)
    monkeypatch.setattr(sender, "RETRY_SECONDS", 0.0)
    monkeypatch.setattr(sender, "LONGEST_RETRY_SECONDS", 0.0)
    monkeypatch.setattr(outbox, "_OF_THIS_PROCESS", Outbox())
    caplog.set_level(logging.INFO, logs.LOGGER)
    return store


@pytest.fixture
def tracker(away_store: AwayStore, phantom_config: Callable[..., Config]) -> MlflowTracker:
    """The tracker of a run that has just begun."""
    tracker = MlflowTracker()
    tracker.start(phantom_config(), load_train_val(phantom_config().data))
    away_store.taken.clear()
    return tracker


def steps(tracker: MlflowTracker, name: str = "val_auc") -> list[tuple[int, float]]:
    """Return step and value of each point of a metric in the store."""
    assert tracker.run_id is not None
    return sorted((point.step, point.value) for point in metric_history(MlflowClient(), tracker.run_id, name))


def journal_of(tracker: MlflowTracker) -> Journal:
    """Return the journal that a tracker writes."""
    assert tracker._sender is not None
    return tracker._sender._journal


def as_if_it_had_died(tracker: MlflowTracker) -> Journal:
    """Return the journal of a process that is gone, with this one's identity as its owner's."""
    journal = journal_of(tracker)
    del outbox.process_outbox()._own[journal.folder.name]
    journal.release()
    (left,) = journals()
    return left
