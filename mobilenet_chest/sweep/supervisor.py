"""How many workers a study needs at the moment, whatever runs them."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from typing import NamedTuple, NoReturn

import optuna
from optuna.trial import TrialState

from mobilenet_chest.config import Config
from mobilenet_chest.errors import SweepFailed, WriteFailed
from mobilenet_chest.sweep import attributes
from mobilenet_chest.sweep.claims import FINISHED, has_claimable
from mobilenet_chest.sweep.trial_state import is_paused

logger = logging.getLogger(__name__)

FAILURES_LIMIT = 3
"""A sweep whose first trials all fail is stopped after so many: the next would fail as well."""

DEATHS_LIMIT = 3
"""So many workers, for each that is wanted, may die without a new trial in between: the next would die as well."""

IDLE_SECONDS = 30.0
"""How long workers are given to leave when no trial is left."""


class Forecast(NamedTuple):
    """What is left to do in a study.

    Attributes:
        claimable: Whether a trial can be claimed.
        running: Whether a trial runs, here or on another machine; its values may come back to the queue.
        begins: Whether trials may still begin: time is not up, and not all fail.
        trials: How many trials the study has, of whatever state.
    """

    claimable: bool
    running: bool
    begins: bool
    trials: int


def forecast(
    study: optuna.Study, config: Config, deadline: float | None, first_trial: int = 0, stopped: bool = False
) -> Forecast:  # fmt: skip
    """Return what is left to do.

    Args:
        study: The study.
        config: The experiment.
        deadline: Time (of ``time.time()``) after which no trial begins, if any.
        first_trial: Number of the first trial of this command: the cause of earlier failures may be gone.
        stopped: Whether the study was stopped by hand.
    """
    trials = study.get_trials(deepcopy=False)
    begins = not stopped and (deadline is None or time.time() < deadline) and not only_failures(study, first_trial)
    running = any(trial.state == TrialState.RUNNING and not is_paused(trial) for trial in trials)
    return Forecast(begins and has_claimable(study, trials, config), running, begins, len(trials))


def only_failures(study: optuna.Study, first_trial: int = 0) -> bool:
    """Whether the study has no result, and at least :data:`FAILURES_LIMIT` failures since ``first_trial``."""
    trials = study.get_trials(deepcopy=False)
    failed = [
        trial
        for trial in trials[first_trial:]
        if trial.state == TrialState.FAIL and not trial.user_attrs.get(attributes.INTERRUPTED)
    ]
    return len(failed) >= FAILURES_LIMIT and not any(trial.state in FINISHED or is_paused(trial) for trial in trials)


class WorkerPool:
    """Counts the workers of a sweep: how many are missing, and whether the sweep may end.

    Args:
        wanted: Workers at the same time.
        on_tick: Returns what is left to do.
    """

    def __init__(self, wanted: int, on_tick: Callable[[], Forecast]) -> None:
        self._wanted, self._on_tick = wanted, on_tick
        self._deaths, self._trials, self._idle_since = 0, -1, math.inf
        self.forecast = Forecast(claimable=True, running=False, begins=True, trials=-1)

    def update(self) -> None:
        """Ask what is left to do; about once a second."""
        self.forecast = self._on_tick()
        # a new trial is progress; one that kills each of its workers is ended by study.max_retries
        if self.forecast.trials != self._trials:
            self._deaths, self._trials = 0, self.forecast.trials
        idle = not (self.forecast.claimable or self.forecast.running)
        self._idle_since = min(self._idle_since, time.monotonic()) if idle else math.inf

    def count_death(self, how: str) -> None:
        """Count a dead worker; ``how`` continues the sentence "a worker …"."""
        self._deaths += 1
        another = "; starting another" if self._may_replace() else ""
        logger.warning("a worker %s%s", how, another)

    def stop_unwritable(self, reason: str) -> NoReturn:
        """End the sweep because a worker cannot write its results: the next trial could not either.

        Raises:
            WriteFailed: Always.
        """
        raise WriteFailed(f"the sweep was stopped: a worker cannot write ({reason}); run the same command to continue")

    def missing(self, running: int) -> int:
        """Return how many workers to start: for dead ones, and for trials that come back to the queue."""
        return self._wanted - running if self.forecast.claimable and self._may_replace() else 0

    def finished(self, running: int) -> bool:
        """Whether there is nothing to wait for: no worker runs, and no trial that may come back to the queue.

        Workers that are still there :data:`IDLE_SECONDS` after the last trial are not waited for: one that was stopped
        and has lost its trial would never leave.

        Raises:
            SweepFailed: Workers are wanted, and all that were started have died.
        """
        if not running and self.forecast.claimable and not self.missing(0):
            raise SweepFailed(
                f"{self._deaths} workers died in a row before they began a trial; see their errors above; run the same "
                "command to continue"
            )
        may_come_back = self.forecast.begins and self.forecast.running
        return (not running and not may_come_back) or time.monotonic() - self._idle_since > IDLE_SECONDS

    def _may_replace(self) -> bool:
        return self._deaths <= DEATHS_LIMIT * self._wanted
