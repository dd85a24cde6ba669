"""The share of class 1 among images without labels that is most likely by their probabilities, with an interval.

Everything is computed for b samples at once: a simulation has thousands of them, ``data check`` one.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mobilenet_chest.evaluation.calibration import logits_of
from mobilenet_chest.evaluation.drift import Prevalence
from mobilenet_chest.evaluation.intervals import LEVEL, Interval
from mobilenet_chest.evaluation.predictions import Labels, Probabilities

Floats = NDArray[np.float64]

BISECTIONS, NEWTON_STEPS = 25, 100

LEAST_OF_CLASS = 2
"""Validation rows of each class; of fewer no variance is known."""

LARGEST = 30.0
"""Logarithm of a likelihood ratio."""


class Shares(NamedTuple):
    """Shares of class 1, float64 (b,), with the ends of their intervals."""

    value: Floats
    low: Floats
    high: Floats


def em_prevalence(
    probability: Probabilities, labels: Labels, images: Probabilities, level: float = LEVEL
) -> Prevalence:
    """Return the most likely share of class 1 among images, by probabilities that the validation rows calibrate.

    Args:
        probability: float64 (n,), of the validation rows.
        labels: uint8 (n,), their classes.
        images: float64 (m,), probabilities of the images.
        level: Confidence.
    """
    if (fewest := min(int((labels == label).sum()) for label in (0, 1))) < LEAST_OF_CLASS:
        return Prevalence(None, f"{fewest} validation rows of a class are too few; {LEAST_OF_CLASS} tell")
    logits, of_images = logits_of(probability), logits_of(images)
    if np.mean(logits[labels == 1]) <= np.mean(logits[labels == 0]):
        return Prevalence(None, "the probabilities of class 1 are no larger for class 1 than for class 0")
    value, low, high = (float(part[0]) for part in em_shares(logits[None], labels, of_images[None], level))
    return Prevalence(Interval(value, low, high))


def em_shares(logits: Floats, labels: Labels, images: Floats, level: float = LEVEL) -> Shares:
    """Return the most likely shares of class 1 with their intervals.

    The interval holds every share q that a score test does not reject, as Wilson's does. Its statistic is the mean over
    the images of ``s = r / (r + 1)``, the probability of class 1 if both classes were equally frequent. Under q that
    mean is the one of the validation rows of class 1 and 0, mixed in the proportion q, whether s is calibrated or not.
    The variance of the difference is that of m images of the mixture, and of both means of so many validation rows.

    Args:
        logits: float64 (b, n), of the validation rows.
        labels: uint8 (n,).
        images: float64 (b, m), of the images.
        level: Confidence.
    """
    of_images, of_rows = logarithms(logits, labels, images)
    value = most_likely_shares(np.expm1(of_images))
    s, zeros, ones = (_balanced(each) for each in (of_images, of_rows[:, labels == 0], of_rows[:, labels == 1]))
    low, high = _not_rejected(s, zeros, ones, level)
    return Shares(value, np.minimum(low, value), np.maximum(high, value))


def _not_rejected(images: Floats, zeros: Floats, ones: Floats, level: float) -> tuple[Floats, Floats]:
    """Return the ends, (b,), of the shares q between which (mean - mean0 - q apart)² is at most z² its variance.

    The variance is ``fixed + linear q + square q²``, so the ends solve a quadratic equation. Where it has none, the
    classes cannot be told apart, and no share is rejected.
    """
    from scipy.special import stdtrit

    m, n0, n1 = images.shape[1], zeros.shape[1], ones.shape[1]
    # Student's: the variance of the smaller class, which counts most where images are many, is of few rows
    z2 = float(stdtrit(min(n0, n1) - 1, (1 + level) / 2)) ** 2
    var0, var1 = zeros.var(axis=1, ddof=1), ones.var(axis=1, ddof=1)
    apart, above = ones.mean(axis=1) - zeros.mean(axis=1), images.mean(axis=1) - zeros.mean(axis=1)
    fixed = var0 / m + var0 / n0
    linear = (var1 - var0 + np.square(apart)) / m - 2 * var0 / n0
    square = var1 / n1 + var0 / n0 - np.square(apart) / m
    a, half_b = np.square(apart) - z2 * square, above * apart + z2 * linear / 2
    root = np.sqrt(np.maximum(np.square(half_b) - a * (np.square(above) - z2 * fixed), 0))
    told = a > 0
    a = np.where(told, a, 1.0)
    low, high = np.where(told, (half_b - root) / a, 0.0), np.where(told, (half_b + root) / a, 1.0)
    return np.clip(low, 0, 1), np.clip(high, 0, 1)


def _balanced(logarithm: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-logarithm)))


def logarithms(logits: Floats, labels: Labels, images: Floats) -> tuple[Floats, Floats]:
    """Return ``log r``, r the ratio of the likelihoods of class 1 and 0: of images (b, m), of validation rows (b, n).

    Platt's line through the validation rows gives it from a logit.

    Args:
        logits: float64 (b, n), of the validation rows.
        labels: uint8 (n,).
        images: float64 (b, m), of the images.
    """
    slope, shift = platt(logits, labels)
    shift -= np.log(labels.mean() / (1 - labels.mean()))
    images, rows = (slope[:, None] * values + shift[:, None] for values in (images, logits))
    return np.clip(images, -LARGEST, LARGEST), np.clip(rows, -LARGEST, LARGEST)


def most_likely_shares(ratio: Floats) -> Floats:
    """Return the shares q of class 1 with the greatest likelihood, (b,), where EM would end.

    The logarithm of the likelihood, the sum of ``log(q r + 1 - q)``, has one maximum.

    Args:
        ratio: float64 (b, m): r - 1, r the ratio of the likelihoods of class 1 and 0 of each image.
    """
    low, high = np.zeros(len(ratio)), np.ones(len(ratio))
    for _ in range(BISECTIONS):
        q = (low + high) / 2
        rising = (ratio / (q[:, None] * ratio + 1)).mean(axis=1) > 0
        low, high = np.where(rising, q, low), np.where(rising, high, q)
    return np.asarray((low + high) / 2)


def platt(logits: Floats, labels: Labels) -> tuple[Floats, Floats]:
    """Return slopes and shifts (b,) of Platt's calibration; smoothed targets keep them finite where classes are apart.

    Newton's steps from the identity, each component at most 1 so that none overshoots.

    Args:
        logits: float64 (b, n).
        labels: uint8 (n,).
    """
    positive = int((labels == 1).sum())
    target = np.where(labels == 1, (positive + 1) / (positive + 2), 1 / (len(labels) - positive + 2))
    centre, spread = logits.mean(axis=1), logits.std(axis=1) + 1e-9
    scaled = (logits - centre[:, None]) / spread[:, None]
    slope, shift = spread.copy(), centre.copy()
    for _ in range(NEWTON_STEPS):
        p = 1 / (1 + np.exp(-np.clip(slope[:, None] * scaled + shift[:, None], -40, 40)))
        residual, curve = p - target, p * (1 - p) + 1e-12
        g0, g1 = residual.sum(axis=1), (residual * scaled).sum(axis=1)
        h00, h01, h11 = curve.sum(axis=1), (curve * scaled).sum(axis=1), (curve * np.square(scaled)).sum(axis=1)
        determinant = h00 * h11 - np.square(h01) + 1e-12
        by_shift, by_slope = (h11 * g0 - h01 * g1) / determinant, (h00 * g1 - h01 * g0) / determinant
        largest = np.maximum(1.0, np.maximum(np.abs(by_shift), np.abs(by_slope)))
        shift, slope = shift - by_shift / largest, slope - by_slope / largest
        if max(np.abs(by_shift).max(), np.abs(by_slope).max()) < 1e-8:
            break
    return slope / spread, shift - slope * centre / spread
