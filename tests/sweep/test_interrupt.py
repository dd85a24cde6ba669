"""A sweep that is interrupted, or killed outright, ends as if it never had been when the same command runs again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
import psutil
import pytest
import yaml
from mlflow import MlflowClient
from optuna.trial import FrozenTrial, TrialState

from mobilenet_chest.sweep.claims import counts
from mobilenet_chest.sweep.storage import open_storage

ROOT = Path(__file__).parents[2]
TRIALS = 4
WAIT_SECONDS = 150

# each starts four interpreters or more, and trains in them
pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.name != "posix", reason="POSIX signals")]


@pytest.fixture
def experiment(tmp_path: Path, fields: Callable[..., dict[str, Any]]) -> Path:
    path = tmp_path / "tiny.yaml"
    values = fields(6, model="mobilenet_v3_large", keep=TRIALS, trials=TRIALS, lease_seconds=2)
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return path


def command(experiment: Path) -> list[str]:
    return [sys.executable, str(ROOT / "sweep.py"), str(experiment), "--workers", "2"]


@contextmanager
def sweeping(experiment: Path, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The sweep in a session of its own; whatever is left of it in the end is killed."""
    log = (folder / "sweep.log").open("wb")
    process = subprocess.Popen(
        command(experiment),
        cwd=folder,
        stdout=log,
        stderr=log,
        start_new_session=True,
        # a shell's background job ignores SIGINT, and so would all that it starts
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        yield process
    finally:
        for one in [*family(process.pid), *([psutil.Process(process.pid)] if process.poll() is None else [])]:
            one.kill()
        process.wait(timeout=30)
        log.close()


def family(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def trials() -> list[FrozenTrial]:
    storage = open_storage("sqlite:///optuna.db")  # under the lock: the sweep may be making its tables
    try:
        return optuna.load_study(study_name="tiny", storage=storage).get_trials()
    finally:
        storage.remove_session()
        storage.engine.dispose()


def wait_for_a_trial_in_hand(process: subprocess.Popen[bytes], folder: Path) -> FrozenTrial:
    """Until one trial runs that has reported an epoch; that trial."""
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, (folder / "sweep.log").read_text()
        if (folder / "optuna.db").exists() and (folder / "optuna.db").stat().st_size:
            try:
                found = trials()
            except KeyError:  # the study is not made yet
                found = []
            for trial in found:
                if trial.state == TrialState.RUNNING and trial.intermediate_values:
                    return trial
        time.sleep(0.2)
    raise AssertionError("no trial reported an epoch in time")


def assert_ends_whole(experiment: Path, folder: Path) -> None:
    """Run the command again: precisely the total, and nothing in MLflow that still claims to run."""
    again = subprocess.run(command(experiment), cwd=folder, capture_output=True, text=True, timeout=280, check=False)
    assert again.returncode == 0, again.stderr
    found = trials()
    assert len([t for t in found if counts(t)]) == TRIALS
    assert [t.number for t in found if t.state in (TrialState.RUNNING, TrialState.WAITING)] == []
    complete = [t for t in found if t.state == TrialState.COMPLETE]
    assert len(complete) == TRIALS, [trial.user_attrs.get("reason") for trial in found]
    assert len({t.params["stage2.lr"] for t in complete}) == TRIALS
    # what was in hand has been done by another, with the same values
    for trial in found:
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
    # each goes on in the run that was begun for its values
    begun = {t.user_attrs["run_id"] for t in found if t.state == TrialState.FAIL and "run_id" in t.user_attrs}
    assert begun
    assert begun <= {run.info.run_id for run in done}
    for run in done:
        steps = [point.step for point in client.get_metric_history(run.info.run_id, "train_loss")]
        assert steps == [1, 2, 3, 4, 5, 6]


@pytest.mark.timeout(600)
def test_ctrl_c_in_mid_trial(tracking: Path, experiment: Path) -> None:
    with sweeping(experiment, tracking) as process:
        wait_for_a_trial_in_hand(process, tracking)
        children = family(process.pid)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=WAIT_SECONDS) == 130
        psutil.wait_procs(children, timeout=10)
        assert [child.pid for child in children if child.is_running()] == []
    text = (tracking / "sweep.log").read_text()
    assert "interrupted; the same command goes on where this one stopped" in text
    assert "Traceback" not in text
    assert [t.number for t in trials() if t.state == TrialState.RUNNING] == []
    assert_ends_whole(experiment, tracking)


@pytest.mark.timeout(600)
def test_everything_killed_in_mid_trial(tracking: Path, experiment: Path) -> None:
    with sweeping(experiment, tracking) as process:
        wait_for_a_trial_in_hand(process, tracking)
        children = family(process.pid)
        process.kill()
        for child in children:
            child.kill()
        assert process.wait(timeout=30) == -signal.SIGKILL
        psutil.wait_procs(children, timeout=10)
    assert [t.number for t in trials() if t.state == TrialState.RUNNING] != []
    assert_ends_whole(experiment, tracking)


@pytest.mark.timeout(600)
def test_a_worker_that_was_stopped_beyond_its_lease_writes_nothing(tracking: Path, experiment: Path) -> None:
    with sweeping(experiment, tracking) as process:
        trial = wait_for_a_trial_in_hand(process, tracking)
        worker, started = psutil.Process(trial.user_attrs["worker"]["pid"]), time.monotonic()
        while trials()[trial.number].state == TrialState.RUNNING:
            # stopped in the midst of a write it keeps its trial, and may keep the database, until it goes on
            worker.suspend()
            wait_until(lambda: not_running(trial.number), 8)
            if not_running(trial.number):
                break
            worker.resume()
            time.sleep(0.1)
        taken_after = time.monotonic() - started
        ended = trials()[trial.number]
        assert (ended.state, ended.user_attrs["reason"]) == (TrialState.FAIL, "its worker died")
        run_id, client = ended.user_attrs["run_id"], MlflowClient()
        # another worker ends the trial in the same run, while the first one sleeps
        wait_until(lambda: client.get_run(run_id).data.tags.get("trial_state") == "COMPLETE", 60)
        before = everything(client, run_id)
        worker.resume()
        assert process.wait(timeout=WAIT_SECONDS) == 0, (tracking / "sweep.log").read_text()
    assert before["tags"]["trial_state"] == "COMPLETE"
    assert everything(client, run_id) == before
    log = (tracking / "sweep.log").read_text()
    assert f"trial {trial.number}: given to another worker while this one was stopped; left" in log
    assert f"trial {trial.number}: its worker is gone; ended" in log
    assert "Traceback" not in log
    assert [t.user_attrs["retry_of"] for t in trials() if "retry_of" in t.user_attrs] == [trial.number]
    print(f"a stopped worker's trial was taken after {taken_after:.1f} s")
    assert_ends_whole(experiment, tracking)


def not_running(number: int) -> bool:
    return trials()[number].state != TrialState.RUNNING


def wait_until(true: Callable[[], bool], seconds: float) -> None:
    """Until it is true, or the time is up; a database that a stopped process has locked counts as not true."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and not true():
        time.sleep(0.2)


def everything(client: MlflowClient, run_id: str) -> dict[str, Any]:
    """All that is in a run: metrics with their times, tags, files, status."""
    run = client.get_run(run_id)
    folders = ["", *(file.path for file in client.list_artifacts(run_id) if file.is_dir)]
    return {
        "status": (run.info.status, run.info.end_time),
        "tags": dict(run.data.tags),
        "metrics": {
            name: [(point.step, point.value, point.timestamp) for point in client.get_metric_history(run_id, name)]
            for name in run.data.metrics
        },
        "files": {
            file.path: (Path(run.info.artifact_uri.removeprefix("file://")) / file.path).stat().st_mtime_ns
            for folder in folders
            for file in client.list_artifacts(run_id, folder)
        },
    }
