"""Comparison of two classifiers while labels still come in: it may be looked at after each label, and stopped at will.

An ordinary test that is repeated every day finds a difference sooner or later where there is none. Here a gambler bets
against the claim "the mean difference is m", with a game that is fair if the claim is true. The capital, which begins
at 1, then reaches 1/alpha with probability at most alpha, whenever one looks (Ville 1939). The values m at which it has
not grown so far are a confidence sequence: it covers the true difference at all times together.

The game is that of Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting" (Journal of the
Royal Statistical Society B, 2024); the bet is a mixture over fixed fractions of the capital, as in Robbins' method of
mixtures (Annals of Mathematical Statistics 1970). A mixture needs only counts, so that the order of labels that come at
once does not matter.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mobilenet_chest.errors import DataError
from mobilenet_chest.evaluation.intervals import LEVEL, check_level

FRACTIONS = np.sin(np.pi * (2 * np.arange(64) + 1) / 256) ** 2
"""Fractions of what may be staked, each with the same share of the first capital: the quantiles of the arcsine law,
which is close to the best for rare and for common differences. float64 (64,)."""

HALVINGS = 50
"""Of an interval of at most 2, which leaves less than 2e-15."""


@dataclass(frozen=True)
class Sequential:
    """What the labels until now say about a difference in accuracy, the second classifier's minus the first's.

    Attributes:
        value: Estimate of the difference.
        low: Lower end of the confidence sequence.
        high: Upper end.
        e_value: Evidence against "no difference": the capital of the two gamblers who share 1 equally, of which one
            bets on each side. A fair game reaches 20 with probability at most 0.05, over all looks together.
        n: Differences that were observed.
    """

    value: float
    low: float
    high: float
    e_value: float
    n: int


def paired(first_correct: NDArray[np.bool_], second_correct: NDArray[np.bool_], level: float = LEVEL) -> Sequential:
    """Compare two classifiers that have both answered for the same patients.

    Args:
        first_correct: bool (n,), whether the first is right about each patient.
        second_correct: bool (n,), the same of the second.
        level: Confidence.

    Raises:
        DataError: Lengths differ.
    """
    if first_correct.shape != second_correct.shape:
        raise DataError(f"{first_correct.shape} and {second_correct.shape} answers: give both for the same patients")
    differences = second_correct.astype(np.float64) - first_correct
    return _compared(differences, np.full(differences.shape, -1.0), np.ones(differences.shape), level)


def unpaired(
    correct: NDArray[np.bool_], second: NDArray[np.bool_], share: NDArray[np.float64], level: float = LEVEL
) -> Sequential:
    """Compare two classifiers of which each patient had one, by lot.

    An error of the second, which has a patient with probability q, counts as -1/q, and one of the first as 1/(1-q): on
    average that is the difference in accuracy. It uses that labels come for the patients of both alike.

    Args:
        correct: bool (n,), whether the answer was right.
        second: bool (n,), whether it was the second's.
        share: float64 (n,), probability with which the patient had the second, above 0 and below 1.
        level: Confidence.

    Raises:
        DataError: Lengths differ, or a share is none.
    """
    if not correct.shape == second.shape == share.shape:
        raise DataError(f"{correct.shape}, {second.shape} and {share.shape} answers: give each for the same patients")
    if not np.all((share > 0) & (share < 1)):
        raise DataError("a share of the second classifier is not between 0 and 1: it was not drawn by lot")
    low, high = -1 / share, 1 / (1 - share)
    return _compared(np.where(correct, 0.0, np.where(second, low, high)), low, high, level)


def _compared(
    x: NDArray[np.float64], low: NDArray[np.float64], high: NDArray[np.float64], level: float
) -> Sequential:  # fmt: skip
    """Return what observations x of the difference say, of which each lies between its ``low`` and ``high``."""
    check_level(level)
    n = len(x)
    if not n:
        return Sequential(math.nan, -1.0, 1.0, 1.0, 0)
    rows, counts = np.unique(np.stack([x, low, high], axis=1), axis=0, return_counts=True)
    needed = math.log(2 / (1 - level))

    def excess(m: float, side: int) -> float:
        return log_capital(rows, counts, m, side) - needed

    value = min(1.0, max(-1.0, float(x.mean())))
    e_value = math.exp(min(700.0, max(log_capital(rows, counts, 0.0, side) for side in (1, -1)))) / 2
    return Sequential(value, _end(value, excess, 1), _end(value, excess, -1), e_value, n)


def log_capital(rows: NDArray[np.float64], counts: NDArray[np.int64], m: float, side: int) -> float:
    """Return the logarithm of the capital of who bets that the mean is above (``side`` 1) or below (-1) ``m``.

    It falls (rises) with ``m``, so that the values which it refutes are all below (above) one number.

    Args:
        rows: float64 (k, 3): an observation, the smallest and the largest that it could have been.
        counts: int64 (k,), how often each came.
        m: The claimed mean.
        side: 1 or -1.
    """
    x, low, high = rows.T
    # the most that may be staked on the mean's being above m is lost at the smallest observation
    distance, room = (x - low, m - low) if side > 0 else (high - x, high - m)
    with np.errstate(divide="ignore", invalid="ignore"):
        # at m equal to the bound itself, any other observation refutes it
        gain = np.where(room > 0, distance / room, np.where(distance > 0, np.inf, 1.0))
    with np.errstate(divide="ignore", over="ignore"):
        logs = np.log1p(FRACTIONS[:, None] * (gain - 1)) @ counts
    top = float(logs.max())
    return top if math.isinf(top) else top + math.log(float(np.exp(logs - top).mean()))


def _end(value: float, excess: Callable[[float, int], float], side: int) -> float:
    """Return the end of the confidence sequence below (``side`` 1) or above (-1) the estimate."""
    inside, outside = value, -float(side)
    if excess(outside, side) <= 0:
        return outside
    for _ in range(HALVINGS):
        middle = (inside + outside) / 2
        inside, outside = (middle, outside) if excess(middle, side) <= 0 else (inside, middle)
    return inside
