"""A sweep whose tracking server goes away, for a while and for good: a real server, on addresses with passwords."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from helpers import forked
from helpers.paced import paced
from helpers.servers import MlflowServer, Postgres
from helpers.sweeps import (
    SMALLEST,
    WAIT_SECONDS,
    started,
    steps,
    sweep_line,
    trials,
    wait_for_running_trials,
    wait_until,
)
from mlflow import MlflowClient
from optuna.trial import TrialState

TRIALS = 3
EPOCHS = 10
PACE = 0.5
"""Seconds by which an epoch lasts longer, so that the server goes away in the midst of a trial."""
AWAY_SECONDS = 15.0
PASSWORD = "hush-hush"

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.name != "posix", reason="POSIX signals")]

IMPATIENT = """
from mobilenet_chest.sweep import local_workers, supervisor
from mobilenet_chest.tracking.outbox import outbox

local_workers.AWAY_SECONDS, outbox.PATIENCE_SECONDS, supervisor.DEATHS_LIMIT = 2.0, 2.0, 0
"""


@pytest.fixture
def experiment(tmp_path: Path, fields: Callable[..., dict[str, Any]]) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(fields(EPOCHS, model=SMALLEST, trials=TRIALS)), encoding="utf-8")
    return path


@pytest.fixture
def server(mlflow_server: Callable[..., MlflowServer], monkeypatch: pytest.MonkeyPatch) -> MlflowServer:
    """One whose address has a password, as that of a server behind a login has."""
    server = mlflow_server()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri.replace("://", f"://ann:{PASSWORD}@"))
    return server


def assert_all_there(url: str, folder: Path) -> None:
    """Every trial and every run is done, each step is there once, and nothing waits any more."""
    complete = [trial for trial in trials(url) if trial.state == TrialState.COMPLETE]
    assert len(complete) == TRIALS
    client = MlflowClient()
    runs = client.search_runs(["1"])
    assert [run.info.status for run in runs] == ["FINISHED"] * (TRIALS + 1)
    states = [run.data.tags.get("trial_state") for run in runs if run.data.tags["kind"] == "trial"]
    assert states == ["COMPLETE"] * TRIALS
    for trial in complete:
        assert sorted(steps(trial.user_attrs["run_id"])) == list(range(1, EPOCHS + 1))
        files = {file.path for file in client.list_artifacts(trial.user_attrs["run_id"], "predictions")}
        assert files == {"predictions/val.parquet"}
    assert list((folder / ".mobilenet-chest" / "spool").iterdir()) == []


@pytest.mark.timeout(600)
def test_killed_in_mid_trial_and_back_after_trials_have_ended(
    tracking: Path, server: MlflowServer, experiment: Path
) -> None:
    """Running trials continue to their end; the next one waits until the server is back."""
    url = f"sqlite:///{tracking / 'optuna.db'}"
    with started(paced(sweep_line(experiment, "--storage", url), tracking, PACE), tracking) as process:
        wait_for_running_trials(process, tracking, url, least=3, most=7)
        server.kill()
        killed = time.monotonic()
        wait_until(lambda: any(t.state == TrialState.COMPLETE for t in trials(url)), process, tracking)
        time.sleep(max(0.0, AWAY_SECONDS - (time.monotonic() - killed)))
        server.start()
        assert process.wait(timeout=WAIT_SECONDS) == 0, (tracking / "err").read_text()
    log = (tracking / "err").read_text()
    assert "is away" in log
    assert PASSWORD not in log
    assert [t.user_attrs for t in trials(url) if "retry_of" in t.user_attrs] == []
    assert_all_there(url, tracking)


@pytest.mark.timeout(600)
def test_never_back(tracking: Path, server: MlflowServer, experiment: Path, postgres: Postgres) -> None:
    """Running trials end, then the sweep, which says where pending writes are; ``repair`` and a second run deliver."""
    url = postgres.create()
    line = paced(sweep_line(experiment, "--storage", url), tracking, PACE, IMPATIENT)
    with started(line, tracking) as process:
        wait_for_running_trials(process, tracking, url, least=3, most=7)
        server.kill()
        assert process.wait(timeout=WAIT_SECONDS) == 1, (tracking / "err").read_text()
    log, spool = (tracking / "err").read_text(), tracking / ".mobilenet-chest" / "spool"
    assert "workers died in a row before they began a trial" in log
    assert "writes could not be sent to" in log
    assert f"they are pending in {spool}" in log
    assert "`mobilenet-chest repair` sends them when the store is back" in log
    assert "Traceback" not in log
    kept = [path.read_text() for path in spool.rglob("*.json*")]
    assert kept

    server.start()
    line_of_repair = [sys.executable, "-m", "mobilenet_chest", "repair", "--storage", url]
    repaired = forked.run(line_of_repair, cwd=tracking, text=True, timeout=WAIT_SECONDS)
    assert repaired.returncode == 0, repaired.stderr
    assert "pending writes sent" in repaired.stdout
    with started(line, tracking) as process:
        assert process.wait(timeout=WAIT_SECONDS) == 0, (tracking / "err").read_text()
    assert_all_there(url, tracking)

    client = MlflowClient()
    texts = [json.dumps([trial.user_attrs, trial.system_attrs]) for trial in trials(url)]
    texts += [json.dumps([run.data.tags, run.data.params]) for run in client.search_runs(["1"])]
    texts += [*kept, log, repaired.stdout, repaired.stderr, *((tracking / end).read_text() for end in ("out", "err"))]
    assert [text for text in texts if PASSWORD in text or postgres.password in text] == []
