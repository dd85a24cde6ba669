"""A sweep that is interrupted, or killed outright, ends as if it never had been when the same command runs again."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from filelock import FileLock, Timeout
from helpers import forked
from helpers.paced import paced
from helpers.sweeps import (
    SMALLEST,
    STUDY,
    WAIT_SECONDS,
    family,
    kill,
    started,
    steps,
    sweep_line,
    trials,
    wait_for_running_trials,
    wait_until,
)
from mlflow import MlflowClient
from mlflow.entities import Run
from optuna.trial import TrialState

from mobilenet_chest import cache
from mobilenet_chest.sweep.claims import counts
from mobilenet_chest.sweep.lease import lock_name
from mobilenet_chest.sweep.locks import lock_file
from mobilenet_chest.sweep.repair import repair
from mobilenet_chest.tracking.run_metrics import metric_history, metrics_of
from mobilenet_chest.tracking.runs import nested_runs

TRIALS = 4
FOLD_EPOCHS = 8
PACE = 0.4
"""Seconds by which an epoch lasts longer, so that something can happen in the midst of a trial."""

# each starts four interpreters or more, and trains in them
pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.name != "posix", reason="POSIX signals")]


@pytest.fixture
def experiment(tmp_path: Path, fields: Callable[..., dict[str, Any]]) -> Path:
    path = tmp_path / "tiny.yaml"
    values = fields(6, model=SMALLEST, keep=TRIALS, trials=TRIALS, lease_seconds=2)
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return path


def assert_ends_whole(experiment: Path, folder: Path) -> None:
    """Run the command again: precisely the total, and nothing in MLflow that still claims to run."""
    again = forked.run(sweep_line(experiment), cwd=folder, text=True, timeout=280)
    assert again.returncode == 0, again.stderr
    stored = trials()
    assert len([t for t in stored if counts(t)]) == TRIALS
    assert [t.number for t in stored if t.state in (TrialState.RUNNING, TrialState.WAITING)] == []
    complete = [t for t in stored if t.state == TrialState.COMPLETE]
    assert len(complete) == TRIALS, [trial.user_attrs.get("reason") for trial in stored]
    assert len({t.params["stage2.lr"] for t in complete}) == TRIALS
    # what was interrupted was done by another trial, with the same values
    for trial in stored:
        if trial.state == TrialState.FAIL and trial.params:
            assert trial.params in [t.params for t in complete]
    client = MlflowClient()
    experiment_ids = [e.experiment_id for e in client.search_experiments()]
    runs = client.search_runs(experiment_ids, max_results=1000)
    assert [run.info.run_id for run in runs if run.info.status in ("RUNNING", "SCHEDULED")] == []
    assert [run.data.tags["kind"] for run in runs].count("study") == 1
    done = [run for run in runs if run.data.tags.get("trial_state") == "COMPLETE"]
    assert sorted(int(run.data.tags["trial"]) for run in done) == sorted(t.number for t in complete)
    assert {t.user_attrs["run_id"] for t in complete} == {run.info.run_id for run in done}
    # each was resumed in the run that was begun for its values
    begun = {t.user_attrs["run_id"] for t in stored if t.state == TrialState.FAIL and "run_id" in t.user_attrs}
    assert begun
    assert begun <= {run.info.run_id for run in done}
    for run in done:
        assert steps(run.info.run_id) == [1, 2, 3, 4, 5, 6]


@pytest.mark.timeout(600)
def test_ctrl_c_in_mid_trial(tracking: Path, experiment: Path) -> None:
    with started(paced(sweep_line(experiment), tracking, PACE), tracking) as process:
        wait_for_running_trials(process, tracking)
        children = family(process.pid)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=WAIT_SECONDS) == 130
        psutil.wait_procs(children, timeout=10)
        assert [child.pid for child in children if child.is_running()] == []
    text = (tracking / "err").read_text()
    assert "interrupted; run the same command to continue" in text
    assert "Traceback" not in text
    assert [t.number for t in trials() if t.state == TrialState.RUNNING] == []
    assert_ends_whole(experiment, tracking)


@pytest.mark.timeout(600)
def test_everything_killed_in_mid_trial(tracking: Path, experiment: Path) -> None:
    with started(paced(sweep_line(experiment), tracking, PACE), tracking) as process:
        wait_for_running_trials(process, tracking)
        children = family(process.pid)
        process.kill()
        for child in children:
            kill(child)
        assert process.wait(timeout=30) == -signal.SIGKILL
        psutil.wait_procs(children, timeout=10)
    assert [t.number for t in trials() if t.state == TrialState.RUNNING] != []
    assert_ends_whole(experiment, tracking)


@pytest.mark.timeout(600)
def test_a_worker_that_was_stopped_beyond_its_lease_writes_nothing(tracking: Path, experiment: Path) -> None:
    with started(paced(sweep_line(experiment), tracking, PACE), tracking) as process:
        number = assert_revoked_from_a_stopped_worker(process, tracking)
    assert [t.user_attrs["retry_of"] for t in trials() if "retry_of" in t.user_attrs] == [number]
    assert_ends_whole(experiment, tracking)


HASTY = """
from mobilenet_chest import file_lock

