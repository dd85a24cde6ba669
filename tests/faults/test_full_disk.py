"""A sweep whose disk becomes full: a real file system, filled to its last page in mid-trial."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from helpers.sweeps import WAIT_SECONDS, fill, mounted, started, steps, sweep_line, trials, wait_for_running_trials
from mlflow import MlflowClient
from optuna.trial import TrialState

from mobilenet_chest.sweep.claims import counts
from mobilenet_chest.tracking.artifacts import resume_point

TRIALS = 2
EPOCHS = 12

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.name != "posix", reason="POSIX signals")]


@pytest.fixture
def experiment(tmp_path: Path, fields: Callable[..., dict[str, Any]]) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(fields(EPOCHS, trials=TRIALS)), encoding="utf-8")
    return path


@pytest.mark.timeout(600)
@pytest.mark.parametrize("disk", ["everything", "mlruns"])
def test_full_in_mid_trial(disk: str, tracking: Path, experiment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of everything, or of the artifacts alone: the sweep ends with a line, and nothing of it is lost."""
    with mounted(tracking / disk, 300), monkeypatch.context() as patch:
        here = tracking if disk == "mlruns" else tracking / disk
        if here != tracking:
            shutil.copy("mlflow.db", here)
            patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{here / 'mlflow.db'}")
            patch.chdir(here)
        with started(sweep_line(experiment), here, logs=tracking) as process:
            wait_for_running_trials(process, tracking, least=4, most=EPOCHS // 2)
            fill(tracking / disk / "filler")
            assert process.wait(timeout=WAIT_SECONDS) == 1
        log = (tracking / "err").read_text()
        assert "Traceback" not in log
        last = log.strip().splitlines()[-1]
        if disk == "mlruns":
            assert re.search(r"checkpoints/last-\d\.pt cannot be written \(No space left on device\); make room", log)
            assert last.startswith("the sweep was stopped: a worker cannot write (see its error above)")
        else:
            assert "the study's database cannot be written (database or disk is full)" in log
        (tracking / disk / "filler").unlink()

        with sqlite3.connect("optuna.db") as database:
            assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        before, client = trials(), MlflowClient()
        assert {t.state for t in before} <= {TrialState.RUNNING, TrialState.FAIL, TrialState.WAITING}
        begun = {t.user_attrs["run_id"]: t for t in before if "run_id" in t.user_attrs}
        resume_points = [resume_point(client, client.get_run(run_id)) for run_id in begun]
        assert [point for point in resume_points if point is not None and point.progress.epoch >= 1] != []

        with started(sweep_line(experiment), here, logs=tracking) as process:
            assert process.wait(timeout=WAIT_SECONDS) == 0, (tracking / "err").read_text()
        stored = trials()
        assert [t.state for t in stored if counts(t)] == [TrialState.COMPLETE] * TRIALS
        retried = [t for t in stored if "retry_of" in t.user_attrs]
        assert begun.keys() <= {t.user_attrs["run_id"] for t in retried}
        for trial in stored:
            if trial.state == TrialState.COMPLETE:
                assert steps(trial.user_attrs["run_id"]) == list(range(1, EPOCHS + 1))
