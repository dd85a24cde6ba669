"""Intervals of any figure by resampling the images, or the patients that they are of."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mobilenet_chest.evaluation.intervals import LEVEL, Difference, Interval, check_level, check_rows
from mobilenet_chest.evaluation.predictions import Labels, Probabilities

Rows = NDArray[np.int64]
Floats = NDArray[np.float64]
Weights = NDArray[np.float64]

MetricFunction = Callable[[Labels, Probabilities], float]
"""A metric of labels uint8 (n,) and scores float64 (n,)."""

Statistic = Callable[[Weights], Floats]
"""A figure of each of r sets of the same n images, (r,), by how often each image is in each set, (r, n)."""

BLOCK = 1 << 22
"""Numbers that are in hand at a time."""

ROUNDING = 1e-12
"""By how much draws differ that are the same."""


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
    """A figure with the bias-corrected and accelerated bootstrap interval (BCa: Efron, JASA 1987).

    Each class keeps its number of images in every draw; with ``groups``, patients are drawn whole, those with images
    of one class only within their class. The acceleration is the jackknife's, over all strata (Davison & Hinkley,
    Bootstrap Methods, 1997, eq. 5.27 f.).

    A metric that is the same in every draw, such as an accuracy of 1, has no width to be found here (for proportions
    :func:`~mobilenet_chest.evaluation.intervals.wilson` has); one that is NaN in a draw has ends of NaN.

    Args:
        labels: uint8 (n,).
        scores: float64 (n,).
        metric: Statistic of labels and scores; called ``draws`` times, and once without each image or patient.
        groups: Patient of each image, (n,); ``None`` for images that are all of different patients.
        level: Confidence.
        draws: BootstrapDistribution sets.
        seed: The same one gives the same interval.

    Raises:
        DataError: As in :func:`~mobilenet_chest.evaluation.intervals.check_rows`.
    """
    check_rows(labels, scores)
    (found,) = bootstrap_distributions(labels, [_of_rows(metric, labels, scores)], groups, draws=draws, seed=seed)
    return found.interval(level)


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
    """A figure of the first model less that of the second, of the same draws: as :func:`bootstrap`.

    p is one less the confidence of the interval that ends at 0. Where no draw reaches 0, which is about 1 / ``draws``
    and says nothing finer to a correction for many comparisons, it is the normal one of the draws' spread, if smaller.
    """
    check_rows(labels, first, second)
    one, other = _of_rows(metric, labels, first), _of_rows(metric, labels, second)
    (found,) = bootstrap_distributions(labels, [difference_statistic(one, other)], groups, draws=draws, seed=seed)
    return found.difference(level)


def mean_statistic(values: Floats | NDArray[np.bool_], among: NDArray[np.bool_] | None = None) -> Statistic:
    """The mean of a value of each image (n,), of those ``among`` (n,) that count."""
    counted = np.ones(len(values)) if among is None else among.astype(np.float64)
    columns = np.stack([values * counted, counted], axis=1)

    def mean(weights: Weights) -> Floats:
        sums = weights @ columns
        return ratio(sums[:, 0], sums[:, 1])

    return mean


def ratio(part: Floats, whole: Floats) -> Floats:
    """NaN where there is nothing."""
    ratio: Floats = np.divide(part, whole, out=np.full(len(whole), math.nan), where=whole > 0)
    return ratio


def difference_statistic(first: Statistic, second: Statistic) -> Statistic:
    """The first figure less the second."""
    return lambda weights: first(weights) - second(weights)


def patient_clusters(patients: NDArray[np.str_] | None) -> Rows | None:
    """A number for the patient of each image, (n,), one of its own where nobody is known (empty text); ``None`` where
    every image is of another patient, or nothing is known."""
    if patients is None:
        return None
    names, numbers = np.unique(patients, return_inverse=True)
    unknown = patients == ""
    numbers[unknown] = len(names) + np.arange(int(unknown.sum()))
    return numbers.astype(np.int64) if len(np.unique(numbers)) < len(numbers) else None


def _of_rows(metric: MetricFunction, labels: Labels, scores: Probabilities) -> Statistic:
    """Of any metric, one set after the other."""

    def figure(weights: Weights) -> Floats:
        sets = (np.repeat(np.arange(len(labels)), times.astype(np.int64)) for times in weights)
        return np.array([metric(labels[rows], scores[rows]) for rows in sets])

    return figure


@dataclass(frozen=True)
class BootstrapDistribution:
    """A figure, its values in all draws, and what corrects their quantiles."""

    value: float
    values: Floats
    bias: float
    acceleration: float

    def interval(self, level: float = LEVEL) -> Interval:
        """With the ends of BCa."""
        return Interval(self.value, *self._ends(level))

    def difference(self, level: float = LEVEL) -> Difference:
        """The same of a difference, with its p."""
        return Difference(self.value, *self._ends(level), self._p_of_zero())

    def _ends(self, level: float) -> tuple[float, float]:
        from scipy.stats import norm

        check_level(level)
        if not np.isfinite(self.values).all():
            return math.nan, math.nan
        shifted = self.bias + norm.ppf([(1 - level) / 2, (1 + level) / 2])
        corrected = norm.cdf(self.bias + shifted / (1 - self.acceleration * shifted))
        low, high = np.quantile(self.values, corrected)
        return float(low), float(high)

    def _p_of_zero(self) -> float:
        from scipy.stats import norm

        if not np.isfinite(self.values).all():
            return math.nan
        if (self.values == 0).all():
            return 1.0
        shifted = norm.ppf(_share_below(self.values, 0.0)) - self.bias
        z = abs(shifted / (1 + self.acceleration * shifted) - self.bias)
        spread = float(self.values.std())
        if (np.sign(self.values) == np.sign(self.value)).all() and spread > ROUNDING:
            z = max(z, abs(self.value) / spread)
        return float(2 * norm.sf(z))


def bootstrap_distributions(
    labels: Labels,
    figures: Sequence[Statistic],
    groups: NDArray[np.generic] | None = None,
    *,
    draws: int = 2000,
    seed: int = 0,
) -> list[BootstrapDistribution]:
    """Several figures of the same draws, each as :func:`bootstrap` has it, and hundreds of times as fast."""
    if not figures:
        return []
    strata, unit = _strata(labels, groups)
    everything, n = np.concatenate(strata), len(labels)
    left_out = ((unit != everything[rows, None]).astype(np.float64) for rows in _blocks(len(everything), n))
    values, without = (
        np.concatenate([np.stack([figure(weights) for figure in figures]) for weights in sets], axis=1)
        for sets in (bootstrap_weights(labels, groups, draws, seed), left_out)
    )
    ends = np.cumsum([len(stratum) for stratum in strata])[:-1]
    whole = np.ones((1, n))
    return [
        _corrected(float(figure(whole)[0]), own, np.split(jackknifed, ends))
        for figure, own, jackknifed in zip(figures, values, without, strict=True)
    ]


def bootstrap_weights(
    labels: Labels, groups: NDArray[np.generic] | None, draws: int, seed: int
) -> Iterator[Weights]:  # fmt: skip
    """How often each of n images is in each resampled set, block by block (r, n); stratified as :func:`bootstrap`."""
    strata, unit = _strata(labels, groups)
    generator = np.random.default_rng(seed)
    drawn = np.concatenate([one[generator.integers(0, len(one), (draws, len(one)))] for one in strata], axis=1)
    for rows in _blocks(draws, len(labels)):
        yield _counts(drawn[rows], drawn.shape[1])[:, unit]


def _blocks(rows: int, n: int) -> list[slice]:
    size = max(1, BLOCK // n)
    return [slice(start, start + size) for start in range(0, rows, size)]


def _counts(drawn: Rows, units: int) -> Floats:
    """How often each unit is in each draw, (draws, units)."""
    places = drawn + units * np.arange(len(drawn))[:, None]
    return np.bincount(places.ravel(), minlength=units * len(drawn)).reshape(-1, units).astype(np.float64)


def _corrected(value: float, values: Floats, without: Sequence[Floats]) -> BootstrapDistribution:
    from scipy.stats import norm

    if not np.isfinite(values).all() or np.ptp(values) < ROUNDING:
        return BootstrapDistribution(value, values, 0.0, 0.0)
    squares = cubes = 0.0
    for stratum in without:
        if len(stratum) > 1:
            influence = (len(stratum) - 1) / len(stratum) * (stratum.mean() - stratum)
            squares, cubes = squares + (influence**2).sum(), cubes + (influence**3).sum()
    acceleration = cubes / (6 * squares**1.5) if squares > 0 else 0.0
    return BootstrapDistribution(value, values, float(norm.ppf(_share_below(values, value))), float(acceleration))


def _share_below(values: Floats, bound: float) -> float:
    """Share of draws below ``bound``, half of those equal to it; never quite 0 or 1."""
    share = ((values < bound).sum() + (values == bound).sum() / 2) / len(values)
    return float(np.clip(share, 0.5 / len(values), 1 - 0.5 / len(values)))


def _strata(labels: Labels, groups: NDArray[np.generic] | None) -> tuple[list[Rows], Rows]:
    """What is drawn, by class (patients of both classes by themselves), and which of them each row belongs to."""
    if groups is None:
        kinds = [np.flatnonzero(labels == label) for label in (0, 1)]
        return [kind for kind in kinds if len(kind)], np.arange(len(labels))
    check_rows(labels, groups)
    _, patient = np.unique(groups, return_inverse=True)
    share = np.bincount(patient, labels) / np.bincount(patient)
    kinds = [np.flatnonzero(chosen) for chosen in (share == 0, share == 1, (share > 0) & (share < 1))]
    return [kind for kind in kinds if len(kind)], patient
