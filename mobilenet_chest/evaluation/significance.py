"""How sure a figure is, and whether two models differ: intervals and tests for predictions of single images.

Everything is for two classes and two-sided. :mod:`~mobilenet_chest.evaluation.delong` has what concerns the AUC,
:mod:`~mobilenet_chest.evaluation.bootstrap` what holds for any metric; all of it can be had from here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from mobilenet_chest.errors import DataError
from mobilenet_chest.evaluation.intervals import LEVEL, Difference, check_level


def mcnemar(first_right: NDArray[np.bool_], second_right: NDArray[np.bool_], level: float = LEVEL) -> Difference:
    """The first model's accuracy less the second's, on the same images, with McNemar's exact p.

    Args:
        first_right: bool (n,), where the first model is right.
        second_right: bool (n,), where the second is.
        level: Confidence of the interval, which is that of :func:`paired_proportions`.

    Raises:
        DataError: Lengths differ, or there is no image.
    """
    if first_right.shape != second_right.shape or first_right.size == 0:
        raise DataError(f"{first_right.shape} and {second_right.shape} images: two models are paired on the same ones")
    only_first, only_second = int((first_right & ~second_right).sum()), int((second_right & ~first_right).sum())
    low, high = _paired_proportions(only_first, only_second, len(first_right), level)
    value = (only_first - only_second) / len(first_right)
    return Difference(value, low, high, _exact_p(only_first, only_second))


def mcnemar_range(first: int, second: int, n: int) -> tuple[float, float]:
    """Smallest and largest exact McNemar p that two numbers of right answers leave room for.

    How many images only one of two models gets right cannot be told from their accuracies: at least the difference,
    where one is right wherever the other is, and at most as many as the wrong answers allow.

    Args:
        first: Right answers of the first model.
        second: Of the second.
        n: Images.

    Raises:
        ValueError: There are more right answers than images, or fewer than none.
    """
    if not (0 <= first <= n and 0 <= second <= n):
        raise ValueError(f"{first} and {second} right of {n}: there are 0 to {n}")
    most, least = max(first, second), min(first, second)
    possible = [_exact_p(both, both - (most - least)) for both in range(most - least, min(most, n - least) + 1)]
    return min(possible), max(possible)


def paired_proportions(
    only_first: int, only_second: int, n: int, level: float = LEVEL, correction: float = 0.5
) -> tuple[float, float]:
    """Interval of a difference of paired proportions: Tango's score interval (Statistics in Medicine 1998).

    Args:
        only_first: Images that only the first model gets right.
        only_second: Images that only the second does.
        n: All images.
        level: Confidence.
        correction: For continuity, in images. Half of one keeps a non-inferiority test on this interval at or
            below its 5 % for every share of disagreement (none: up to 5.3 % at n = 305).
    """
    from scipy.optimize import brentq
    from scipy.stats import norm

    check_level(level)
    z, difference = norm.ppf((1 + level) / 2), only_first - only_second

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
        return outside if excess(outside) <= 0 else float(brentq(excess, inside, outside))

    return end(-1), end(1)


def holm(p_values: Sequence[float]) -> list[float]:
    """p values of several comparisons, raised so that the chance of any false one stays what is asked for.

    Holm, Scandinavian Journal of Statistics 1979. NaN, a comparison that could not be made, stays NaN and counts for
    none.
    """
    # statsmodels' multipletests gives the same, and collects garbage in each call: 0.4 s beside hundreds of runs
    adjusted = np.array(p_values, np.float64)
    order = np.argsort(adjusted)[: np.count_nonzero(~np.isnan(adjusted))]  # NaN are sorted to the end
    factors = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(adjusted[order] * factors), 1)
    return [float(p) for p in adjusted]


_paired_proportions = lru_cache(maxsize=4096)(paired_proportions)  # hundreds of runs differ by the same few counts


def not_inferior(difference: Difference, margin: float) -> bool:
    """Whether the first model is worse than the second by less than ``margin``, as far as the interval tells.

    Asked of a difference at level 0.90, a model that is worse by exactly the margin passes in at most 5 % of cases.

    Raises:
        ValueError: A margin below 0.
    """
    if not margin >= 0:
        raise ValueError(f"margin {margin}: it is what may be lost, and not below 0")
    return difference.low > -margin


def _exact_p(only_first: int, only_second: int) -> float:
    from scipy.special import bdtr

    # equals scipy's binomtest, where a chance of one half makes it twice a tail, and takes hundreds of runs less time
    return min(1.0, 2 * float(bdtr(min(only_first, only_second), only_first + only_second, 0.5)))
