"""A sweep that is killed again and again, at random moments, loses nothing and does nothing twice."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any

import psutil
import pytest
import yaml
from helpers import forked
from helpers.sweeps import ROOT, STUDY, WAIT_SECONDS, assert_every_run_is_whole, kill, steps, stored_trials, trials
from mlflow import MlflowClient
from optuna.trial import FrozenTrial, TrialState

from mobilenet_chest.sweep.claims import counts
from mobilenet_chest.sweep.optuna_adapter import queued_values
from mobilenet_chest.sweep.trial_state import is_paused
from mobilenet_chest.tracking.run_metrics import metric_history

KILLS = 10
LEAST_IN_HAND = 2
"""Kills of a worker that had a trial."""

EPOCHS, RUNG = 5, 3
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
            self.process = forked.Popen(
                self.command(trials), cwd=self.folder, stdout=log, stderr=log, start_new_session=True
            )

    def living(self) -> list[psutil.Process]:
        """The driver, its workers, and workers whose driver has been killed."""
        assert self.process is not None
        if self.process.poll() is None:
            with suppress(psutil.NoSuchProcess):  # it has ended since
                driver = psutil.Process(self.process.pid)
                self.all |= {process.pid: process for process in [driver, *driver.children(recursive=True)]}
        return [process for process in self.all.values() if lives(process)]

    def end(self) -> None:
        for process in self.living():
            kill(process)
        if self.process is not None:
            self.process.wait(timeout=30)


def lives(process: psutil.Process) -> bool:
    """Return whether it runs; it may end at any moment."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@contextmanager
def sweeping(experiment: Path, url: str, folder: Path) -> Iterator[Sweep]:
    sweep = Sweep(experiment, url, folder)
    try:
        yield sweep
    finally:
        sweep.end()


def pids_with_a_trial(stored: list[FrozenTrial]) -> set[int | None]:
    return {(trial.user_attrs.get("worker") or {}).get("pid") for trial in stored if trial.state == TrialState.RUNNING}


def workers_with_a_trial(sweep: Sweep, stored: list[FrozenTrial]) -> list[psutil.Process]:
    pids = pids_with_a_trial(stored)
    return [process for process in sweep.living() if process.pid in pids]


def wait_for_a_running_trial(sweep: Sweep, url: str) -> None:
    """Wait until a worker has a trial with its values: one that dies before it has asked for them is not retried."""
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        if workers_with_a_trial(sweep, list(filter(queued_values, trials(url)))):
            return
        time.sleep(0.1)
    raise AssertionError("no worker has a trial")


def finished(url: str) -> dict[int, tuple[TrialState, float | None]]:
    return {trial.number: (trial.state, trial.value) for trial in trials(url) if trial.state in FINISHED}


@pytest.mark.timeout(600)
def test_random_kills(tracking: Path, experiment: Path, empty_database: Callable[[], str]) -> None:
    url, chance = empty_database(), random.Random(2024)
    killed: list[tuple[int, float]] = []
    drivers = in_hand = 0
    before: dict[int, tuple[TrialState, float | None]] = {}
    with sweeping(experiment, url, tracking) as sweep:
        sweep.start(trials=1000)
        while len(killed) < KILLS or in_hand < LEAST_IN_HAND:  # on a busy machine processes start most of the time
            assert sweep.process is not None
            if chance.random() < 0.3:  # while processes start, mostly
                time.sleep(chance.uniform(0.5, 3.0))
            else:
                wait_for_a_running_trial(sweep, url)
                time.sleep(chance.uniform(0.0, 2.0))
            assert sweep.process.poll() is None, (tracking / "sweep.log").read_text()
            living = sorted(sweep.living(), key=lambda process: (process.create_time(), process.pid))
            driver = psutil.Process(sweep.process.pid)
            others = [process for process in living if process.pid != driver.pid]  # the fork server among them
            victim = driver if chance.random() < 0.25 or not others else chance.choice(others)
            kill(victim)
            killed.append((victim.pid, time.time()))
            in_hand += victim.pid in pids_with_a_trial(trials(url))
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
    again = forked.run(Sweep(experiment, url, tracking).command(total), cwd=tracking, text=True, timeout=280)
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
    assert_every_run_is_whole(complete, EPOCHS)
    waited = requeued_after(died, dict(killed))
    assert len(waited) >= LEAST_IN_HAND
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
    assert_every_run_is_whole([trial for trial in stored if trial.state == TrialState.COMPLETE], EPOCHS)


