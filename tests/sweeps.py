"""Sweeps in processes of their own, for tests: starting one, waiting for its trials, its study; and disks."""

from __future__ import annotations

import errno
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import optuna
import psutil
import pytest
from mlflow import MlflowClient
from optuna.trial import FrozenTrial, TrialState

from mobilenet_chest.sweep.storage import open_storage

ROOT = Path(__file__).parents[1]
STUDY = "sqlite:///optuna.db"
WAIT_SECONDS = 240


def sweep_line(experiment: Path, *words: str) -> list[str]:
    """What one types: two workers, further words as given."""
    return [sys.executable, str(ROOT / "sweep.py"), str(experiment), "--workers", "2", *words]


@contextmanager
def started(command: list[str], folder: Path, logs: Path | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """A command in a session of its own, with ``out`` and ``err`` in the folder; what is left of it is killed."""
    with ((logs or folder) / "out").open("wb") as out, ((logs or folder) / "err").open("wb") as err:
        process = subprocess.Popen(
            command,
            cwd=folder,
            stdout=out,
            stderr=err,
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


def family(pid: int) -> list[psutil.Process]:
    """All that a process has started, and those have."""
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def trials(url: str = STUDY) -> list[FrozenTrial]:
    """Of the study ``tiny``; none while it is not made yet."""
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


def wait_until(true: Callable[[], object], process: subprocess.Popen[bytes], folder: Path) -> None:
    """Until it is true; fails when the time is up, or when the process has ended before."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not true():
        if process.poll() is not None or time.monotonic() > deadline:
            pytest.fail(f"too late: exit code {process.poll()}, {(folder / 'err').read_text()}")
        time.sleep(0.1)


def wait_for_trials_in_hand(
    process: subprocess.Popen[bytes], folder: Path, url: str = STUDY, *, trials_wanted: int = 1, least: int = 1,
    most: float = math.inf,
) -> list[FrozenTrial]:  # fmt: skip
    """Until so many trials run that have reported an epoch from ``least`` to ``most``; those trials."""
    found: list[FrozenTrial] = []

    def in_hand() -> bool:
        running = [t for t in trials(url) if t.state == TrialState.RUNNING]
        found[:] = [t for t in running if least <= max(t.intermediate_values, default=0) <= most]
        return len(found) >= trials_wanted

    wait_until(in_hand, process, folder)
    return found


def steps(run_id: str) -> list[int]:
    """Epochs of which a run has the training loss, as they were logged."""
    return [point.step for point in MlflowClient().get_metric_history(run_id, "train_loss")]


@contextmanager
def mounted(folder: Path, megabytes: int) -> Iterator[Callable[[str], None]]:
    """A file system of its own in memory; gives what mounts it anew as ``ro`` or ``rw``."""

    def mount(*words: str) -> None:
        subprocess.run(["mount", *words, str(folder)], check=True, capture_output=True, timeout=30)

    folder.mkdir()
    try:
        mount("-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs")
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"file systems cannot be mounted here: {error}")
    try:
        yield lambda how: mount("-o", f"remount,{how}")
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True, capture_output=True, timeout=30)


def fill(file: Path) -> None:
    """Take all the room there is in a file system, to the last page."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT)
    try:
        while shutil.disk_usage(file).free:
            os.write(descriptor, b"x" * 4096)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
    finally:
        os.close(descriptor)
