"""The smallest searches, and a trial that ran through: what an interrupted or paused one must be equal to."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

import pytest
from mlflow import MlflowClient

from helpers.stores import work_here, working_in
from helpers.sweeps import SMALLEST, stored_trials
from mobilenet_chest.config import Config
from mobilenet_chest.sweep import run_sweep
from mobilenet_chest.tracking.run_metrics import metric_history, metrics_of

TIMED = ("epoch_seconds", "images_per_second", "train_seconds")
"""Metrics that differ between equal trainings."""

Make = Callable[..., Config]

Histories = dict[str, list[tuple[int, float]]]


@pytest.fixture(scope="session")
def tiniest_search(tiny_search: Make) -> Make:
    """As ``tiny_search``, for tests that are about the sweep and not about what is learned: half a second a trial."""

    def make(search: dict[str, Any], values: dict[str, Any] | None = None, **settings: Any) -> Config:
        return tiny_search(search, {"model.name": SMALLEST, "optimizer.batch_size": 40} | (values or {}), **settings)

    return make


@dataclass(frozen=True)
class WholeTrial:
    """What came of a trial: its value, all metrics of its run, its reports, and what its stages have reached."""

    value: float | None
    histories: Histories
    reports: dict[int, float]
    trainings: list[dict[str, Any]]


def run_whole(config: Config, factory: pytest.TempPathFactory, timed: Collection[str] = TIMED) -> WholeTrial:
    """Run a sweep of one trial in a folder of its own."""
    folder = factory.mktemp("whole")
    with working_in(folder), pytest.MonkeyPatch.context() as patch:
        # nothing of it is found by those that are compared with it
        patch.setenv("MOBILENET_CHEST_CACHE", str(folder / "cache"))
        best = run_sweep(config, launch=work_here).best
        (trial,) = stored_trials(config.study_name)
        return WholeTrial(
            best.value, histories(best.run_id, timed), trial.intermediate_values, trial.user_attrs["trainings"]
        )


def histories(run_id: str | None, timed: Collection[str] = TIMED) -> Histories:
    """Return the steps and values of all metrics of a run but those of time."""
    assert run_id is not None
    client = MlflowClient()
    return {
        name: [(point.step, point.value) for point in metric_history(client, run_id, name)]
        for name in metrics_of(client.get_run(run_id))
        if name not in timed
    }