file_lock.STALE_SECONDS = 4.0
"""


@pytest.mark.timeout(600)
def test_a_worker_that_was_stopped_while_it_trained_the_frozen_stage_for_all(
    tracking: Path, cache_folder: Path, fields: Callable[..., dict[str, Any]]
) -> None:
    path, frozen = tracking / "tiny.yaml", 12  # so long that it can be caught in it
    values = fields(frozen + 2, model=SMALLEST, keep=3, trials=3, lease_seconds=2)
    values["stage1"]["epochs"], values["stage2"]["epochs"] = frozen, 2
    path.write_text(yaml.safe_dump(values), encoding="utf-8")

    def is_training_it() -> bool:
        (file,) = (cache_folder / "locks").glob("stage1-*.lock")
        return is_held(file)

    with started(paced(sweep_line(path), tracking, PACE, HASTY), tracking) as process:
        assert_revoked_from_a_stopped_worker(process, tracking, stop_if=is_training_it)
    complete = [trial for trial in trials() if trial.state == TrialState.COMPLETE]
    assert [steps(trial.user_attrs["run_id"]) for trial in complete] == [list(range(1, frozen + 3))] * 3
    # by the one who had waited, by the one who went on where the stopped one had been, and by nobody else
    spent = [trial.user_attrs["stage1"]["stage1_epochs_trained"] for trial in complete]
    assert sorted(spent) == [0, frozen, frozen]
    assert [entry.key.partition("-")[2] for entry in cache.entries() if entry.kind == "stage1"] == ["1"]


def assert_revoked_from_a_stopped_worker(
    process: subprocess.Popen[bytes], folder: Path, stop_if: Callable[[], bool] = lambda: True
) -> int:
    """Stop a worker of a sweep until another one has ended its trial; returns the number of that trial."""
    trial = wait_for_running_trials(process, folder)[0]
    worker, begun = psutil.Process(trial.user_attrs["worker"]["pid"]), time.monotonic()
    while trials()[trial.number].state == TrialState.RUNNING:
        # stopped in the midst of a write it keeps a lock on its trial, or a database, until it is resumed
        worker.suspend()
        owned = is_held(lock_file(STUDY, lock_name(trial)))
        if not owned and can_be_written(folder / "optuna.db") and can_be_written(folder / "mlflow.db") and stop_if():
            while_at_most(30, lambda: not not_running(trial.number))
            if not_running(trial.number):
                break
        worker.resume()
        time.sleep(0.1)
    taken_after = time.monotonic() - begun
    ended = trials()[trial.number]
    assert (ended.state, ended.user_attrs["reason"]) == (TrialState.FAIL, "its worker died")
    run_id, client = ended.user_attrs["run_id"], MlflowClient()
    # another worker ends the trial in the same run, while the first one sleeps
    wait_until(lambda: client.get_run(run_id).data.tags.get("trial_state") == "COMPLETE", process, folder)
    before = everything(client, run_id)
    worker.resume()
    assert process.wait(timeout=WAIT_SECONDS) == 0, (folder / "err").read_text()
    assert before["tags"]["trial_state"] == "COMPLETE"
    assert everything(client, run_id) == before
    log = (folder / "err").read_text()
    assert f"trial {trial.number}: revoked while this worker was stopped" in log
    assert f"trial {trial.number}: its worker is gone; ended" in log
    assert "Traceback" not in log
    print(f"a stopped worker's trial was taken after {taken_after:.1f} s")
    return trial.number


def is_held(file: Path) -> bool:
    try:
        with FileLock(file, timeout=0):
            return False
    except Timeout:
        return True


def can_be_written(database: Path) -> bool:
    """Whether nobody is in the midst of a write to an SQLite file for longer than a write takes."""
    with closing(sqlite3.connect(database, timeout=2, isolation_level=None)) as connection:
        try:
            connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                raise
            return False
        connection.execute("ROLLBACK")
    return True


def not_running(number: int) -> bool:
    return trials()[number].state != TrialState.RUNNING


def while_at_most(seconds: float, true: Callable[[], bool]) -> None:
    """As long as it is true, but no longer than that."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and true():
        time.sleep(0.2)


