"""Sweeps for tests: started in processes, waited for, and read back from study and store; and full disks."""

from __future__ import annotations

import ctypes
import dataclasses
import errno
import logging
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import optuna
import psutil
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from optuna.trial import FrozenTrial, TrialState

from helpers import forked
from helpers.experiments import tiny_fields
from mobilenet_chest.config import Config
from mobilenet_chest.logs import LOGGER
from mobilenet_chest.sweep import study, trial_run
from mobilenet_chest.sweep.local_workers import Job, work
from mobilenet_chest.sweep.storage import open_storage
from mobilenet_chest.sweep.supervisor import Forecast
from mobilenet_chest.tracking import tags
from mobilenet_chest.tracking.run_metrics import metric_history, metrics_of
from mobilenet_chest.tracking.runs import nested_runs

ROOT = Path(__file__).parents[2]
STUDY = "sqlite:///optuna.db"
WAIT_SECONDS = 240
SMALL = "timm:mobilenetv2_050"
SMALLEST = "timm:test_efficientnet"
"""A third of the layers: for tests that are about processes, not about what is learned."""

CLONE_NEWNS = 0x20000
"""Of ``unshare(2)``: mounts of this process alone."""

Make = Callable[..., Config]


def sweep_line(experiment: Path, *words: str) -> list[str]:
    """Return the command line of a sweep with two workers and further words."""
    return [sys.executable, str(ROOT / "sweep.py"), str(experiment), "--workers", "2", *words]


def anew(command: list[str], **options: Any) -> subprocess.Popen[bytes]:
    """Start a command that must not be forked, as Ray's."""
    # a shell's background job ignores SIGINT, and so would all that it starts
    return subprocess.Popen(command, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL), **options)


@contextmanager
def started(
    command: list[str], folder: Path, logs: Path | None = None, start: Callable[..., Any] = forked.Popen
) -> Iterator[subprocess.Popen[bytes]]:
    """Start a command in a session of its own, with ``out`` and ``err`` in the folder; kill what is left of it."""
    with ((logs or folder) / "out").open("wb") as out, ((logs or folder) / "err").open("wb") as err:
        process = start(command, cwd=folder, stdout=out, stderr=err, start_new_session=True)
        try:
            yield process
        finally:
            for member in [*family(process.pid), *([psutil.Process(process.pid)] if process.poll() is None else [])]:
                kill(member)
            process.wait(timeout=30)


def kill(process: psutil.Process) -> None:
    """Kill a process that may end by itself at any moment."""
    with suppress(psutil.NoSuchProcess):
        process.kill()


def family(pid: int) -> list[psutil.Process]:
    """Return all descendants of a process."""
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def trials(url: str = STUDY) -> list[FrozenTrial]:
    """Return the trials of the study ``tiny``; none before it exists."""
    file = url.removeprefix("sqlite:///")
    if file != url and not (Path(file).exists() and Path(file).stat().st_size):
        return []
    storage = open_storage(url)  # under the lock: the sweep may be making its tables
    try:
        return optuna.load_study(study_name="tiny", storage=storage).get_trials()
    except KeyError:
        return []
    finally:
        storage.remove_session()
        storage.engine.dispose()


def stored_trials(name: str = "tiny", url: str = STUDY) -> list[FrozenTrial]:
    """Return the trials of a study, as Optuna itself reads them."""
    # Optuna would read all its migrations to see whether the tables that this package has just used fit
    storage = optuna.storages.RDBStorage(url, skip_compatibility_check=True)
    try:
        return optuna.load_study(study_name=name, storage=storage).get_trials()
    finally:
        storage.remove_session()
        storage.engine.dispose()


def runs_by_trial(study_run: str) -> dict[int, Run]:
    """Return the runs nested under a study's, by number of the trial."""
    return {int(run.data.tags[tags.TRIAL]): run for run in nested_runs(MlflowClient(), study_run)}


def artifact_paths(run_id: str, folder: str = "") -> set[str]:
    """Return the paths in a folder of a run's artifacts."""
    return {entry.path for entry in MlflowClient().list_artifacts(run_id, folder or None)}


