"""The area under the ROC curve (AUC), as runs log it and as a bootstrap resamples it."""

from __future__ import annotations

import math

import numpy as np

from mobilenet_chest.evaluation.bootstrap import Floats, Statistic, Weights, ratio
from mobilenet_chest.evaluation.predictions import Labels, Probabilities


def auc(labels: Labels, scores: Probabilities) -> float:
    """Return the chance that an image of class 1 scores above one of class 0, ties counting half.

    The area is summed in trapezoids over the corners of the ROC curve, exactly as scikit-learn's ``roc_auc_score`` does
    it: runs in older stores hold its values, to the last bit. This function is several times as fast, for a bootstrap
    that calls it thousands of times.

    Args:
        labels: uint8 (n,), 0 or 1.
        scores: float64 (n,), higher for class 1; probabilities or logits.

    Returns:
        The AUC; NaN with one class only.
    """
    if not 0 < int(labels.sum()) < len(labels):
        return math.nan
    order = np.argsort(scores, kind="stable")[::-1]
    last_of_ties = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
    positive = np.cumsum(labels[order], dtype=np.float64)[last_of_ties]
    negative = 1.0 + last_of_ties - positive
    # points on a straight line are left out: with them the sum would differ in its last bit
    corner = np.concatenate([[True], (np.diff(positive, 2) != 0) | (np.diff(negative, 2) != 0), [True]])
    if len(positive) > 2:
        positive, negative = positive[corner], negative[corner]
    true_rate, false_rate = np.append(0.0, positive) / positive[-1], np.append(0.0, negative) / negative[-1]
    return float((np.diff(false_rate) * (true_rate[1:] + true_rate[:-1]) / 2).sum())


def auc_statistic(labels: Labels, scores: Probabilities) -> Statistic:
    """Return the AUC as a statistic of resampled images: pairs in order by all pairs, NaN where a class is missing.

    Counting pairs is exact, so that draws with equal AUCs are equal numbers, which ranks of draws depend on.

    Args:
        labels: uint8 (n,), 0 or 1.
        scores: float64 (n,).
    """
    order = np.argsort(scores, kind="stable")
    starts = np.flatnonzero(np.diff(scores[order], prepend=-math.inf) > 0)
    positive = labels[order] == 1

    def area(weights: Weights) -> Floats:
        ordered = weights[:, order]
        above, below = (np.add.reduceat(ordered * of_class, starts, axis=1) for of_class in (positive, ~positive))
        pairs = above.sum(axis=1) * below.sum(axis=1)
        in_order = (above * (below.cumsum(axis=1) - below / 2)).sum(axis=1)
        return ratio(in_order, pairs)

    return area
