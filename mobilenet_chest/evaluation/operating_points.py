"""Operating points: thresholds, their sensitivity and specificity, and what they give at other prevalences.

An image is predicted as class 1 if its probability is at least the threshold. Sensitivity is the share of class 1 that
is recognised, specificity that of class 0. Prevalence is the share of class 1 among all images.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mobilenet_chest.evaluation.bootstrap import Floats, Statistic
from mobilenet_chest.evaluation.conformal import conformal_rule
from mobilenet_chest.evaluation.intervals import LEVEL, Interval
from mobilenet_chest.evaluation.predictions import Labels, Probabilities

TARGETS = (0.90, 0.95)
"""Every run logs the sensitivity at these specificities, and the specificity at these sensitivities."""

THRESHOLDS = np.round(np.arange(101) / 100, 2)

ABSTENTION = 0.95
"""Sensitivity that an answer of class 0 must keep, and specificity that one of class 1 must keep: 1 − α."""

TOLERANCE = 1e-12
"""A rate that misses its target by less than this reaches it."""


@dataclass(frozen=True, eq=False)
class ThresholdCurve:
    """Metrics over m thresholds, float64 (m,) each; PPV is NaN where no image is predicted as class 1, NPV likewise."""

    threshold: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    sensitivity: NDArray[np.float64]
    specificity: NDArray[np.float64]
    ppv: NDArray[np.float64]
    npv: NDArray[np.float64]


@dataclass(frozen=True)
class OperatingPoint:
    """A threshold with its sensitivity and specificity."""

    threshold: float
    sensitivity: float
    specificity: float


@dataclass(frozen=True)
class PrevalenceMetrics:
    """Accuracy, PPV and NPV at another prevalence; a PPV or NPV of no images is NaN."""

    accuracy: Interval
    ppv: Interval
    npv: Interval


def threshold_curve(
    labels: Labels, probabilities: Probabilities, thresholds: NDArray[np.float64] = THRESHOLDS
) -> ThresholdCurve:  # fmt: skip
    """Return accuracy, sensitivity, specificity, PPV and NPV over thresholds; by default 0, 0.01, … 1.

    Args:
        labels: uint8 (n,), both classes.
        probabilities: float64 (n,), of class 1.
        thresholds: float64 (m,).
    """
    hits, right = _counts(labels, probabilities, thresholds)
    ones, rows = int(labels.sum()), len(labels)
    zeros = rows - ones
    with np.errstate(invalid="ignore"):  # 0 of 0 images
        ppv, npv = hits / (hits + zeros - right), right / (right + ones - hits)
    return ThresholdCurve(thresholds, (hits + right) / rows, hits / ones, right / zeros, ppv, npv)


def point_at(labels: Labels, probabilities: Probabilities, threshold: float) -> OperatingPoint:
    """Return sensitivity and specificity at a threshold."""
    curve = threshold_curve(labels, probabilities, np.array([threshold]))
    return OperatingPoint(threshold, float(curve.sensitivity[0]), float(curve.specificity[0]))


def point_at_specificity(labels: Labels, probabilities: Probabilities, specificity: float) -> OperatingPoint:
    """Return the point with the highest sensitivity among those with at least this specificity."""
    curve = threshold_curve(labels, probabilities, _cuts(probabilities))
    # specificity rises with the threshold and sensitivity falls, so the lowest threshold that reaches the target is it
    return _point(curve, int(np.argmax(curve.specificity >= specificity - TOLERANCE)))


def point_at_sensitivity(labels: Labels, probabilities: Probabilities, sensitivity: float) -> OperatingPoint:
    """Return the point with the highest specificity among those with at least this sensitivity."""
    curve = threshold_curve(labels, probabilities, _cuts(probabilities))
    return _point(curve, int(np.flatnonzero(curve.sensitivity >= sensitivity - TOLERANCE)[-1]))


def abstention_range(labels: Labels, probabilities: Probabilities) -> tuple[float, float] | None:
    """Return the range of probabilities, low and high, in which a model abstains; ``None`` where it never does.

    Below ``low``, images are called class 0: of those of class 1, at least :data:`ABSTENTION` lie above it. From
    ``high`` on, they are called class 1: of those of class 0, as many lie below it. Between the two, neither answer is
    safe enough. With :func:`abstention_promised` both shares are promised for new images of the same kind, by
    :func:`~mobilenet_chest.evaluation.conformal.conformal_rule`; else they are those of these images. A model that
    keeps both at one threshold has no such range, nor has one whose images are all of one class.

    Args:
        labels: uint8 (n,).
        probabilities: float64 (n,), of class 1.
    """
    if not 0 < labels.sum() < len(labels):
        return None
    low = point_at_sensitivity(labels, probabilities, ABSTENTION).threshold
    high = point_at_specificity(labels, probabilities, ABSTENTION).threshold
    if abstention_promised(labels):
        rule, cuts = conformal_rule(labels, probabilities, 1 - ABSTENTION), _cuts(probabilities)
        # midway to the next image: the last digit of a probability decides nothing, and no image is answered more
        low = float(cuts[np.searchsorted(cuts, rule.above, side="right") - 1])
        high = float(cuts[np.searchsorted(cuts, rule.below, side="right")])
    return (low, high) if low < high else None


def abstention_promised(labels: Labels) -> bool:
    """Return whether there are enough images of each class, 1/α − 1, for a promise about new ones at α = 0.05."""
    positive = int(labels.sum())
    return min(positive, len(labels) - positive) >= round(1 / (1 - ABSTENTION)) - 1


def operating_metrics(labels: Labels, probabilities: Probabilities) -> dict[str, float]:
    """Return ``val_sensitivity_at_specificity_90`` and so on, for each of :data:`TARGETS` and both ways round.

    The thresholds were chosen on the scored images themselves: another sample at the same thresholds gives a little
    less.
    """
    metrics = {}
    for target in TARGETS:
        percent = round(100 * target)
        point, reverse = (
            point_at_specificity(labels, probabilities, target),
            point_at_sensitivity(labels, probabilities, target),
        )
        metrics[f"val_sensitivity_at_specificity_{percent}"] = point.sensitivity
        metrics[f"val_specificity_at_sensitivity_{percent}"] = reverse.specificity
    return metrics


def metrics_at_prevalence(
    hits: int, ones: int, right: int, zeros: int, prevalence: float, level: float = LEVEL, draws: int = 20_000
) -> PrevalenceMetrics:
    """Return accuracy, PPV and NPV at another prevalence, by Bayes' theorem, with intervals.

    Sensitivity and specificity do not depend on the prevalence. Their uncertainty is drawn from their Jeffreys
    posteriors, which have a width even where there is no mistake (Mossman and Berger, Intervals for Posttest
    Probabilities, Medical Decision Making 21, 2001). The prevalence is taken as known.

    Args:
        hits: Images of class 1 that are recognised.
        ones: Images of class 1.
        right: Images of class 0 that are recognised.
        zeros: Images of class 0.
        prevalence: Between 0 and 1.
        level: Confidence.
        draws: Draws from each posterior; always the same ones, by a fixed seed.
    """
    generator = np.random.default_rng(0)
    sensitivity = np.append(generator.beta(hits + 0.5, ones - hits + 0.5, draws), hits / ones)
    specificity = np.append(generator.beta(right + 0.5, zeros - right + 0.5, draws), right / zeros)
    columns = _by_bayes(sensitivity, specificity, prevalence)
    return PrevalenceMetrics(*(_interval(column[:-1], float(column[-1]), level) for column in columns))


def prevalence_statistics(sensitivity: Statistic, specificity: Statistic, prevalence: float) -> list[Statistic]:
    """Return accuracy, PPV and NPV at a prevalence as statistics of resampled images."""

    def statistic(index: int) -> Statistic:
        return lambda weights: _by_bayes(sensitivity(weights), specificity(weights), prevalence)[index]

    return [statistic(index) for index in range(3)]


def _by_bayes(sensitivity: Floats, specificity: Floats, prevalence: float) -> tuple[Floats, Floats, Floats]:
    """Return accuracy, PPV and NPV."""
    true_positive, false_negative = prevalence * sensitivity, prevalence * (1 - sensitivity)
    true_negative, false_positive = (1 - prevalence) * specificity, (1 - prevalence) * (1 - specificity)
    with np.errstate(invalid="ignore"):  # 0 of 0 images
        ppv, npv = true_positive / (true_positive + false_positive), true_negative / (true_negative + false_negative)
    return true_positive + true_negative, ppv, npv


def _interval(drawn: NDArray[np.float64], value: float, level: float) -> Interval:
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    # at 0 or 1 the posterior lies to one side of the value
    return Interval(value, float(np.minimum(low, value)), float(np.maximum(high, value)))


def threshold_at_prevalence(threshold: float, before: float, after: float, temperature: float = 1.0) -> float:
    """Return the threshold at prevalence ``after`` that corresponds to ``threshold`` at prevalence ``before``.

    The odds of a probability contain the odds of the prevalence and change by the same factor (Saerens et al., Neural
    Computation 14, 2002). Instead of every probability, the threshold is moved the other way. That holds for calibrated
    odds. The threshold is one of the model's own probabilities, so its logit moves ``temperature`` times as far.

    Args:
        threshold: For the model's own probabilities, between 0 and 1.
        before: Prevalence among the images that the threshold was chosen on, between 0 and 1.
        after: The other prevalence, between 0 and 1.
        temperature: As :func:`~mobilenet_chest.evaluation.calibration.fit_temperature` gives it for the same images.
    """
    from scipy.special import expit, logit  # slow to import

    return float(expit(logit(threshold) + temperature * (logit(before) - logit(after))))


def _counts(
    labels: Labels, probabilities: Probabilities, thresholds: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the images of class 1 at or above each threshold, and of class 0 below it, (m,) each."""
    ones, zeros = np.sort(probabilities[labels == 1]), np.sort(probabilities[labels == 0])
    return len(ones) - np.searchsorted(ones, thresholds), np.searchsorted(zeros, thresholds)


def _cuts(probabilities: Probabilities) -> NDArray[np.float64]:
    """Return a threshold for each way to divide the images, rising.

    Each lies midway between neighbouring probabilities, so that the last digit of a probability decides nothing.
    """
    scores = np.unique(probabilities)
    return np.concatenate([[0.0], (scores[:-1] + scores[1:]) / 2, [np.nextafter(1, 2)]])


def _point(curve: ThresholdCurve, index: int) -> OperatingPoint:
    return OperatingPoint(
        float(curve.threshold[index]), float(curve.sensitivity[index]), float(curve.specificity[index])
    )
