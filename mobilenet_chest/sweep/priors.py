"""Priors of a search: draws around the values that a person expects to be good, rarer with each trial of the study."""

from __future__ import annotations

import hashlib
import math
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from mobilenet_chest.config import Config, active
from mobilenet_chest.sweep.space import Values, as_stored

FADE_TRIALS = 1.0
"""Number of the trial that is drawn around the priors with probability one half; the share falls as 1/(1 + n/k)."""

LAST_TRIAL = 7
"""Number of the last trial that may be drawn around them. So misleading priors cost three trials on average."""

SPREAD = 0.1
"""Standard deviation of a draw around a prior, as a share of the range (of its logarithm, with ``log``)."""

SAME_CHOICE = 0.5
"""How often a draw around a choice is that choice; otherwise all are equally likely."""


def prior_values(config: Config) -> Values:
    """Return the priors of the fields that are searched where the priors hold, as Optuna stores them."""
    priors = {path: d.prior for path, d in config.search.items() if d.prior is not None}
    return {path: as_stored(path, config.search[path], priors[path])
            for path in active(config.search, priors) if path in priors}  # fmt: skip


def prior_share(number: int) -> float:
    """Return the probability that a trial is drawn around the priors; 1 for trial 0."""
    return 1 / (1 + number / FADE_TRIALS) if number <= LAST_TRIAL else 0.0


class PriorDraws:
    """Draws around the priors of an experiment.

    A draw follows from the study's seed, the trial's number and the field alone, so that it is the same in whichever
    process the trial is begun.

    Args:
        config: The experiment.
    """

    def __init__(self, config: Config) -> None:
        self._seed = config.seed
        self._priors = {
            path: as_stored(path, distribution, distribution.prior)
            for path, distribution in config.search.items()
            if distribution.prior is not None
        }

    def has(self, path: str) -> bool:
        """Whether a field has a prior."""
        return path in self._priors

    def chosen(self, number: int) -> bool:
        """Whether a trial is drawn around the priors, in all fields that have one."""
        return bool(self._priors) and self._generator(number, "").random() < prior_share(number)

    def draw(self, number: int, path: str, distribution: BaseDistribution) -> Any:
        """Return a value of a field for a trial, as Optuna stores it.

        Args:
            number: The trial's number.
            path: A field that has a prior.
            distribution: What it may be.
        """
        generator, prior = self._generator(number, path), self._priors[path]
        if isinstance(distribution, FloatDistribution | IntDistribution):
            return _near(distribution, prior, generator)
        assert isinstance(distribution, CategoricalDistribution)
        choices = distribution.choices
        return prior if generator.random() < SAME_CHOICE else choices[int(generator.integers(len(choices)))]

    def _generator(self, number: int, path: str) -> np.random.Generator:
        digest = hashlib.sha256(f"{self._seed} prior {number} {path}".encode()).digest()
        return np.random.default_rng(int.from_bytes(digest[:8], "big"))


def _near(distribution: FloatDistribution | IntDistribution, prior: float, generator: np.random.Generator) -> Any:
    """Return a draw of the normal distribution around a prior, truncated to the range, on a step of it."""
    from scipy.special import ndtr, ndtri

    low, high = float(distribution.low), float(distribution.high)
    start, end, middle = (math.log(each) if distribution.log else each for each in (low, high, float(prior)))
    deviation = SPREAD * (end - start) or 1.0
    # by the inverse of the distribution function: one random number a draw, however much is cut off
    within = generator.uniform(ndtr((start - middle) / deviation), ndtr((end - middle) / deviation))
    place = middle + deviation * float(ndtri(within))
    value = math.exp(place) if distribution.log else place
    if distribution.step is not None and not distribution.log:
        value = low + round((value - low) / distribution.step) * distribution.step
    value = min(max(value, low), high)  # rounding may leave the range by its last digit
    return round(value) if isinstance(distribution, IntDistribution) else value