@pytest.mark.timeout(600)
def test_kills_while_trials_pause_and_go_on(
    tracking: Path, tmp_path: Path, fields: Callable[..., dict[str, Any]]
) -> None:
    """Each trial has the numbers of one that ran through, and the best half of the rung has gone on."""
    rates = [1e-4 * 2**power for power in range(6)]
    paths = dict[str, Path]()
    for name, settings in {"whole": {}, "tiny": {"scheduler": "asha", "asha": {"first": RUNG, "reduction": 2}}}.items():
        study = {"max_retries": 1000, "sampler": "grid"} | settings
        values = fields(EPOCHS, **study) | {"name": name, "search": {"stage2.lr": {"choices": rates}}}
        paths[name] = tmp_path / f"{name}.yaml"
        paths[name].write_text(yaml.safe_dump(values), encoding="utf-8")
    command = Sweep(paths["whole"], STUDY, tracking).command(len(rates))
    whole = forked.run(command, cwd=tracking, text=True, timeout=WAIT_SECONDS)
    assert whole.returncode == 0, whole.stderr
    with sweeping(paths["tiny"], STUDY, tracking) as sweep:
        kills = killed_at_rungs(sweep, random.Random(2025), len(rates))
        assert sweep.process is not None
        assert sweep.process.wait(timeout=WAIT_SECONDS) == 0, (tracking / "sweep.log").read_text()
    expected = {trial.params["stage2.lr"]: trial for trial in stored_trials("whole")}
    ended = {trial.params["stage2.lr"]: trial for trial in trials() if counts(trial)}
    assert sorted(ended) == sorted(expected) == rates
    assert len([trial for trial in trials() if counts(trial)]) == len(rates)
    client = MlflowClient()
    for rate, trial in ended.items():
        curve = metric_history(client, expected[rate].user_attrs["run_id"], "val_auc")
        assert trial.intermediate_values == {RUNG: curve[RUNG - 1].value}
        done = RUNG if is_paused(trial) else EPOCHS
        assert steps(trial.user_attrs["run_id"]) == list(range(1, done + 1))
        assert is_paused(trial) or trial.value == expected[rate].value
    complete = {rate for rate, trial in ended.items() if trial.state == TrialState.COMPLETE}
    ranked = sorted(rates, key=lambda rate: -ended[rate].intermediate_values[RUNG])
    worst_leader = ended[ranked[len(rates) // 2 - 1]].intermediate_values[RUNG]
    assert {rate for rate in rates if ended[rate].intermediate_values[RUNG] > worst_leader} <= complete
    assert len(complete) >= len(rates) // 2
    open_trials = [trial for trial in trials() if not trial.state.is_finished() and not is_paused(trial)]
    assert open_trials == []
    print(f"{kills} kills, {len(complete)} of {len(rates)} trials complete")


def killed_at_rungs(sweep: Sweep, chance: random.Random, most: int) -> int:
    """Start a sweep, and kill a worker, or the driver once, whenever one more trial has reached the rung."""
    sweep.start(most)
    for kills in range(most):
        while True:
            assert sweep.process is not None
            stored = trials()
            holders = workers_with_a_trial(sweep, stored)
            if holders and sum(RUNG in trial.intermediate_values for trial in stored) > kills:
                break
            if sweep.process.poll() is not None:
                assert kills >= most // 2, (sweep.folder / "sweep.log").read_text()
                return kills
            time.sleep(0.05)
        if kills == 2:
            sweep.process.kill()
            sweep.process.wait(timeout=30)
            sweep.start(most)
        else:
            kill(chance.choice(holders))
    return most


def requeued_after(died: list[FrozenTrial], killed: dict[int, float]) -> list[float]:
    """Seconds from the kill of a worker to the end of its trial in the study."""
    waits = []
    for trial in died:
        pid, ended = trial.user_attrs.get("worker", {}).get("pid"), trial.datetime_complete
        if pid in killed and isinstance(ended, datetime):
            waits.append(ended.timestamp() - killed[pid])
    return waits
