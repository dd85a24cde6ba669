"""Confidence intervals of any metric by resampling images, or the patients that the images are of."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mobilenet_chest.evaluation.intervals import LEVEL, Difference, Interval, check_level, check_rows
from mobilenet_chest.evaluation.predictions import Labels, Probabilities

Rows = NDArray[np.int64]
Floats = NDArray[np.float64]

Weights = NDArray[np.float64]
"""How often each of n images is in each of r resampled sets, (r, n)."""

MetricFunction = Callable[[Labels, Probabilities], float]
"""A metric of labels uint8 (n,) and scores float64 (n,)."""

Statistic = Callable[[Weights], Floats]
"""A metric of each of r resampled sets of the same images, (r,), from their weights."""

BLOCK = 1 << 22
"""Weights that are held in memory at a time."""

ROUNDING = 1e-12
"""Draws that differ by less than this are equal."""


def bootstrap(
    labels: Labels,
    scores: Probabilities,
    metric: MetricFunction,
    *,
    groups: NDArray[np.generic] | None = None,
    level: float = LEVEL,
    draws: int = 2000,
    seed: int = 0,
) -> Interval:
    """Return a metric with its bias-corrected and accelerated bootstrap interval (BCa: Efron, JASA 1987).

    Each class keeps its number of images in every draw. With ``groups``, patients are drawn whole; patients with images
    of one class only are drawn within that class. The acceleration is the jackknife's over all strata (Davison and
    Hinkley, Bootstrap Methods, 1997, eq. 5.27 f.).

    A metric that is the same in every draw, such as an accuracy of 1, gets an interval without width. For proportions
    :func:`~mobilenet_chest.evaluation.intervals.wilson` has one. Both ends are NaN if the metric is NaN in any draw.

    Args:
        labels: uint8 (n,).
        scores: float64 (n,).
        metric: Function of labels and scores, called ``draws`` times, and once without each image or patient.
        groups: Patient of each image, (n,); ``None`` where every image is of another patient.
        level: Confidence.
        draws: Number of resampled sets.
        seed: The same seed gives the same interval.

    Raises:
        DataError: As in :func:`~mobilenet_chest.evaluation.intervals.check_rows`.
    """
    check_rows(labels, scores)
    statistics = [row_statistic(metric, labels, scores)]
    (distribution,) = bootstrap_distributions(labels, statistics, groups, draws=draws, seed=seed)
    return distribution.interval(level)


def bootstrap_difference(
    labels: Labels,
    first: Probabilities,
    second: Probabilities,
    metric: MetricFunction,
    *,
    groups: NDArray[np.generic] | None = None,
    level: float = LEVEL,
    draws: int = 2000,
    seed: int = 0,
) -> Difference:
    """Return the first model's metric minus the second's, both from the same draws, as :func:`bootstrap` has it.

    p is 1 minus the confidence of the interval that ends at 0. If no draw reaches 0, that p is about 1 / ``draws``,
    which is too coarse to be corrected for many comparisons: then a normal p from the draws' spread is used, if it is
    smaller.
    """
    check_rows(labels, first, second)
    statistic = difference_statistic(row_statistic(metric, labels, first), row_statistic(metric, labels, second))
    (distribution,) = bootstrap_distributions(labels, [statistic], groups, draws=draws, seed=seed)
    return distribution.difference(level)


def mean_statistic(values: Floats | NDArray[np.bool_], among: NDArray[np.bool_] | None = None) -> Statistic:
    """Return the mean of a value of each image (n,) as a statistic, over the images ``among`` (n,) or over all."""
    counted = np.ones(len(values)) if among is None else among.astype(np.float64)
    columns = np.stack([values * counted, counted], axis=1)

    def mean(weights: Weights) -> Floats:
        sums = weights @ columns
        return ratio(sums[:, 0], sums[:, 1])

    return mean


def ratio(numerator: Floats, denominator: Floats) -> Floats:
    """Return the quotients; NaN where the denominator is 0."""
    quotient: Floats = np.divide(numerator, denominator, out=np.full(len(denominator), math.nan), where=denominator > 0)
    return quotient


def difference_statistic(first: Statistic, second: Statistic) -> Statistic:
    """Return the first statistic minus the second, of the same draws."""
    return lambda weights: first(weights) - second(weights)


def patient_clusters(patients: NDArray[np.str_] | None) -> Rows | None:
    """Return a number for the patient of each image, (n,), equal where two images are of one patient.

    An image of an unknown patient (empty text) gets a number of its own.

    Returns:
        ``None`` if no patient has two images, or no patient is known: then images can be resampled one by one.
    """
    if patients is None:
        return None
    names, numbers = np.unique(patients, return_inverse=True)
    unknown = patients == ""
    numbers[unknown] = len(names) + np.arange(int(unknown.sum()))
    return numbers.astype(np.int64) if len(np.unique(numbers)) < len(numbers) else None


def row_statistic(metric: MetricFunction, labels: Labels, scores: Probabilities) -> Statistic:
    """Return any metric as a statistic, computed for one resampled set after the other."""

    def statistic(weights: Weights) -> Floats:
        sets = (np.repeat(np.arange(len(labels)), times.astype(np.int64)) for times in weights)
        return np.array([metric(labels[rows], scores[rows]) for rows in sets])

    return statistic


@dataclass(frozen=True)
class BootstrapDistribution:
    """A statistic's bootstrap distribution.

    Attributes:
        value: The statistic of the images themselves.
        values: Its values in all draws, (draws,).
        bias: Median bias of the draws, in standard deviations of a normal (z0 of BCa).
        acceleration: Change of the standard error with the value (a of BCa).
    """

    value: float
    values: Floats
    bias: float
    acceleration: float

    def interval(self, level: float = LEVEL) -> Interval:
        """Return the value with its BCa interval."""
        return Interval(self.value, *self._ends(level))

    def difference(self, level: float = LEVEL) -> Difference:
        """Return the value of a difference with its BCa interval and the p of no difference."""
        return Difference(self.value, *self._ends(level), self._p_of_zero())

    def _ends(self, level: float) -> tuple[float, float]:
        from scipy.special import ndtr, ndtri

        check_level(level)
        if not np.isfinite(self.values).all():
            return math.nan, math.nan
        shifted = self.bias + ndtri([(1 - level) / 2, (1 + level) / 2])
        corrected = ndtr(self.bias + shifted / (1 - self.acceleration * shifted))
        low, high = np.quantile(self.values, corrected)
        return float(low), float(high)

    def _p_of_zero(self) -> float:
        from scipy.special import ndtr, ndtri

        if not np.isfinite(self.values).all():
            return math.nan
        if (self.values == 0).all():
            return 1.0
        # the level at which one end of the BCa interval is 0: the formula of _ends, solved for the level
        shifted = ndtri(_share_below(self.values, 0.0)) - self.bias
        z = abs(shifted / (1 + self.acceleration * shifted) - self.bias)
        spread = float(self.values.std())
        if (np.sign(self.values) == np.sign(self.value)).all() and spread > ROUNDING:
            z = max(z, abs(self.value) / spread)
        return float(2 * ndtr(-z))


def bootstrap_distributions(
    labels: Labels,
    statistics: Sequence[Statistic],
    groups: NDArray[np.generic] | None = None,
    *,
    draws: int = 2000,
    seed: int = 0,
) -> list[BootstrapDistribution]:
    """Return the distributions of several statistics over the same draws, made as :func:`bootstrap` makes them.

    Statistics take whole blocks of draws at once, which is hundreds of times as fast as a metric of rows.
    """
    if not statistics:
        return []
    strata, unit_of_row = _strata(labels, groups)
    units, n = np.concatenate(strata), len(labels)
    # without the only unit of a stratum a class may be empty; such a unit says nothing of the spread, and is not used
    others = np.concatenate([np.full(len(stratum), len(stratum) > 1) for stratum in strata])
    kept = units[others]
    left_out = ((unit_of_row != kept[rows, None]).astype(np.float64) for rows in _blocks(len(kept), n))

    def over(sets: Iterable[Weights]) -> Floats:
        blocks = [np.stack([statistic(weights) for statistic in statistics]) for weights in sets]
        return np.concatenate([np.empty((len(statistics), 0)), *blocks], axis=1)

    drawn = over(bootstrap_weights(labels, groups, draws, seed))
    jackknifed = np.full((len(statistics), len(units)), math.nan)
    jackknifed[:, others] = over(left_out)
    ends = np.cumsum([len(stratum) for stratum in strata])[:-1]
    once = np.ones((1, n))
    return [
        _corrected(float(statistic(once)[0]), values, np.split(without, ends))
        for statistic, values, without in zip(statistics, drawn, jackknifed, strict=True)
    ]


def bootstrap_weights(
    labels: Labels, groups: NDArray[np.generic] | None, draws: int, seed: int
) -> Iterator[Weights]:  # fmt: skip
    """Yield the weights of resampled sets, block by block; stratified as :func:`bootstrap` has it."""
    strata, unit_of_row = _strata(labels, groups)
    generator = np.random.default_rng(seed)
    drawn = np.concatenate(
        [stratum[generator.integers(0, len(stratum), (draws, len(stratum)))] for stratum in strata], axis=1
    )
    for rows in _blocks(draws, len(labels)):
        yield _counts(drawn[rows], drawn.shape[1])[:, unit_of_row]


def _blocks(rows: int, n: int) -> list[slice]:
    size = max(1, BLOCK // n)
    return [slice(start, start + size) for start in range(0, rows, size)]


def _counts(drawn: Rows, units: int) -> Floats:
    """Return how often each unit is in each draw, (draws, units)."""
    places = drawn + units * np.arange(len(drawn))[:, None]
    return np.bincount(places.ravel(), minlength=units * len(drawn)).reshape(-1, units).astype(np.float64)


def _corrected(value: float, values: Floats, jackknifed: Sequence[Floats]) -> BootstrapDistribution:
    """Return the distribution with its corrections; ``jackknifed`` has the values without each unit, by stratum."""
    from scipy.special import ndtri

    if not np.isfinite(values).all() or np.ptp(values) < ROUNDING:
        return BootstrapDistribution(value, values, 0.0, 0.0)
    squares = cubes = 0.0
    for stratum in jackknifed:
        if len(stratum) > 1:
            influence = (len(stratum) - 1) / len(stratum) * (stratum.mean() - stratum)
            squares, cubes = squares + (influence**2).sum(), cubes + (influence**3).sum()
    acceleration = cubes / (6 * squares**1.5) if squares > 0 else 0.0
    return BootstrapDistribution(value, values, float(ndtri(_share_below(values, value))), float(acceleration))


def _share_below(values: Floats, bound: float) -> float:
    """Return the share of draws below ``bound``, counting half of those equal to it; never quite 0 or 1."""
    share = ((values < bound).sum() + (values == bound).sum() / 2) / len(values)
    return float(np.clip(share, 0.5 / len(values), 1 - 0.5 / len(values)))


def _strata(labels: Labels, groups: NDArray[np.generic] | None) -> tuple[list[Rows], Rows]:
    """Return the units (images or patients) of each stratum, and the unit of each row (n,).

    Strata are the classes; patients with images of both classes are a stratum of their own.
    """
    if groups is None:
        strata = [np.flatnonzero(labels == label) for label in (0, 1)]
        return [stratum for stratum in strata if len(stratum)], np.arange(len(labels))
    check_rows(labels, groups)
    _, patient = np.unique(groups, return_inverse=True)
    share = np.bincount(patient, labels) / np.bincount(patient)
    strata = [np.flatnonzero(chosen) for chosen in (share == 0, share == 1, (share > 0) & (share < 1))]
    return [stratum for stratum in strata if len(stratum)], patient
