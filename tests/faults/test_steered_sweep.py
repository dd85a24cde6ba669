"""A sweep with two workers is paused, resumed, changed and stopped by commands of other processes."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from helpers import forked
from helpers.sweeps import WAIT_SECONDS, started, sweep_line, trials, wait_for_running_trials, wait_until
from mlflow import MlflowClient
from optuna.trial import TrialState

from mobilenet_chest.sweep.claims import counts

EPOCHS = 12

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.name != "posix", reason="POSIX signals")]


@pytest.fixture
def experiment(tmp_path: Path, fields: Callable[..., dict[str, Any]]) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(fields(EPOCHS, trials=20, workers=2)), encoding="utf-8")
    return path


def study(folder: Path, *words: str) -> str:
    """Run a command of ``study`` in a process of its own; return what it prints."""
    command = [sys.executable, "-m", "mobilenet_chest", "study", *words]
    ended = forked.run(command, cwd=folder, text=True, timeout=WAIT_SECONDS)
    assert ended.returncode == 0, ended.stderr
    return str(ended.stdout)


def running() -> list[int]:
    return [trial.number for trial in trials() if trial.state == TrialState.RUNNING]


def test_a_sweep_obeys_from_outside(experiment: Path, tracking: Path) -> None:
    with started(sweep_line(experiment), tracking) as process:
        wait_for_running_trials(process, tracking, trials_wanted=2)
        study(tracking, "pause", "tiny")
        wait_until(lambda: not running(), process, tracking)
        waiting, total = len(trials()), sum(map(counts, trials())) + 3  # two are queued again before it
        time.sleep(3.0)
        assert (len(trials()), running()) == (waiting, [])  # nothing begins
        assert "queued" in study(tracking, "add", "tiny", "stage2.lr=0.00125")
        study(tracking, "set", "tiny", f"trials={total}")
        study(tracking, "resume", "tiny")
        wait_until(lambda: sum(map(counts, trials())) > total - 3, process, tracking)
        study(tracking, "stop", "tiny")
        assert process.wait(timeout=200) == 0
    stopped = trials()
    assert not [trial for trial in stopped if trial.state == TrialState.RUNNING]
    again = forked.run(sweep_line(experiment), cwd=tracking, text=True, timeout=WAIT_SECONDS)
    assert again.returncode == 0, again.stderr
    ended = [trial for trial in trials() if counts(trial)]
    assert len(ended) == total  # the one that was set, not the file's
    assert {trial.state for trial in ended} == {TrialState.COMPLETE}
    assert 0.00125 in [trial.params["stage2.lr"] for trial in ended]
    (run,) = MlflowClient().search_runs(["1"], "tags.kind = 'study'")
    told = [line.split(" ", 1)[1].partition(" (by")[0] for line in run.data.tags["events"].splitlines()]
    assert told[0] == "paused"
    assert told[1].endswith("added: stage2.lr=0.00125")
    assert told[2:] == [f"trials set to {total} (was 20)", "resumed", "stopped"]
