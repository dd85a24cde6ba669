"""A confirmation whose process is killed in mid-training."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers.confirmations import CountedEpochs, confirm_runs, store_study
from mlflow import MlflowClient

from mobilenet_chest.config import Config
from mobilenet_chest.sweep import run_sweep
from mobilenet_chest.tracking import artifact_writer
from mobilenet_chest.training import loop

Make = Callable[..., Config]

RANGE = {"stage2.lr": {"low": 1e-4, "high": 1e-2, "log": True}}


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="POSIX signals")
@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
def test_killed_in_mid_confirmation(here: Path, tiny_search: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was done is not done again; the current training resumes after its last epoch."""
    config = tiny_search(RANGE, {"stage2.epochs": 3, "stage2.patience": None}, trials=1, confirm={"top": 1, "seeds": 2})
    store_study(config, [0.9], {})
    real = loop.train_epoch
    calls = itertools.count(1)
    monkeypatch.setattr(artifact_writer, "CHECKPOINT_SECONDS", 0.0)

    def until_the_seventh(*given: Any, **named: Any) -> Any:  # the third epoch of the second fresh seed
        return os.kill(os.getpid(), signal.SIGKILL) if next(calls) == 7 else real(*given, **named)

    def sweep() -> None:
        monkeypatch.setattr(loop, "train_epoch", until_the_seventh)
        run_sweep(config)

    process = multiprocessing.get_context("fork").Process(target=sweep)
    process.start()
    process.join(timeout=120)
    assert process.exitcode == -signal.SIGKILL
    counting = CountedEpochs(stop_at=None)
    monkeypatch.setattr(loop, "train_epoch", counting)
    result = run_sweep(config)
    assert counting.calls == 2
    assert result.complete
    runs = confirm_runs(result)
    assert [run.info.status for run in runs] == ["FINISHED"] * 2
    assert {run.data.tags["trial_state"] for run in runs} == {"COMPLETE"}
    assert MlflowClient().get_run(result.run_id).data.tags["confirmed_run"] in {run.info.run_id for run in runs}
