"""Intervals of any figure by resampling the images, or the patients that they are of."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mobilenet_chest.evaluation.intervals import LEVEL, Difference, Interval, Metric, check_level, check_rows
from mobilenet_chest.evaluation.thresholds import Labels, Probabilities

Rows = NDArray[np.int64]
Floats = NDArray[np.float64]


def bootstrap(
    labels: Labels,
    scores: Probabilities,
    metric: Metric,
    *,
    groups: NDArray[np.generic] | None = None,
    level: float = LEVEL,
    draws: int = 2000,
    seed: int = 0,
) -> Interval:
    """A figure with the bias-corrected and accelerated bootstrap interval (BCa: Efron, JASA 1987).

    Each class keeps its number of images in every draw; with ``groups``, patients are drawn whole, those with images
    of one class only within their class. The acceleration is the jackknife's, over all strata (Davison & Hinkley,
    Bootstrap Methods, 1997, eq. 5.27 f.).

    A metric that is the same in every draw, such as an accuracy of 1, has no width to be found here (for proportions
    :func:`~mobilenet_chest.evaluation.statistics.wilson` has); one that is NaN in a draw has ends of NaN.

    Args:
        labels: uint8 (n,).
        scores: float64 (n,).
        metric: Figure of labels and scores; called ``draws`` times, and once without each image or patient.
        groups: Patient of each image, (n,); ``None`` for images that are all of different patients.
        level: Confidence.
        draws: Resampled sets.
        seed: The same one gives the same interval.

    Raises:
        DataError: As in :func:`~mobilenet_chest.evaluation.intervals.check_rows`.
    """
    check_rows(labels, scores)
    found = _bootstrapped(labels, groups, lambda rows: metric(labels[rows], scores[rows]), draws, seed)
    return Interval(found.value, *found.ends(level))


def bootstrap_difference(
    labels: Labels,
    first: Probabilities,
    second: Probabilities,
    metric: Metric,
    *,
    groups: NDArray[np.generic] | None = None,
    level: float = LEVEL,
    draws: int = 2000,
    seed: int = 0,
) -> Difference:
    """A figure of the first model less that of the second, of the same draws: as :func:`bootstrap`.

    p is one less the confidence of the interval that ends at 0; about 1 / ``draws`` is the smallest there is.
    """
    check_rows(labels, first, second)

    def difference(rows: Rows) -> float:
        return metric(labels[rows], first[rows]) - metric(labels[rows], second[rows])

    found = _bootstrapped(labels, groups, difference, draws, seed)
    return Difference(found.value, *found.ends(level), found.p_of_zero())


@dataclass(frozen=True)
class _Bootstrapped:
    """A figure, its values in all draws, and what corrects their quantiles."""

    value: float
    values: Floats
    bias: float
    acceleration: float

    def ends(self, level: float) -> tuple[float, float]:
        from scipy.stats import norm

        check_level(level)
        if not np.isfinite(self.values).all():
            return math.nan, math.nan
        shifted = self.bias + norm.ppf([(1 - level) / 2, (1 + level) / 2])
        corrected = norm.cdf(self.bias + shifted / (1 - self.acceleration * shifted))
        low, high = np.quantile(self.values, corrected)
        return float(low), float(high)

    def p_of_zero(self) -> float:
        from scipy.stats import norm

        if not np.isfinite(self.values).all():
            return math.nan
        if (self.values == 0).all():
            return 1.0
        shifted = norm.ppf(_share_below(self.values, 0.0)) - self.bias
        z = shifted / (1 + self.acceleration * shifted) - self.bias
        return float(2 * norm.sf(abs(z)))


def _bootstrapped(
    labels: Labels,
    groups: NDArray[np.generic] | None,
    figure: Callable[[Rows], float],
    draws: int,
    seed: int,
) -> _Bootstrapped:
    from scipy.stats import norm

    strata, rows_of = _strata(labels, groups)
    generator = np.random.default_rng(seed)
    drawn = [stratum[generator.integers(0, len(stratum), (draws, len(stratum)))] for stratum in strata]
    value = figure(np.arange(len(labels)))
    values = np.array([figure(rows_of(units)) for units in np.concatenate(drawn, axis=1)])
    if not np.isfinite(values).all() or (values == values[0]).all():
        return _Bootstrapped(value, values, 0.0, 0.0)
    everything = np.concatenate(strata)
    squares = cubes = 0.0
    for stratum in strata:
        if len(stratum) > 1:
            without = np.array([figure(rows_of(everything[everything != unit])) for unit in stratum])
            influence = (len(stratum) - 1) / len(stratum) * (without.mean() - without)
            squares, cubes = squares + (influence**2).sum(), cubes + (influence**3).sum()
    acceleration = cubes / (6 * squares**1.5) if squares > 0 else 0.0
    return _Bootstrapped(value, values, float(norm.ppf(_share_below(values, value))), float(acceleration))


def _share_below(values: Floats, bound: float) -> float:
    """Share of draws below ``bound``, half of those equal to it; never quite 0 or 1."""
    share = ((values < bound).sum() + (values == bound).sum() / 2) / len(values)
    return float(np.clip(share, 0.5 / len(values), 1 - 0.5 / len(values)))


def _strata(labels: Labels, groups: NDArray[np.generic] | None) -> tuple[list[Rows], Callable[[Rows], Rows]]:
    """What is drawn, by class (patients of both classes by themselves), and the rows that drawn ones stand for."""
    if groups is None:
        kinds = [np.flatnonzero(labels == label) for label in (0, 1)]
        return [kind for kind in kinds if len(kind)], lambda units: units
    check_rows(labels, groups)
    _, patient = np.unique(groups, return_inverse=True)
    order = np.argsort(patient, kind="stable")
    members = np.split(order, np.cumsum(np.bincount(patient))[:-1])
    share = np.array([labels[rows].mean() for rows in members])
    kinds = [np.flatnonzero(chosen) for chosen in (share == 0, share == 1, (share > 0) & (share < 1))]
    return [kind for kind in kinds if len(kind)], lambda units: np.concatenate([members[unit] for unit in units])
