"""A trial in the hands of a worker, with all that the worker needs to run it."""

from __future__ import annotations

from dataclasses import dataclass

import optuna
from optuna.trial import Trial

from mobilenet_chest.config import Config
from mobilenet_chest.sweep.control import Control
from mobilenet_chest.sweep.lease import Lease


@dataclass(frozen=True, eq=False)
class ClaimedTrial:
    """A trial that this process has claimed.

    Attributes:
        config: The study's experiment.
        study: The study.
        url: Its storage.
        trial: The trial.
        parent_run: The study's run in MLflow.
        lease: This process's hold on the trial.
        control: What is asked of the study by hand.
    """

    config: Config
    study: optuna.Study
    url: str
    trial: Trial
    parent_run: str
    lease: Lease
    control: Control
