"""What a figure's uncertainty consists of, and what its data must be like to have one."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mobilenet_chest.errors import DataError
from mobilenet_chest.evaluation.predictions import Labels

LEVEL = 0.95
"""Confidence of an interval, where nothing else is asked for."""


@dataclass(frozen=True)
class Interval:
    """A figure and its confidence interval.

    Attributes:
        value: As measured; NaN where the data do not define it.
        low: Lower end.
        high: Upper end.
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Difference:
    """A figure of a first model less that of a second one, on the same images.

    Attributes:
        value: As measured; NaN where the data do not define it.
        low: Lower end of the confidence interval.
        high: Upper end.
        p: Two-sided, of "no difference".
    """

    value: float
    low: float
    high: float
    p: float


def check_level(level: float) -> None:
    """Refuse a confidence that is none.

    Raises:
        ValueError: It is not between 0 and 1.
    """
    if not 0 < level < 1:
        raise ValueError(f"level {level}: a confidence lies between 0 and 1, such as {LEVEL}")


def check_rows(labels: Labels, *columns: NDArray[np.generic]) -> None:
    """Refuse labels and scores that do not go together.

    Raises:
        DataError: Lengths differ, a label is neither 0 nor 1, or a score is NaN or infinite.
    """
    for column in columns:
        if column.shape != labels.shape or labels.ndim != 1:
            raise DataError(f"{labels.shape} labels and {column.shape} scores: there must be one for each image")
        if column.dtype.kind == "f" and not np.isfinite(column).all():
            raise DataError("a score is NaN or infinite: figures of such predictions mean nothing")
    if not np.isin(labels, (0, 1)).all():
        raise DataError(f"labels {np.unique(labels).tolist()}: only 0 and 1 are")


def wilson(successes: int, n: int, level: float = LEVEL) -> Interval:
    """A proportion with Wilson's score interval (JASA 1927), which holds near 0 and 1 too.

    Of no observations nothing is known: NaN, 0 and 1.

    Raises:
        ValueError: More successes than observations, or fewer than none.
    """
    from statsmodels.stats.proportion import proportion_confint

    check_level(level)
    if not 0 <= successes <= n:
        raise ValueError(f"{successes} successes of {n}: there are 0 to {n}")
    if n == 0:
        return Interval(math.nan, 0.0, 1.0)
    low, high = proportion_confint(successes, n, alpha=1 - level, method="wilson")
    # rounding leaves the ends a hair's breadth off
    return Interval(successes / n, float(low) if successes else 0.0, float(high) if successes < n else 1.0)
