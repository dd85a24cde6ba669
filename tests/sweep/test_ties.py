"""Intervals of trials' values and ties with the best, from what lies in MLflow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest

from mobilenet_chest.config import Config
from mobilenet_chest.evaluation.calibration import log_loss
from mobilenet_chest.evaluation.delong import auc_interval
from mobilenet_chest.sweep import SweepResult, run_sweep
from mobilenet_chest.sweep.summary import TrialSummary
from mobilenet_chest.sweep.ties import Ties, find_ties

Make = Callable[..., Config]
SEARCH = {"stage2.lr": {"choices": [1e-4, 1e-3, 3e-3]}}


def predictions(result: SweepResult, number: int) -> Path:
    (path,) = Path().glob(f"mlruns/*/{result.trials[number].run_id}/artifacts/predictions/val.parquet")
    return path


def rewritten(result: SweepResult, number: int, wrong: float) -> TrialSummary:
    """A trial whose predictions are right but for a share of the images."""
    file = predictions(result, number)
    table = pd.read_parquet(file)
    label = table["label"].to_numpy()
    flipped = np.random.default_rng(number).permutation(len(label)) < wrong * len(label)
    table["probability"] = np.where((label == 1) ^ flipped, 0.9, 0.1) + 0.01 * np.arange(len(label)) / len(label)
    table.to_parquet(file, index=False)
    value = auc_interval(label, table["probability"].to_numpy()).value
    return TrialSummary(number, "COMPLETE", value, result.trials[number].run_id, {})


@pytest.mark.slow
def test_of_a_sweep_and_of_what_its_trials_might_have_been(here: Path, tiny_search: Make) -> None:
    config = tiny_search(SEARCH, trials=3, sampler="grid")
    result = run_sweep(config)
    ties = result.ties
    for trial in result.trials:
        table = pd.read_parquet(predictions(result, trial.number))
        label, probability = table["label"].to_numpy(), table["probability"].to_numpy()
        assert ties.intervals[trial.number] == auc_interval(label, probability)
        assert ties.intervals[trial.number].value == pytest.approx(trial.value, abs=1e-12)
    board = pd.read_csv(mlflow.artifacts.download_artifacts(run_id=result.run_id, artifact_path="leaderboard.csv"))
    assert dict(zip(board["trial"], board["val_auc_low"], strict=True)) == pytest.approx(
        {number: interval.low for number, interval in ties.intervals.items()}
    )
    assert sorted(board.loc[board["tied"], "trial"]) == ties.tied
    assert run_sweep(config).ties == ties  # nothing to do: the same again

    trials = [rewritten(result, number, wrong) for number, wrong in enumerate((0.05, 0.0, 0.6))]
    assert find_ties("val_auc", trials, trials[1], result.run_id).tied == [0, 1]
    assert find_ties("val_loss", trials, trials[1], result.run_id) == Ties({}, [])

    losses = []
    for trial in trials:
        table = pd.read_parquet(predictions(result, trial.number))
        losses.append(replace(trial, value=log_loss(table["label"].to_numpy(), table["probability"].to_numpy())))
    by_loss = find_ties("val_loss", losses, losses[1], result.run_id)
    assert by_loss.tied == [0, 1]
    for trial in losses:
        assert trial.value is not None
        assert by_loss.intervals[trial.number].low < trial.value < by_loss.intervals[trial.number].high

    file = predictions(result, 0)
    pd.read_parquet(file).iloc[1:].to_parquet(file, index=False)
    trials[0] = rewritten(result, 0, 0.05)
    other_rows = find_ties("val_auc", trials, trials[1], result.run_id)
    assert (set(other_rows.intervals), other_rows.tied) == ({0, 1, 2}, [])
    file.unlink()
    without = find_ties("val_auc", trials, trials[1], result.run_id)
    assert (set(without.intervals), without.tied) == ({1, 2}, [])


def test_with_the_store_away_there_are_none(
    tracking: Path, monkeypatch: pytest.MonkeyPatch, logged: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    trial = TrialSummary(0, "COMPLETE", 0.9, "0" * 32, {})
    assert find_ties("val_auc", [trial], trial, "1" * 32) == Ties({}, [])
    (record,) = logged.records
    assert (record.levelname, record.name) == ("WARNING", "mobilenet_chest.sweep.ties")