def everything(client: MlflowClient, run_id: str) -> dict[str, Any]:
    """All that is in a run: metrics with their times, tags, files, status."""
    run = client.get_run(run_id)
    folders = ["", *(file.path for file in client.list_artifacts(run_id) if file.is_dir)]
    return {
        "status": (run.info.status, run.info.end_time),
        "tags": dict(run.data.tags),
        "metrics": {
            name: [(point.step, point.value, point.timestamp) for point in metric_history(client, run_id, name)]
            for name in metrics_of(run)
        },
        "files": {
            file.path: (Path(run.info.artifact_uri.removeprefix("file://")) / file.path).stat().st_mtime_ns
            for folder in folders
            for file in client.list_artifacts(run_id, folder)
        },
    }


@pytest.mark.timeout(600)
def test_killed_in_the_second_fold_of_a_trial(tracking: Path, fields: Callable[..., dict[str, Any]]) -> None:
    """The first is not trained again, and the second resumes after its last epoch."""
    path, client = tracking / "tiny.yaml", MlflowClient()
    values = fields(FOLD_EPOCHS, model=SMALLEST, trials=1, resampling="kfold", folds=2)
    path.write_text(yaml.safe_dump(values), encoding="utf-8")

    def folds() -> list[Run]:
        return sorted(nested_runs(client, trials()[0].user_attrs["run_id"]), key=lambda run: run.data.tags["fold"])

    with started(paced(sweep_line(path), tracking, PACE), tracking) as process:
        wait_for_running_trials(process, tracking)  # its first report is that of the first fold
        wait_until(lambda: len(folds()) == 2 and steps(folds()[1].info.run_id), process, tracking)
        children = family(process.pid)
        process.kill()
        for child in children:
            kill(child)
        process.wait(timeout=30)
        psutil.wait_procs(children, timeout=10)
    first, second = folds()
    assert (first.info.status, second.info.status) == ("FINISHED", "RUNNING")
    lines = repair()
    assert [line.endswith("nobody works on its fold any more, KILLED") for line in lines].count(True) == 1
    assert folds()[1].info.status == "KILLED"
    again = forked.run(sweep_line(path), cwd=tracking, text=True, timeout=280)
    assert again.returncode == 0, again.stderr
    assert [trial.state for trial in trials()] == [TrialState.FAIL, TrialState.COMPLETE]
    assert [fold.info.run_id for fold in folds()] == [first.info.run_id, second.info.run_id]
    assert [fold.info.status for fold in folds()] == ["FINISHED", "FINISHED"]
    assert folds()[0].info.end_time == first.info.end_time
    assert [steps(fold.info.run_id) for fold in folds()] == [list(range(1, FOLD_EPOCHS + 1))] * 2
