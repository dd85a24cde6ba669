"""Studies and confirmations for tests: stored as if trained, their runs, and trainings that are counted."""

from __future__ import annotations

from typing import Any

import optuna
from mlflow import MlflowClient
from mlflow.entities import Run
from optuna.trial import TrialState

from mobilenet_chest.config import Config
from mobilenet_chest.evaluation.intervals import Interval
from mobilenet_chest.sweep import SweepResult
from mobilenet_chest.sweep.attributes import CONFIRMS
from mobilenet_chest.sweep.confirm import Confirmation, Leader, fresh_seeds
from mobilenet_chest.sweep.stored_study import open_or_create
from mobilenet_chest.tracking.runs import nested_runs
from mobilenet_chest.tracking.store import experiment_id
from mobilenet_chest.training import loop

CONFIRMATION = Confirmation(
    1, "median1", 0.895, 0.89, 0, Interval(0.02, -0.01, 0.05), (5, 6),
    (Leader(1, 0.89, 0.895, (0.89, 0.9), ("median1", "b"), "median1"),
     Leader(0, 0.9, 0.88, (0.87, 0.89), ("median0", "d"), "median0")), (3,),
)  # fmt: skip
"""Two leaders on two fresh seeds: the second of the search is confirmed."""


def store_study(config: Config, claims: list[float], fresh: dict[int, list[float | None]]) -> optuna.Study:
    """Store the study ``tiny`` and its confirmation as they are when all was trained.

    Args:
        config: The experiment.
        claims: Values of the trials.
        fresh: Number of each leader -> its values on the fresh seeds; ``None``: that training failed.
    """
    url = "sqlite:///optuna.db"
    study = open_or_create(config, url)
    floats = optuna.distributions.FloatDistribution(1e-4, 1e-2, log=True)
    for place, claim in enumerate(claims, 1):
        trial = optuna.create_trial(
            params={"stage2.lr": place * 1e-3}, distributions={"stage2.lr": floats}, value=claim,
            user_attrs={"run_id": f"trial-{place - 1}" if fresh else _stored_run(config, place - 1, claim)},
        )  # fmt: skip
        study.add_trial(trial)
    settings = {"name": "tiny/confirm"}
    again = open_or_create(config.model_copy(update={"study": config.study.model_copy(update=settings)}), url)
    for number, values in fresh.items():
        for seed, value in zip(fresh_seeds(config), values, strict=True):
            confirms = {"study": "tiny", "trial": number, "seed": seed}
            state = TrialState.FAIL if value is None else TrialState.COMPLETE
            attributes = {CONFIRMS: confirms, "run_id": f"{number}-{value}"}
            again.add_trial(optuna.create_trial(state=state, value=value, user_attrs=attributes))
    return study


def _stored_run(config: Config, trial: int, value: float) -> str:
    """Make the run that a trial would have in MLflow, and return its id."""
    client = MlflowClient()
    labels = {"kind": "trial", "study": config.study_name, "trial": str(trial), "trial_state": "COMPLETE"}
    run_id = str(client.create_run(experiment_id(client, config.experiment), tags=labels).info.run_id)
    client.log_metric(run_id, config.study.metric, value)
    client.set_terminated(run_id)
    return run_id


def confirm_runs(result: SweepResult) -> list[Run]:
    """Return the runs of a sweep's trainings on fresh seeds."""
    nested = nested_runs(MlflowClient(), result.run_id)
    return [run for run in nested if run.data.tags["kind"] == "confirm"]


class CountedEpochs:
    """Trains epochs and counts them; may interrupt one. To be patched into ``training.loop`` as ``train_epoch``."""

    def __init__(self, stop_at: int | None) -> None:
        self.calls, self.stop_at, self._real = 0, stop_at, loop.train_epoch

    def __call__(self, *given: Any, **named: Any) -> Any:
        self.calls += 1
        if self.calls == self.stop_at:
            raise KeyboardInterrupt
        return self._real(*given, **named)
