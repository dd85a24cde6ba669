"""Who writes a run: processes of other machines are known by their heartbeats."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow import MlflowClient

from mobilenet_chest.config import Config
from mobilenet_chest.data.dataset import load_train_val
from mobilenet_chest.tracking import run_owners
from mobilenet_chest.tracking.provenance import identity
from mobilenet_chest.tracking.run_owners import living_owner, living_owners
from mobilenet_chest.tracking.study_run import close_abandoned_runs
from mobilenet_chest.tracking.tags import HEARTBEAT, OWNER
from mobilenet_chest.tracking.tracker import MlflowTracker, Status

Make = Callable[..., Config]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_owners, "HEARTBEAT_SECONDS", 0.2)
    monkeypatch.setattr(run_owners, "SILENT_SECONDS", 2.5)


def elsewhere(run_id: str) -> dict[str, object]:
    """Give a run to a process of another machine."""
    owner = identity() | {"host": "elsewhere", "machine": "another"}
    MlflowClient().set_tag(run_id, OWNER, json.dumps(owner))
    return owner


def begun(config: Config) -> MlflowTracker:
    tracker = MlflowTracker()
    tracker.start(config, load_train_val(config.data))
    return tracker


def test_a_process_of_this_machine_is_asked_for(tracking: Path, phantom_config: Make) -> None:
    tracker, client = begun(phantom_config()), MlflowClient()
    run = client.get_run(tracker.run_id)
    assert living_owner(run) == identity()
    client.set_tag(tracker.run_id, OWNER, json.dumps(identity() | {"started": 1.0}))
    assert living_owner(client.get_run(tracker.run_id)) is None
    tracker.end(Status.FINISHED)
    assert living_owner(client.get_run(tracker.run_id)) is None


@pytest.mark.slow
def test_processes_of_another_machine_are_known_by_their_heartbeats(
    tracking: Path, phantom_config: Make, caplog: pytest.LogCaptureFixture
) -> None:
    trackers = [begun(phantom_config()) for _ in range(2)]
    at_work, gone = (str(tracker.run_id) for tracker in trackers)
    trackers[1].leave()  # as if it had been killed
    owner, client = elsewhere(at_work), MlflowClient()
    elsewhere(gone)
    caplog.set_level(logging.INFO, "mobilenet_chest")
    assert living_owners([client.get_run(at_work), client.get_run(gone)]) == {at_work: owner}
    assert [record.name for record in caplog.records] == ["mobilenet_chest.tracking.run_owners"]
    assert "watching 2 run(s)" in caplog.text
    assert close_abandoned_runs() == [(gone, "train")]
    assert [client.get_run(run_id).info.status for run_id in (at_work, gone)] == ["RUNNING", "KILLED"]
    trackers[0].end(Status.FINISHED)
    last = client.get_run(at_work).data.tags[HEARTBEAT]
    assert abs(int(last) - time.time()) < 60
    time.sleep(1.2)
    assert client.get_run(at_work).data.tags[HEARTBEAT] == last


def test_a_trial_has_its_heartbeat_in_its_study(tracking: Path, phantom_config: Make) -> None:
    tracker = MlflowTracker("trial")
    tracker.start(phantom_config(), load_train_val(phantom_config().data))
    assert tracker._heartbeat is None
    tracker.end(Status.FINISHED)
