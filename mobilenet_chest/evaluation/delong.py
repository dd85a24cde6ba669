"""The area under the ROC curve (AUC), its variance and the difference of two, after DeLong et al.

DeLong, DeLong & Clarke-Pearson, Biometrics 1988; by midranks, in n log n, after Sun & Xu, IEEE Signal Processing
Letters 2014. A *placement* is the share of the other class that an image is ranked rightly against; the AUC is their
mean over either class, and its variance follows from their variances in both.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mobilenet_chest.evaluation.intervals import LEVEL, Difference, Interval, check_level, check_rows
from mobilenet_chest.evaluation.predictions import Labels, Probabilities

Floats = NDArray[np.float64]

LEAST_FREEDOM = 3
"""Student's t has no variance with fewer degrees of freedom."""


def delong(labels: Labels, *scores: Probabilities) -> tuple[Floats, Floats]:
    """AUC of each of k models on the same images, and DeLong's estimate of their covariance.

    Args:
        labels: uint8 (n,), at least two of each class.
        scores: Of each model, float64 (n,).

    Returns:
        AUCs (k,) and covariance (k, k).
    """
    positive, negative = _placements(labels, scores)
    return positive.mean(axis=1), _covariance(positive, negative)


def auc_interval(labels: Labels, scores: Probabilities, level: float = LEVEL) -> Interval:
    """AUC with a confidence interval that holds near 1 as well.

    DeLong's variance v on the logit scale (Qin & Hotilovac, Statistical Methods in Medical Research 2008, compare it
    with others), with Student's t for the normal quantile: its degrees of freedom say how well v is known from so few
    misplaced images. Satterthwaite's 2 v² / var(v), by the placements' fourth moments, are on average 2 too many, since
    the mean of an estimated v² is too large by var(v); 3 are the least.

    Of 97 + 208 images with normal scores it covers 96.5 % at an AUC of .99, where the symmetrical a ± 1.96 √v covers
    88 %; if class 1 spreads 0.6 times as far as class 0, 94.3 and 80 %. It does not miss to both sides alike there: in
    4.8 % it lies above the true AUC, in 0.8 % below.

    Where v is 0, or a class has one image, the AUC is taken for a proportion of as many images as the smaller class
    has; an AUC of 1 or 0 gets the Wilson interval of that. With one class only, all three are NaN.

    Raises:
        DataError: As in :func:`~mobilenet_chest.evaluation.intervals.check_rows`.
    """
    return auc_intervals(labels, scores, level=level)[0]


def auc_intervals(labels: Labels, *scores: Probabilities, level: float = LEVEL) -> list[Interval]:
    """:func:`auc_interval` of each of k models."""
    check_level(level)
    check_rows(labels, *scores)
    if not 0 < int(labels.sum()) < len(labels):
        return [Interval(math.nan, math.nan, math.nan)] * len(scores)
    values, low, high = _intervals(*_placements(labels, scores), level)
    return [Interval(*ends) for ends in zip(values.tolist(), low.tolist(), high.tolist(), strict=True)]


def auc_difference(labels: Labels, first: Probabilities, second: Probabilities, level: float = LEVEL) -> Difference:
    """The first AUC less the second, on the same images.

    p is that of DeLong's test. The interval is made of those of :func:`auc_interval` and DeLong's correlation (MOVER:
    Zou, Psychological Methods 2007): at AUCs of .98 and .99 the symmetrical one would let 1 model in 10 pass that
    is exactly at a margin of .01, not 1 in 20. With 97 and 208 images, scores that are normal and spread alike in both
    classes, and AUCs of .85 to .995, this one lets at most 1 in 20 pass at any margin and correlation that was tried.
    Where class 1 spreads 0.6 times as far as class 0, up to 5.7 % pass at an AUC of .99 and 7.5 % at .995.

    Two models that rank all images alike differ by 0 to 0, with p = 1. With one class only all is NaN.

    Raises:
        DataError: As in :func:`~mobilenet_chest.evaluation.intervals.check_rows`.
    """
    return auc_differences(labels, [first], second, level)[0]