def wait_until(true: Callable[[], object], process: subprocess.Popen[bytes], folder: Path) -> None:
    """Wait until it is true; fail when the time is up, or when the process has ended before."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not true():
        if process.poll() is not None or time.monotonic() > deadline:
            pytest.fail(f"too late: exit code {process.poll()}, {(folder / 'err').read_text()}")
        time.sleep(0.1)


def wait_for_running_trials(
    process: subprocess.Popen[bytes], folder: Path, url: str = STUDY, *, trials_wanted: int = 1, least: int = 1,
    most: float = math.inf,
) -> list[FrozenTrial]:  # fmt: skip
    """Wait until so many trials run that have reported an epoch from ``least`` to ``most``; return them."""
    matching: list[FrozenTrial] = []

    def enough_run() -> bool:
        running = [t for t in trials(url) if t.state == TrialState.RUNNING]
        matching[:] = [t for t in running if least <= max(t.intermediate_values, default=0) <= most]
        return len(matching) >= trials_wanted

    wait_until(enough_run, process, folder)
    return matching


def steps(run_id: str) -> list[int]:
    """Return the epochs of which a run has the training loss, as they were logged."""
    return [point.step for point in metric_history(MlflowClient(), run_id, "train_loss")]


def assert_every_run_is_whole(complete: list[FrozenTrial], epochs: int) -> None:
    """Check that every complete trial has a run with each step once, and that no run claims to be running."""
    client = MlflowClient()
    (study,) = client.search_runs(["1"], "tags.kind = 'study'")
    assert study.info.status == "FINISHED"
    runs = nested_runs(client, study.info.run_id)
    assert {run.info.status for run in runs} <= {"FINISHED", "KILLED"}
    by_trial = {int(run.data.tags["trial"]): run for run in runs if run.data.tags.get("trial_state") == "COMPLETE"}
    assert sorted(by_trial) == [trial.number for trial in complete]
    for trial in complete:
        run = by_trial[trial.number]
        assert trial.user_attrs["run_id"] == run.info.run_id
        assert run.info.status == "FINISHED"
        for name in ("train_loss", "val_auc", "lr"):
            logged = [point.step for point in metric_history(client, run.info.run_id, name)]
            assert logged[:epochs] == list(range(1, epochs + 1))
            assert len(set(logged)) == len(logged)
        assert metrics_of(run)["val_auc"] == trial.value
    assert client.search_runs(["1"], "attributes.status = 'RUNNING'") == []


@contextmanager
def mounted(folder: Path, megabytes: int) -> Iterator[Callable[[str], None]]:
    """Mount a file system in memory; yield what remounts it as ``ro`` or ``rw``.

    This process and those that it starts see the mount, and it ends with them: one that outlived a killed test could
    not be removed, and pytest would stop at it in every later run.
    """

    def mount(*words: str) -> None:
        subprocess.run(["mount", *words], check=True, capture_output=True, timeout=30)

    folder.mkdir()
    try:
        if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNS):
            raise OSError(ctypes.get_errno(), "unshare")
        forked.end_servers()  # they would not see the mount
        mount("--make-rprivate", "/")
        mount("-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder))
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"file systems cannot be mounted here: {error}")
    try:
        yield lambda how: mount("-o", f"remount,{how}", str(folder))
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True, capture_output=True, timeout=30)


def fill(file: Path) -> None:
    """Take all the room there is in a file system, to the last page.

    Most of it at once: page by page takes seconds, in which a sweep goes on.
    """
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT)
    try:
        for size in (1 << 20, 4096):
            with until_full():
                while shutil.disk_usage(file).free:
                    os.write(descriptor, b"x" * size)
    finally:
        os.close(descriptor)


@contextmanager
def until_full() -> Iterator[None]:
    """Let a write end without an error where the disk is full."""
    try:
        yield
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise


@pytest.fixture(scope="session")
def tiny_search(phantom_config: Make) -> Make:
    """A search on the tiny file with a small network: a trial takes a second."""

    def make(search: dict[str, Any], values: dict[str, Any] | None = None, **settings: Any) -> Config:
        fields = {
            "search": search,
            "model.name": SMALL,
            "model.hidden": [8],
            "study": {"trials": 2, "pruner": "none", **settings},
        }
        return phantom_config(fields | (values or {}))

    return make


@pytest.fixture
def fields(chest_file: Path) -> Callable[..., dict[str, Any]]:
    """Returns what makes the fields of a tiny search, as its YAML file has them."""

    def make(epochs: int, model: str = SMALL, keep: int = 2, **study: Any) -> dict[str, Any]:
        searched = {
            "model": {"name": model, "weights": "none", "hidden": [8]},
            "optimizer": {"batch_size": 40 if model == SMALLEST else 16},
            "stage1": {"epochs": 2},
            "stage2": {"epochs": epochs - 2, "patience": None},
            "search": {"stage2.lr": {"low": 1e-4, "high": 1e-2, "log": True}},
            "study": {"pruner": "none", **study},
            "tracking.keep_checkpoints": keep,
        }
        return {name: value for name, value in tiny_fields(chest_file, searched).items() if name != "seed"}

    return make


def run_in_this_process(patch: pytest.MonkeyPatch) -> None:
    """Make this process the only worker of sweeps."""

    def run_here(job: Job, workers: int, on_tick: Callable[[], Forecast], on_death: Callable[[], object]) -> None:
        # one thread, as all of this process's tests: more would wait for each other on a busy machine
        work(dataclasses.replace(job, threads=1))

    patch.setattr(study, "run_workers", run_here)


@pytest.fixture
def here(tracking: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a tracking store, where this process is the only worker of a sweep: no process has to start."""
    run_in_this_process(monkeypatch)
    return tracking


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> pytest.LogCaptureFixture:
    """What the package logs at INFO and above, also where a command of an earlier test shows its log on stderr."""
    monkeypatch.setattr(logging.getLogger(LOGGER), "propagate", True)
    caplog.set_level(logging.INFO, LOGGER)
    return caplog


@pytest.fixture
def driver_dies(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Lets a worker see, after so many epochs, that its driver has been killed; by 0, not any more."""

    def after(epochs: int) -> None:
        seen: list[int] = []

        def is_alive() -> bool:
            seen.append(1)
            return len(seen) != epochs

        monkeypatch.setattr(
            trial_run, "multiprocessing", SimpleNamespace(parent_process=lambda: SimpleNamespace(is_alive=is_alive))
        )

    return after
