"""A sweep that is killed again and again, at random moments, loses nothing and does nothing twice."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
import yaml
from helpers.sweeps import ROOT, trials
from mlflow import MlflowClient
from optuna.trial import FrozenTrial, TrialState

from mobilenet_chest import two_stage
from mobilenet_chest.config import Config
from mobilenet_chest.sweep import claims, run_sweep
from mobilenet_chest.sweep.claims import counts
from mobilenet_chest.sweep.optuna_adapter import queued_values
from mobilenet_chest.sweep.repair import repair
from mobilenet_chest.tracking import MlflowTracker, artifact_writer
from mobilenet_chest.tracking.runs import nested_runs
from mobilenet_chest.training import checkpoint, loop

KILLS = 20
EPOCHS = 5
FINISHED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.name != "posix", reason="POSIX signals")]


@pytest.fixture
def experiment(tmp_path: Path, fields: Callable[..., dict[str, Any]]) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(fields(EPOCHS, max_retries=1000)), encoding="utf-8")
    return path


class Sweep:
    """``sweep.py`` in a process that can be killed and restarted."""

    def __init__(self, experiment: Path, url: str, folder: Path) -> None:
        self.experiment, self.url, self.folder = experiment, url, folder
        self.process: subprocess.Popen[bytes] | None = None
        self.all: dict[int, psutil.Process] = {}

    def command(self, trials: int) -> list[str]:
        words = [sys.executable, str(ROOT / "sweep.py"), str(self.experiment)]
        return [*words, "--workers", "2", "--trials", str(trials), "--storage", self.url, "--json"]

    def start(self, trials: int) -> None:
        with (self.folder / "sweep.log").open("ab") as log:
            self.process = subprocess.Popen(
                self.command(trials), cwd=self.folder, stdout=log, stderr=log, start_new_session=True
            )

    def living(self) -> list[psutil.Process]:
        """The driver, its workers, and workers whose driver has been killed."""
        assert self.process is not None
        if self.process.poll() is None:
            driver = psutil.Process(self.process.pid)
            self.all |= {process.pid: process for process in [driver, *driver.children(recursive=True)]}
        return [
            process
            for process in self.all.values()
            if process.is_running() and process.status() != psutil.STATUS_ZOMBIE
        ]

    def end(self) -> None:
        for process in self.living():
            process.kill()
        if self.process is not None:
            self.process.wait(timeout=30)


@contextmanager
def sweeping(experiment: Path, url: str, folder: Path) -> Iterator[Sweep]:
    sweep = Sweep(experiment, url, folder)
    try:
        yield sweep
    finally:
        sweep.end()


def wait_for_a_running_trial(sweep: Sweep, url: str) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        living = {process.pid for process in sweep.living()}
        if any(
            t.state == TrialState.RUNNING and t.user_attrs.get("worker", {}).get("pid") in living for t in trials(url)
        ):
            return
        time.sleep(0.1)
    raise AssertionError("no worker has a trial")


def finished(url: str) -> dict[int, tuple[TrialState, float | None]]:
    return {trial.number: (trial.state, trial.value) for trial in trials(url) if trial.state in FINISHED}


@pytest.mark.timeout(600)
def test_random_kills(tracking: Path, experiment: Path, empty_database: Callable[[], str]) -> None:
    url, chance = empty_database(), random.Random(2024)
    killed: list[tuple[int, float]] = []
    drivers = 0
    before: dict[int, tuple[TrialState, float | None]] = {}
    with sweeping(experiment, url, tracking) as sweep:
        sweep.start(trials=1000)
        while len(killed) < KILLS:
            assert sweep.process is not None
            if chance.random() < 0.3:  # while processes start, mostly
                time.sleep(chance.uniform(0.5, 3.0))
            else:
                wait_for_a_running_trial(sweep, url)
                time.sleep(chance.uniform(0.0, 2.0))
            assert sweep.process.poll() is None, (tracking / "sweep.log").read_text()
            living = sorted(sweep.living(), key=lambda process: (process.create_time(), process.pid))
            driver = psutil.Process(sweep.process.pid)
            others = [
                process
                for process in living
                if process.pid != driver.pid and "spawn_main" in " ".join(process.cmdline())
            ]
            victim = driver if chance.random() < 0.25 or not others else chance.choice(others)
            victim.send_signal(signal.SIGKILL)
            killed.append((victim.pid, time.time()))
            after = finished(url)
            assert before.items() <= after.items()  # what is done stays done
            before = after
            if victim.pid == sweep.process.pid:
                sweep.process.wait(timeout=30)
                drivers += 1
                sweep.start(trials=1000)
        sweep.end()
    # all that was running or queued again, and one more
    total = len([trial for trial in trials(url) if not trial.user_attrs.get("interrupted")]) + 1
    again = subprocess.run(
        Sweep(experiment, url, tracking).command(total),
        cwd=tracking,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert again.returncode == 0, again.stderr
    stored = trials(url)
    assert before.items() <= finished(url).items()
    assert [trial.state for trial in stored if counts(trial)] == [TrialState.COMPLETE] * total
    assert [trial.number for trial in stored if trial.state in (TrialState.RUNNING, TrialState.WAITING)] == []
    complete = [trial for trial in stored if trial.state == TrialState.COMPLETE]
    assert len({trial.params["stage2.lr"] for trial in complete}) == total
    # one retry for each death, and no other
    retried = [trial.user_attrs["retry_of"] for trial in stored if "retry_of" in trial.user_attrs]
    died = [trial for trial in stored if trial.state == TrialState.FAIL]
    assert len(set(retried)) == len(retried)
    # also a retry that died before it had asked for the values that it was queued with
    assert {trial.number for trial in died if queued_values(trial)} == set(retried)
    assert_every_run_is_whole(complete)
    waited = requeued_after(died, dict(killed))
    assert len(waited) >= KILLS // 5
    print(
        f"{url.partition(':')[0]}: {len(killed)} kills, {drivers} of them drivers; {total} trials, {len(died)} died in "
        f"hand; ended {median(waited):.1f} s after the kill (median of {len(waited)}; {max(waited):.1f} s at most)"
    )


@pytest.mark.timeout(600)
def test_the_same_line_typed_twice_joins_one_study(tracking: Path, experiment: Path) -> None:
    """Two sweeps at once stand for two machines; one is killed with all its workers in mid-trial."""
    url = "sqlite:///optuna.db"
    with sweeping(experiment, url, tracking) as first, sweeping(experiment, url, tracking) as second:
        first.start(trials=6)
        second.start(trials=6)
        wait_for_a_running_trial(second, url)
        second.end()
        assert first.process is not None
        assert first.process.wait(timeout=200) == 0, (tracking / "sweep.log").read_text()
    stored = trials(url)
    assert [trial.state for trial in stored if counts(trial)] == [TrialState.COMPLETE] * 6
    # one for each of its workers that had a trial
    assert len([trial for trial in stored if "retry_of" in trial.user_attrs]) in (1, 2)
    assert_every_run_is_whole([trial for trial in stored if trial.state == TrialState.COMPLETE])


# --- killed at one point -------------------------------------------------------------------------------------------

RANGE = {"stage2.lr": {"low": 1e-4, "high": 1e-2, "log": True}}
FIVE = {
    "model": {"name": "timm:mobilenetv2_050", "weights": "none", "hidden": [8]},
    "stage1": {"epochs": 2},
    "stage2": {"epochs": EPOCHS - 2, "patience": None},
}


def die(*_: object, **__: object) -> Any:
    os.kill(os.getpid(), signal.SIGKILL)


def killed_in(act: Callable[[], object]) -> None:
    """Do something in a process that is killed in the midst of it."""
    process = multiprocessing.get_context("fork").Process(target=act)
    process.start()
    process.join(timeout=120)
    assert process.exitcode == -signal.SIGKILL


def at_call(number: int, real: Callable[..., Any]) -> Callable[..., Any]:
    """As ``real``, but killed at that call."""
    calls = itertools.count(1)
    return lambda *given, **named: die() if next(calls) == number else real(*given, **named)


@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
@pytest.mark.parametrize(
    ("point", "epochs"),
    # of two trials of two frozen epochs, which they share, and three others: eight
    [("after the ask", 8), ("in an epoch", 6), ("in a checkpoint", 6), ("in its copying", 6), ("at its end", 3)],
)
def test_killed_at(
    here: Path, tiny_search: Callable[..., Config], monkeypatch: pytest.MonkeyPatch, point: str, epochs: int
) -> None:
    """At most the current epoch is lost; ``epochs`` are trained by the sweep that continues."""
    config = tiny_search(RANGE, FIVE, trials=2)
    monkeypatch.setattr(artifact_writer, "CHECKPOINT_SECONDS", 0.0)

    def sweep() -> None:
        match point:
            case "after the ask":
                monkeypatch.setattr(claims, "worker_record", die)
            case "in an epoch":
                monkeypatch.setattr(loop, "train_epoch", at_call(3, loop.train_epoch))
            case "in a checkpoint":
                monkeypatch.setattr(checkpoint, "os", SimpleNamespace(fsync=at_call(4, os.fsync)))
            case "in its copying":
                # config.yaml of the study and of the trial, two epochs of stage 1, its best, and then
                monkeypatch.setattr(MlflowTracker, "log_file", at_call(6, MlflowTracker.log_file))
            case "at its end":
                monkeypatch.setattr(two_stage, "remove_last", die)
        run_sweep(config)

    killed_in(sweep)
    (left,) = trials()
    assert left.state == TrialState.RUNNING
    begun = left.user_attrs.get("run_id")
    assert (begun is None) == (point == "after the ask")
    trained = itertools.count()
    real = loop.train_epoch
    monkeypatch.setattr(loop, "train_epoch", lambda *given, **named: (next(trained), real(*given, **named))[1])
    result = run_sweep(config)
    stored = trials()
    complete = [trial for trial in stored if trial.state == TrialState.COMPLETE]
    assert [trial.number for trial in stored if counts(trial)] == [trial.number for trial in complete]
    assert len(complete) == 2
    assert_every_run_is_whole(complete)
    if point == "after the ask":  # it had no values yet
        assert [trial.user_attrs.get("retry_of") for trial in stored] == [None] * 3
    else:
        assert [t.number for t in stored if t.user_attrs.get("retry_of") == left.number] == [1]
        assert begun in {trial.user_attrs["run_id"] for trial in complete}
    assert result.complete
    assert next(trained) == epochs


@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
@pytest.mark.parametrize("second", ["fail_trial", "requeue"])
def test_a_reaper_killed_between_queuing_and_ending(
    here: Path, tiny_search: Callable[..., Config], monkeypatch: pytest.MonkeyPatch, second: str
) -> None:
    config = tiny_search(RANGE, FIVE, trials=1)
    real = loop.train_epoch

    def sweep() -> None:
        monkeypatch.setattr(loop, "train_epoch", at_call(2, real))
        run_sweep(config)

    def mend() -> None:
        monkeypatch.setattr(claims, second, die)
        repair()

    killed_in(sweep)
    for _ in range(2):
        killed_in(mend)
    run_sweep(config)
    stored = trials()
    assert [(trial.state, trial.user_attrs.get("retry_of")) for trial in stored] == [
        (TrialState.FAIL, None),
        (TrialState.COMPLETE, 0),
    ]
    assert_every_run_is_whole(stored[1:])


def assert_every_run_is_whole(complete: list[FrozenTrial]) -> None:
    client = MlflowClient()
    (study,) = client.search_runs(["1"], "tags.kind = 'study'")
    assert study.info.status == "FINISHED"
    runs = nested_runs(client, study.info.run_id)
    assert {run.info.status for run in runs} <= {"FINISHED", "KILLED"}
    of = {int(run.data.tags["trial"]): run for run in runs if run.data.tags.get("trial_state") == "COMPLETE"}
    assert sorted(of) == [trial.number for trial in complete]
    for trial in complete:
        run = of[trial.number]
        assert trial.user_attrs["run_id"] == run.info.run_id
        assert run.info.status == "FINISHED"
        for name in ("train_loss", "val_auc", "lr"):
            steps = [point.step for point in client.get_metric_history(run.info.run_id, name)]
            assert steps[:EPOCHS] == list(range(1, EPOCHS + 1))
            assert len(set(steps)) == len(steps)
        assert run.data.metrics["val_auc"] == trial.value
    assert client.search_runs(["1"], "attributes.status = 'RUNNING'") == []


def requeued_after(died: list[FrozenTrial], killed: dict[int, float]) -> list[float]:
    """Seconds from the kill of a worker to the end of its trial in the study."""
    waits = []
    for trial in died:
        pid, ended = trial.user_attrs.get("worker", {}).get("pid"), trial.datetime_complete
        if pid in killed and isinstance(ended, datetime):
            waits.append(ended.timestamp() - killed[pid])
    return waits
