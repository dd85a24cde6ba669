"""Tests of whether two models differ in accuracy on the same images, and what several tests need.

All tests are two-sided. Tests of other metrics: :func:`~mobilenet_chest.evaluation.delong.auc_difference` for AUCs,
:func:`~mobilenet_chest.evaluation.bootstrap.bootstrap_difference` for all else.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from mobilenet_chest.errors import DataError
from mobilenet_chest.evaluation.intervals import LEVEL, Difference, check_level

HALVINGS = 50
"""Of an interval of at most 2, which leaves less than 2e-15."""


def mcnemar(first_correct: NDArray[np.bool_], second_correct: NDArray[np.bool_], level: float = LEVEL) -> Difference:
    """Return the first model's accuracy minus the second's, with the p of McNemar's exact test.

    Args:
        first_correct: bool (n,), whether the first model is right about each image.
        second_correct: bool (n,), the same of the second.
        level: Confidence of the interval, which is that of :func:`paired_proportions`.

    Raises:
        DataError: Lengths differ, or there is no image.
    """
    if first_correct.shape != second_correct.shape or first_correct.size == 0:
        raise DataError(
            f"{first_correct.shape} and {second_correct.shape} images: both models need predictions of the same images"
        )
    only_first = int((first_correct & ~second_correct).sum())
    only_second = int((second_correct & ~first_correct).sum())
    low, high = _paired_proportions(only_first, only_second, len(first_correct), level)
    value = (only_first - only_second) / len(first_correct)
    return Difference(value, low, high, _exact_p(only_first, only_second))


def mcnemar_range(first: int, second: int, n: int) -> tuple[float, float]:
    """Return the smallest and the largest exact McNemar p that two numbers of right answers allow.

    Two accuracies do not tell how many images only one of the models gets right. It is at least the difference, where
    the better model is right wherever the other is. It is at most what the numbers of wrong answers allow.

    Args:
        first: Right answers of the first model.
        second: Right answers of the second model.
        n: Images.

    Raises:
        ValueError: More right answers than images, or a negative number of them.
    """
    if not (0 <= first <= n and 0 <= second <= n):
        raise ValueError(f"{first} and {second} right answers of {n} images: give 0 to {n}")
    most, least = max(first, second), min(first, second)
    possible = [_exact_p(only, only - (most - least)) for only in range(most - least, min(most, n - least) + 1)]
    return min(possible), max(possible)


def paired_proportions(
    only_first: int, only_second: int, n: int, level: float = LEVEL, correction: float = 0.5
) -> tuple[float, float]:
    """Return Tango's score interval of a difference of paired proportions (Statistics in Medicine 1998).

    Args:
        only_first: Images that only the first model gets right.
        only_second: Images that only the second does.
        n: All images.
        level: Confidence.
        correction: For continuity, in images. With half an image a non-inferiority test on this interval stays at or
            below its 5% for every share of disagreement; without it, up to 5.3% pass at n = 305.

    Returns:
        The lower and the upper end.
    """
    from scipy.special import ndtri

    check_level(level)
    z, difference = ndtri((1 + level) / 2), only_first - only_second

    def width(delta: float) -> float:
        # z standard errors, in images, where the true difference is delta
        linear = -only_first - only_second + (2 * n - difference) * delta
        constant = -only_second * delta * (1 - delta)
        both = (math.sqrt(max(linear**2 - 8 * n * constant, 0.0)) - linear) / (4 * n)
        return float(z * math.sqrt(max(n * (2 * both + delta * (1 - delta)), 0.0)))

    def end(sign: int) -> float:
        def excess(delta: float) -> float:
            return sign * (n * delta - difference) - correction - width(delta)

        inside, outside = difference / n, float(sign)
        if excess(outside) <= 0:
            return outside
        # scipy.optimize finds roots with fewer steps, and takes a fifth of a second to import
        for _ in range(HALVINGS):
            middle = (inside + outside) / 2
            inside, outside = (middle, outside) if excess(middle) <= 0 else (inside, middle)
        return inside

    return end(-1), end(1)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p values of several comparisons, corrected so that any false positive stays as rare as one test's.

    Holm, Scandinavian Journal of Statistics 1979. A NaN is a comparison that could not be made: it stays NaN and does
    not count.
    """
    # statsmodels' multipletests gives the same, and collects garbage in each call: 0.4 s beside hundreds of runs
    adjusted = np.array(p_values, np.float64)
    order = np.argsort(adjusted)[: np.count_nonzero(~np.isnan(adjusted))]  # NaN are sorted to the end
    factors = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(adjusted[order] * factors), 1)
    return [float(p) for p in adjusted]


_paired_proportions = lru_cache(maxsize=4096)(paired_proportions)  # hundreds of runs differ by the same few counts


def not_inferior(difference: Difference, margin: float) -> bool:
    """Return whether the first model is worse than the second by less than ``margin``, judged by the interval.

    For a difference at level 0.90, a model that is worse by exactly the margin passes in at most 5% of samples.

    Raises:
        ValueError: A negative margin.
    """
    if not margin >= 0:
        raise ValueError(f"margin {margin}: what may be lost cannot be negative; give 0 or more, such as 0.01")
    return difference.low > -margin


def _exact_p(only_first: int, only_second: int) -> float:
    from scipy.special import bdtr

    # at one half scipy's binomtest is twice a binomial tail, which takes far less time for hundreds of runs
    return min(1.0, 2 * float(bdtr(min(only_first, only_second), only_first + only_second, 0.5)))
