"""A study's runs, with a store that is away."""

from __future__ import annotations

import pytest
from helpers.outbox import AwayStore

from mobilenet_chest.tracking.study_run import prune_checkpoints, sync_trial_runs
from mobilenet_chest.tracking.tracker import MlflowTracker


def test_a_sweep_looks_after_its_runs_later(
    away_store: AwayStore, tracker: MlflowTracker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert tracker.run_id is not None
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    (line,), gone = sync_trial_runs(tracker.run_id, [], {})
    assert gone is None
    assert "http://127.0.0.1:9" in line
    prune_checkpoints({tracker.run_id: False})
    (record,) = caplog.records
    assert (record.levelname, "http://127.0.0.1:9" in record.message) == ("WARNING", True)
