"""How many workers a study wants at the moment, whatever runs them."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from typing import NamedTuple, NoReturn

import optuna
from optuna.trial import TrialState

from mobilenet_chest.config import Config
from mobilenet_chest.errors import SweepFailed, WriteFailed
from mobilenet_chest.sweep.claims import has_claimable

FAILURES_LIMIT = 3
"""A sweep whose first trials all fail, this many, is stopped: the next would fail as well."""

DEATHS_LIMIT = 3
"""So many workers for each that is wanted may die without a trial begun in between: the next would die as well."""

IDLE_SECONDS = 30.0
"""How long workers are given to leave when there is no trial any more."""


class Forecast(NamedTuple):
    """What there is to do in a study.

    Attributes:
        open: A trial can be claimed.
        busy: A trial is in hands, here or on another machine; it may come back.
        begins: Trials are still to be begun: time is not up, and not all fail.
        begun: How many have been, ever.
    """

    open: bool
    busy: bool
    begins: bool
    begun: int


def forecast(study: optuna.Study, config: Config, deadline: float | None, first_trial: int = 0) -> Forecast:
    """What there is to do.

    Args:
        study: The study.
        config: The experiment.
        deadline: Time (of ``time.time()``) after which no trial is begun, if any.
        first_trial: Number of the first trial of this sweep's present run: earlier failures may have been mended.
    """
    trials = study.get_trials(deepcopy=False)
    begins = (deadline is None or time.time() < deadline) and not only_failures(study, first_trial)
    busy = any(trial.state == TrialState.RUNNING for trial in trials)
    return Forecast(begins and has_claimable(trials, config), busy, begins, len(trials))


def only_failures(study: optuna.Study, first_trial: int = 0) -> bool:
    """Whether the study has nothing but failures, at least :data:`FAILURES_LIMIT` of them since ``first_trial``."""
    trials = study.get_trials(deepcopy=False)
    counted = [t for t in trials[first_trial:] if not t.user_attrs.get("interrupted")]
    failed = [t for t in counted if t.state == TrialState.FAIL]
    return len(failed) >= FAILURES_LIMIT and not any(
        t.state in (TrialState.COMPLETE, TrialState.PRUNED) for t in trials
    )


class WorkerPool:
    """The workers of a sweep: how many are missing, and whether the last may go.

    Args:
        wanted: Workers at the same time.
        on_tick: Says what there is to do.
    """

    def __init__(self, wanted: int, on_tick: Callable[[], Forecast]) -> None:
        self._wanted, self._on_tick = wanted, on_tick
        self._deaths, self._begun, self._idle_since = 0, -1, math.inf
        self.left = Forecast(True, False, True, -1)

    def look(self) -> None:
        """See what there is to do; about once a second."""
        self.left = self._on_tick()
        if self.left.begun != self._begun:  # a trial that kills its workers is ended by study.max_retries
            self._deaths, self._begun = 0, self.left.begun
        idle = not (self.left.open or self.left.busy)
        self._idle_since = min(self._idle_since, time.monotonic()) if idle else math.inf

    def died(self, how: str) -> None:
        """Count the death of a worker."""
        self._deaths += 1
        another = "; starting another" if self._deaths <= DEATHS_LIMIT * self._wanted else ""
        print(f"a worker {how}{another}", file=sys.stderr)

    def cannot_write(self, why: str) -> NoReturn:
        """End the sweep, as a worker has no room for what its trial leaves: the next trial would have none either.

        Raises:
            WriteFailed: Always.
        """
        raise WriteFailed(f"the sweep is ended, as a worker cannot write ({why}); the same command goes on with it")

    def missing(self, running: int) -> int:
        """How many to start: for the dead, and for trials that come back from the stopped or from other machines."""
        return self._wanted - running if self.left.open and self._deaths <= DEATHS_LIMIT * self._wanted else 0

    def finished(self, running: int) -> bool:
        """Whether nothing is left to wait for: no trial of anybody that might come back, and no worker.

        A worker that was stopped and has lost its trial would be waited for without end.

        Raises:
            SweepFailed: Workers are wanted, and all that were started have died.
        """
        if not running and self.left.open and not self.missing(0):
            raise SweepFailed(
                f"{self._deaths} workers died one after the other before they began a trial; their last words are "
                "above; the same command goes on"
            )
        waits = self.left.begins and self.left.busy
        return (not running and not waits) or time.monotonic() - self._idle_since > IDLE_SECONDS
