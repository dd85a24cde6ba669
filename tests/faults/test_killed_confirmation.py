"""A confirmation whose process is killed in mid-training."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.confirmations import CountedEpochs, confirm_runs, store_study
from helpers.killed import killed_in, sweep_killed_at
from mlflow import MlflowClient

from mobilenet_chest.config import Config
from mobilenet_chest.sweep import run_sweep
from mobilenet_chest.training import loop

Make = Callable[..., Config]

RANGE = {"stage2.lr": {"low": 1e-4, "high": 1e-2, "log": True}}


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="POSIX signals")
def test_killed_in_mid_confirmation(here: Path, tiny_search: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was done is not done again; the current training resumes after its last epoch."""
    config = tiny_search(RANGE, {"stage2.epochs": 3, "stage2.patience": None}, trials=1, confirm={"top": 1, "seeds": 2})
    store_study(config, [0.9], {})
    killed_in(sweep_killed_at, config, "in epoch 7")  # the third of the second fresh seed
    counting = CountedEpochs(stop_at=None)
    monkeypatch.setattr(loop, "train_epoch", counting)
    result = run_sweep(config)
    assert counting.calls == 2
    assert result.complete
    runs = confirm_runs(result)
    assert [run.info.status for run in runs] == ["FINISHED"] * 2
    assert {run.data.tags["trial_state"] for run in runs} == {"COMPLETE"}
    assert MlflowClient().get_run(result.run_id).data.tags["confirmed_run"] in {run.info.run_id for run in runs}
