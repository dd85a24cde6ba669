"""What earlier studies found, which a sampler sees beside the study's own trials until it has enough of these."""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import Any, NamedTuple

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState

from mobilenet_chest.config import Config
from mobilenet_chest.config.metrics import as_score
from mobilenet_chest.sweep import attributes
from mobilenet_chest.sweep.space import Values, to_optuna

FADE = 4
"""How many of them it sees no more, for each trial of its own that it learns from: none is left after ten."""


class EarlierTrial(NamedTuple):
    """A trial of an earlier study.

    Attributes:
        values: Its values, as Optuna stores them.
        rank: Its rank in its study, from 0, the worst, to 1, the best.
        study: The study's name.
    """

    values: Values
    rank: float
    study: str


class EarlierTrials:
    """The trials of earlier studies among those of a study, for its sampler.

    Args:
        config: The experiment of the study.
        states: States of the study's own trials that the sampler learns from; none where it does not learn.
    """

    def __init__(self, config: Config, states: Container[TrialState]) -> None:
        self._distributions = {path: to_optuna(path, distribution) for path, distribution in config.search.items()}
        self._direction, self._states = config.study.direction, states
        self._trials: list[EarlierTrial] | None = None if states and config.study.learn_from else []

    def read(self, study: optuna.Study) -> None:
        """Read them from the study, which has them from its beginning: once in a process."""
        if self._trials is None:
            self._trials = [EarlierTrial(*each) for each in study.user_attrs.get(attributes.EARLIER_TRIALS, ())]

    def beside(self, own: Sequence[FrozenTrial]) -> list[FrozenTrial]:
        """Return those that the sampler still sees beside the study's own trials, as complete ones.

        The value of each is the one that has its rank among the study's own, so that ranks of other data and metrics
        become values of this one.
        """
        if not self._trials:
            return []
        known = sum(trial.state in self._states for trial in own)
        if FADE * known >= len(self._trials):
            return []
        shown = self._trials[: len(self._trials) - FADE * known]
        scores = sorted(as_score(t.values[0], self._direction) for t in own if t.state == TrialState.COMPLETE)
        if len(scores) < 2:
            middle = scores[0] if scores else 0.0
            scores = [middle - 0.5, middle + 0.5]
        places = np.linspace(0, 1, len(scores))
        return [self._as_trial(each, float(np.interp(each.rank, places, scores))) for each in shown]

    def _as_trial(self, trial: EarlierTrial, score: float) -> FrozenTrial:
        values: dict[str, Any] = trial.values
        distributions = {path: self._distributions[path] for path in values}
        value = as_score(score, self._direction)  # its own inverse
        return optuna.trial.create_trial(params=values, distributions=distributions, value=value)
