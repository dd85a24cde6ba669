"""The result of a sweep: its best trial, its front, and no result without a complete trial."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import mlflow
import pandas as pd
import pytest
from helpers.sweeps import artifact_paths, runs_by_trial, stored_trials
from mlflow import MlflowClient

from mobilenet_chest.config import Config
from mobilenet_chest.errors import SweepFailed
from mobilenet_chest.sweep import remaining_trials, run_sweep
from mobilenet_chest.sweep.supervisor import FAILURES_LIMIT

Make = Callable[..., Config]

RANGE = {"stage2.lr": {"low": 1e-4, "high": 1e-2, "log": True}}
TOO_HIGH = 1e30
"""A learning rate after which nothing is finite any more."""


@pytest.mark.slow
def test_a_front_of_several_objectives(here: Path, tiniest_search: Make) -> None:
    search = {"model.hidden": {"choices": [[2], [32]]}, "stage2.lr": {"choices": [1e-3, 3e-3]}}
    config = tiniest_search(search, {"tracking.keep_checkpoints": 0}, trials=4, sampler="grid", also=["parameters"])
    result = run_sweep(config)
    points = {trial.number: (trial.value or 0.0, *trial.also) for trial in result.trials}
    assert len({parameters for _, parameters in points.values()}) == 2

    def beaten(point: tuple[float, ...]) -> bool:
        """Another is at least as good in both, and better in one."""
        value, size = point
        return any(v >= value and s <= size and (v, s) != (value, size) for v, s in points.values())

    assert result.front == [number for number, point in points.items() if not beaten(point)]
    assert 0 < len(result.front) < 4
    assert result.best.value == max(value for value, _ in points.values())
    assert all(len(trial.values) == 2 and not trial.intermediate_values for trial in stored_trials())

    client = MlflowClient()
    assert client.get_run(result.run_id).data.tags["pareto_front"] == ",".join(map(str, result.front))
    table = pd.read_csv(mlflow.artifacts.download_artifacts(run_id=result.run_id, artifact_path="leaderboard.csv"))
    assert set(table.loc[table["on_front"], "trial"]) == set(result.front)
    assert dict(zip(table["trial"], table["parameters"], strict=True)) == {n: p for n, (_, p) in points.items()}
    page = Path(mlflow.artifacts.download_artifacts(run_id=result.run_id, artifact_path="plots/study.html"))
    assert "<h2>Pareto front</h2>" in page.read_text(encoding="utf-8")
    for number, run in runs_by_trial(result.run_id).items():
        assert bool(artifact_paths(run.info.run_id, "checkpoints")) == (number in result.front)
    assert run_sweep(config).new_trials == 0


def test_a_sweep_whose_first_trials_all_fail_ends(here: Path, tiniest_search: Make) -> None:
    config = tiniest_search({"stage2.lr": {"low": 1e25, "high": 1e30, "log": True}}, {"stage1.epochs": 0}, trials=10)
    with pytest.raises(SweepFailed) as caught:
        run_sweep(config)
    message = str(caught.value)
    assert message.startswith("study 'tiny': its first trials all failed; the last failure: TrainingDiverged: epoch 1")
    assert "\n" not in message
    assert [trial.state.name for trial in stored_trials()] == ["FAIL"] * FAILURES_LIMIT
    runs = MlflowClient().search_runs([MlflowClient().get_experiment_by_name("tiny").experiment_id])
    assert sorted((run.data.tags["kind"], run.info.status) for run in runs) == [
        ("study", "FAILED"),
        *[("trial", "FAILED")] * FAILURES_LIMIT,
    ]


def test_no_trial_is_begun_after_the_time_is_up(here: Path, tiniest_search: Make) -> None:
    config = tiniest_search(RANGE)
    with pytest.raises(SweepFailed, match=f"'{config.study_name}'"):
        run_sweep(config, timeout=0.0)
    assert stored_trials() == []
    assert remaining_trials(config) == 2
