"""Confidence intervals and differences as values, and Wilson's interval of a proportion."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mobilenet_chest.errors import DataError
from mobilenet_chest.evaluation.predictions import Labels

LEVEL = 0.95
"""Confidence of an interval where no other is asked for."""


@dataclass(frozen=True)
class Interval:
    """A value and its confidence interval.

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
    """A first model's metric minus a second model's, on the same images.

    Attributes:
        value: As measured; NaN where the data do not define it.
        low: Lower end of the confidence interval.
        high: Upper end.
        p: Two-sided p of no difference.
    """

    value: float
    low: float
    high: float
    p: float


def logged_intervals(metrics: Mapping[str, float]) -> dict[str, Interval]:
    """Return the intervals whose ends were logged beside a metric, as ``<metric>_low`` and ``<metric>_high``."""
    return {
        name: Interval(value, metrics[f"{name}_low"], metrics[f"{name}_high"])
        for name, value in metrics.items()
        if {f"{name}_low", f"{name}_high"} <= metrics.keys()
    }


def check_level(level: float) -> None:
    """Refuse a confidence level outside 0 to 1.

    Raises:
        ValueError: It is not between 0 and 1.
    """
    if not 0 < level < 1:
        raise ValueError(f"level {level}: a confidence lies between 0 and 1, such as {LEVEL}")


def check_rows(labels: Labels, *columns: NDArray[np.generic]) -> None:
    """Refuse labels (n,) and columns of scores or groups (n,) that do not fit together.

    Raises:
        DataError: Lengths differ, a label is neither 0 nor 1, or a score is NaN or infinite.
    """
    for column in columns:
        if column.shape != labels.shape or labels.ndim != 1:
            raise DataError(f"{labels.shape} labels and {column.shape} scores: give one score for each label")
        if column.dtype.kind == "f" and not np.isfinite(column).all():
            raise DataError("a score is NaN or infinite: metrics of such predictions mean nothing")
    if not np.isin(labels, (0, 1)).all():
        raise DataError(f"labels {np.unique(labels).tolist()}: only 0 and 1 are allowed")


def wilson(successes: int, n: int, level: float = LEVEL) -> Interval:
    """Return a proportion with Wilson's score interval (JASA 1927), which also holds near 0 and 1.

    Args:
        successes: From 0 to ``n``.
        n: Observations; of none the value is NaN and the ends are 0 and 1.
        level: Confidence.

    Raises:
        ValueError: More successes than observations, or a negative number of them.
    """
    check_level(level)
    if not 0 <= successes <= n:
        raise ValueError(f"{successes} successes of {n} observations: give 0 to {n}")
    if n == 0:
        return Interval(math.nan, 0.0, 1.0)
    low, high = wilson_ends(successes, n, level)
    # rounding would leave the ends at 0 and 1 slightly off
    return Interval(successes / n, low if successes else 0.0, high if successes < n else 1.0)


def wilson_ends(successes: float, n: int, level: float = LEVEL) -> tuple[float, float]:
    """Return the ends of Wilson's interval where ``successes`` may be a fraction, as of a mean over folds."""
    from scipy.special import ndtri  # statsmodels has the formula, but takes a second to import

    z = float(ndtri((1 + level) / 2))
    centre = (successes + z**2 / 2) / (n + z**2)
    reach = z * math.sqrt(successes * (n - successes) / n + z**2 / 4) / (n + z**2)
    return centre - reach, centre + reach
