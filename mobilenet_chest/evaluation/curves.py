"""ROC and precision-recall curves with pointwise bootstrap bands."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mobilenet_chest.evaluation.bootstrap import bootstrap_weights
from mobilenet_chest.evaluation.predictions import Labels, Probabilities

CurveValues = NDArray[np.float64]
"""Values of a curve over :data:`GRID`, (101,)."""

GRID: CurveValues = np.linspace(0, 1, 101)
"""Abscissas of all curves: false positive rates of a ROC curve, recalls of a precision-recall curve."""

DRAWS = 1000


class Band(NamedTuple):
    """A curve over :data:`GRID` and the band around it, float64 (101,) each."""

    value: CurveValues
    low: CurveValues
    high: CurveValues


def roc(labels: Labels, scores: Probabilities, weights: NDArray[np.int64] | None = None) -> CurveValues:
    """Return the highest sensitivity of any threshold with a false positive rate of at most each of :data:`GRID`.

    Args:
        labels: uint8 (n,), 0 or 1, both present.
        scores: float64 (n,), higher for class 1.
        weights: int64 (n,), how often each image counts; once by default.
    """
    true, false = _rates(labels, scores, weights)
    # a rate that differs from the grid's by rounding alone counts as equal
    return true[np.searchsorted(false, GRID + 1e-9, side="right") - 1]


def precision_recall(labels: Labels, scores: Probabilities, weights: NDArray[np.int64] | None = None) -> CurveValues:
    """Return the precision at the highest threshold with a recall of at least each of :data:`GRID`.

    Arguments are those of :func:`roc`.
    """
    weights = np.ones(len(labels), np.int64) if weights is None else weights
    true, false = _rates(labels, scores, weights)
    positive, negative = weights[labels == 1].sum(), weights[labels == 0].sum()
    hits, alarms = true[1:] * positive, false[1:] * negative
    reached = np.searchsorted(true[1:], GRID - 1e-9, side="left")
    with np.errstate(invalid="ignore"):  # 0 of 0 at a threshold above every image that counts
        precision: CurveValues = hits / (hits + alarms)
    # recall 0 is reached by the highest score that counts
    first = int(np.flatnonzero(hits + alarms > 0)[0])
    on_grid: CurveValues = precision[np.maximum(reached, first)]
    return on_grid


def average_precision(labels: Labels, scores: Probabilities) -> float:
    """Return the mean precision over thresholds, each weighted by the recall it adds, as scikit-learn defines it."""
    true, false = _rates(labels, scores, None)
    hits, alarms = true[1:] * (labels == 1).sum(), false[1:] * (labels == 0).sum()
    return float((np.diff(true) * hits / (hits + alarms)).sum())


def bootstrap_band(
    labels: Labels,
    scores: Probabilities,
    curve: Callable[[Labels, Probabilities, NDArray[np.int64]], CurveValues],
    groups: NDArray[np.int64] | None = None,
    level: float = 0.95,
    draws: int = DRAWS,
    seed: int = 0,
) -> Band:
    """Return a curve with its pointwise percentile band over stratified bootstrap draws.

    Each class keeps its number of images (or of patients, with ``groups``), so that the prevalence, on which precision
    depends, stays that of the split. At any one abscissa the band covers with about ``level``; as a whole it covers
    less (Macskassy and Provost, 2004).

    Args:
        labels: uint8 (n,), 0 or 1, both present.
        scores: float64 (n,), higher for class 1.
        curve: :func:`roc` or :func:`precision_recall`.
        groups: Patient of each image, as in :func:`~mobilenet_chest.evaluation.bootstrap.bootstrap`.
        level: Confidence at each abscissa.
        draws: Number of resampled sets.
        seed: The same seed gives the same band.
    """
    once = np.ones(len(labels), np.int64)
    sets = (weights.astype(np.int64) for block in bootstrap_weights(labels, groups, draws, seed) for weights in block)
    drawn = np.stack([curve(labels, scores, weights) for weights in sets])
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return Band(curve(labels, scores, once), low, high)


def _rates(
    labels: Labels, scores: Probabilities, weights: NDArray[np.int64] | None
) -> tuple[CurveValues, CurveValues]:  # fmt: skip
    """Return true and false positive rates from the threshold above all scores, (0, 0), down to the lowest, (1, 1)."""
    weights = np.ones(len(labels), np.int64) if weights is None else weights
    order = np.argsort(-scores, kind="stable")
    last_of_ties = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
    positive = np.cumsum(weights[order] * (labels[order] == 1))[last_of_ties]
    negative = np.cumsum(weights[order] * (labels[order] == 0))[last_of_ties]
    start = np.zeros(1)
    return np.concatenate([start, positive / positive[-1]]), np.concatenate([start, negative / negative[-1]])