def auc_differences(
    labels: Labels, firsts: Sequence[Probabilities], second: Probabilities, level: float = LEVEL
) -> list[Difference]:
    """:func:`auc_difference` of each of k models to the same second one, hundreds at once."""
    from scipy.special import ndtr
    from scipy.stats import rankdata

    check_level(level)
    check_rows(labels, *firsts, second)
    if not 0 < int(labels.sum()) < len(labels):
        return [Difference(math.nan, math.nan, math.nan, math.nan)] * len(firsts)
    scores = (second, *firsts)
    positive, negative = _placements(labels, scores)
    values, low, high = _intervals(positive, negative, level)
    apart = values[1:] - values[0]
    if min(positive.shape[1], negative.shape[1]) < 2:
        variance = correlation = np.zeros(len(firsts))
        p = np.full(len(firsts), math.nan)
    else:
        own, other = (_covariances(positive, k) + _covariances(negative, k) for k in (None, 0))
        variance = own[1:] + own[0] - 2 * other[1:]
        scale = np.sqrt(own[1:] * own[0])
        correlation = np.clip(np.divide(other[1:], scale, out=np.zeros_like(scale), where=scale > 0), -1, 1)
        z = np.where(apart == 0, 0.0, math.inf)
        p = 2 * ndtr(-np.divide(abs(apart), np.sqrt(np.maximum(variance, 0)), out=z, where=variance > 0))
    below = apart - _reach(values[1:] - low[1:], high[0] - values[0], correlation)
    above = apart + _reach(high[1:] - values[1:], values[0] - low[0], correlation)
    ranks = rankdata(np.stack(scores), axis=1)
    alike = (ranks[1:] == ranks[0]).all(axis=1)
    columns = [np.where(alike, same, column) for same, column in ((0, apart), (0, below), (0, above), (1, p))]
    return [Difference(*row) for row in zip(*(column.tolist() for column in columns), strict=True)]


def _placements(labels: Labels, scores: tuple[Probabilities, ...]) -> tuple[Floats, Floats]:
    """Of the images of class 1, (k, positives), and of class 0, (k, negatives)."""
    from scipy.stats import rankdata

    table, is_positive = np.stack(scores), labels == 1
    above, below = table[:, is_positive], table[:, ~is_positive]
    ranks = rankdata(table, axis=1)
    positive = (ranks[:, is_positive] - rankdata(above, axis=1)) / below.shape[1]
    negative = 1 - (ranks[:, ~is_positive] - rankdata(below, axis=1)) / above.shape[1]
    return positive, negative


def _covariance(positive: Floats, negative: Floats) -> Floats:
    """Of the AUCs of k models, (k, k)."""
    parts = (np.atleast_2d(np.cov(part)) / part.shape[1] for part in (positive, negative))
    return np.asarray(sum(parts), np.float64)


def _covariances(placements: Floats, k: int | None) -> Floats:
    """One class's part in the variance of each AUC (k,), or in its covariance with the ``k``-th."""
    centred = placements - placements.mean(axis=1, keepdims=True)
    other = centred if k is None else centred[k]
    images = placements.shape[1]
    return np.asarray((centred * other).sum(axis=1) / (images - 1) / images, np.float64)


def _intervals(positive: Floats, negative: Floats, level: float) -> tuple[Floats, Floats, Floats]:
    """AUCs (k,) and the ends of their intervals."""
    from scipy.special import expit, logit, ndtri, stdtrit

    values, smaller = positive.mean(axis=1), min(positive.shape[1], negative.shape[1])
    within, variances = (values > 0) & (values < 1), values * (1 - values) / smaller
    normal = ndtri((1 + level) / 2)
    quantiles = np.full(len(values), normal)
    if smaller > 1:
        estimated = _covariances(positive, None) + _covariances(negative, None)
        known = (estimated > 0) & within
        variances[known] = estimated[known]
        unsure = _variances_of_variance(positive) + _variances_of_variance(negative)
        freedom = 2 * estimated[known] ** 2 / unsure[known] - 2
        quantiles[known] = stdtrit(np.maximum(freedom, LEAST_FREEDOM), (1 + level) / 2)
    low = np.where(values == 1, smaller / (smaller + normal**2), 0.0)
    high = np.where(values == 0, normal**2 / (smaller + normal**2), 1.0)
    slope = (values * (1 - values))[within]
    centre, reach = logit(values[within]), quantiles[within] * np.sqrt(variances[within]) / slope
    low[within], high[within] = expit(centre - reach), expit(centre + reach)
    return values, np.minimum(low, values), np.maximum(high, values)


def _variances_of_variance(placements: Floats) -> Floats:
    """Variance of the estimated variance of the mean of each row of ``placements`` (k, n)."""
    n = placements.shape[1]
    fourth = ((placements - placements.mean(axis=1, keepdims=True)) ** 4).mean(axis=1)
    squared = placements.var(axis=1, ddof=1) ** 2
    return np.asarray((fourth - squared * (n - 3) / (n - 1)) / n**3, np.float64)


def _reach(own: Floats, others: float, correlation: Floats) -> Floats:
    """How far a difference's interval reaches, by how far those of its two figures do, and their correlation."""
    squared = own**2 - 2 * correlation * own * others + others**2
    return np.asarray(np.sqrt(np.maximum(squared, 0)), np.float64)
