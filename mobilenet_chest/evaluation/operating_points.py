"""Operating points: what a threshold gives, the thresholds that give what is wanted, and other prevalences.

A row counts as class 1 where its probability is at least the threshold. Sensitivity is the share of class 1 that is
recognised, specificity that of class 0, prevalence the share of class 1 among all.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mobilenet_chest.evaluation.bootstrap import Floats, Statistic
from mobilenet_chest.evaluation.intervals import LEVEL, Interval
from mobilenet_chest.evaluation.predictions import Labels, Probabilities

TARGETS = (0.90, 0.95)
"""Sensitivities and specificities at which every run says what the other one is."""

THRESHOLDS = np.round(np.arange(101) / 100, 2)


@dataclass(frozen=True, eq=False)
class ThresholdCurve:
    """What each threshold gives, float64 (m,) each; PPV is NaN where nothing counts as class 1, NPV likewise."""

    threshold: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    sensitivity: NDArray[np.float64]
    specificity: NDArray[np.float64]
    ppv: NDArray[np.float64]
    npv: NDArray[np.float64]


@dataclass(frozen=True)
class OperatingPoint:
    """A threshold and what it gives."""

    threshold: float
    sensitivity: float
    specificity: float


@dataclass(frozen=True)
class PrevalenceMetrics:
    """What sensitivity and specificity come to among rows with another share of class 1.

    A PPV or NPV of no rows is NaN.
    """

    accuracy: Interval
    ppv: Interval
    npv: Interval


def threshold_curve(
    labels: Labels, probabilities: Probabilities, thresholds: NDArray[np.float64] = THRESHOLDS
) -> ThresholdCurve:  # fmt: skip
    """Accuracy, sensitivity, specificity, PPV and NPV over thresholds; by default 0, 0.01, … 1.

    Args:
        labels: uint8 (n,), both classes.
        probabilities: float64 (n,), of class 1.
        thresholds: float64 (m,).
    """
    hits, right = _counts(labels, probabilities, thresholds)
    ones, rows = int(labels.sum()), len(labels)
    zeros = rows - ones
    with np.errstate(invalid="ignore"):  # 0 of 0 rows
        ppv, npv = hits / (hits + zeros - right), right / (right + ones - hits)
    return ThresholdCurve(thresholds, (hits + right) / rows, hits / ones, right / zeros, ppv, npv)


def point_at(labels: Labels, probabilities: Probabilities, threshold: float) -> OperatingPoint:
    """Sensitivity and specificity at a threshold."""
    curve = threshold_curve(labels, probabilities, np.array([threshold]))
    return OperatingPoint(threshold, float(curve.sensitivity[0]), float(curve.specificity[0]))


def point_at_specificity(labels: Labels, probabilities: Probabilities, specificity: float) -> OperatingPoint:
    """The point with the highest sensitivity among those with at least this specificity."""
    curve = threshold_curve(labels, probabilities, _cuts(probabilities))
    # specificity rises with the threshold and sensitivity falls: the lowest threshold that will do
    return _of(curve, int(np.argmax(curve.specificity >= specificity - 1e-12)))


def point_at_sensitivity(labels: Labels, probabilities: Probabilities, sensitivity: float) -> OperatingPoint:
    """The point with the highest specificity among those with at least this sensitivity."""
    curve = threshold_curve(labels, probabilities, _cuts(probabilities))
    return _of(curve, int(np.flatnonzero(curve.sensitivity >= sensitivity - 1e-12)[-1]))


def operating_metrics(labels: Labels, probabilities: Probabilities) -> dict[str, float]:
    """``val_sensitivity_at_specificity_90`` and so on, for each of :data:`TARGETS` and both ways round.

    Points of the ROC curve of the rows that are scored: another sample at the same thresholds gives somewhat less.
    """
    found = {}
    for target in TARGETS:
        percent = round(100 * target)
        point, reverse = (
            point_at_specificity(labels, probabilities, target),
            point_at_sensitivity(labels, probabilities, target),
        )
        found[f"val_sensitivity_at_specificity_{percent}"] = point.sensitivity
        found[f"val_specificity_at_sensitivity_{percent}"] = reverse.specificity
    return found


def metrics_at_prevalence(
    hits: int, ones: int, right: int, zeros: int, prevalence: float, level: float = LEVEL, draws: int = 20_000
) -> PrevalenceMetrics:
    """Accuracy, PPV and NPV where the share of class 1 is ``prevalence``, by Bayes' theorem, with intervals.

    Sensitivity and specificity stay what they are as long as the images of each class do. How sure the two are is drawn
    from their Jeffreys posteriors, which have a width also where there is no mistake (Mossman and Berger, Intervals for
    Posttest Probabilities, Medical Decision Making 21, 2001). The prevalence is taken as known.

    Args:
        hits: Rows of class 1 that are recognised.
        ones: Rows of class 1.
        right: Rows of class 0 that are recognised.
        zeros: Rows of class 0.
        prevalence: Between 0 and 1.
        level: Confidence.
        draws: From each posterior, always the same ones.
    """
    generator = np.random.default_rng(0)
    sensitivity = np.append(generator.beta(hits + 0.5, ones - hits + 0.5, draws), hits / ones)
    specificity = np.append(generator.beta(right + 0.5, zeros - right + 0.5, draws), right / zeros)
    columns = _by_bayes(sensitivity, specificity, prevalence)
    return PrevalenceMetrics(*(_interval(column[:-1], float(column[-1]), level) for column in columns))


def prevalence_statistics(sensitivity: Statistic, specificity: Statistic, prevalence: float) -> list[Statistic]:
    """The three figures of :func:`metrics_at_prevalence`, of resampled images."""

    def figure(which: int) -> Statistic:
        return lambda weights: _by_bayes(sensitivity(weights), specificity(weights), prevalence)[which]

    return [figure(which) for which in range(3)]


def _by_bayes(sensitivity: Floats, specificity: Floats, prevalence: float) -> tuple[Floats, Floats, Floats]:
    """Accuracy, PPV and NPV."""
    found, missed = prevalence * sensitivity, prevalence * (1 - sensitivity)
    passed, false = (1 - prevalence) * specificity, (1 - prevalence) * (1 - specificity)
    with np.errstate(invalid="ignore"):  # 0 of 0 rows
        return found + passed, found / (found + false), passed / (passed + missed)


def _interval(drawn: NDArray[np.float64], value: float, level: float) -> Interval:
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    # at 0 or 1 the posterior lies to one side of the figure
    return Interval(value, float(np.minimum(low, value)), float(np.maximum(high, value)))


def threshold_at_prevalence(threshold: float, before: float, after: float, temperature: float = 1.0) -> float:
    """The threshold that is to a prevalence ``after`` what ``threshold`` is to ``before``.

    A probability's odds contain those of the prevalence it was calibrated at, and change by the same factor (Saerens
    et al., Neural Computation 14, 2002). Instead of every probability the threshold is moved, the other way. With a
    temperature it is the calibrated probabilities whose odds are right, and the threshold remains one of those that the
    model gives: its logit moves ``temperature`` times as far.

    Args:
        threshold: Of the model's own probabilities, between 0 and 1.
        before: Prevalence among the rows that the threshold was chosen on, between 0 and 1.
        after: The other prevalence, between 0 and 1.
        temperature: As :func:`~mobilenet_chest.evaluation.calibration.fit_temperature` found it on the same rows.
    """
    from scipy.special import expit, logit  # takes long

    return float(expit(logit(threshold) + temperature * (logit(before) - logit(after))))


def _counts(
    labels: Labels, probabilities: Probabilities, thresholds: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows of class 1 at or above each threshold, and of class 0 below."""
    ones, zeros = np.sort(probabilities[labels == 1]), np.sort(probabilities[labels == 0])
    return len(ones) - np.searchsorted(ones, thresholds), np.searchsorted(zeros, thresholds)


def _cuts(probabilities: Probabilities) -> NDArray[np.float64]:
    """One threshold for each way to divide the rows, rising: midway between neighbours, so that the last digit of a
    probability decides nothing."""
    scores = np.unique(probabilities)
    return np.concatenate([[0.0], (scores[:-1] + scores[1:]) / 2, [np.nextafter(1, 2)]])


def _of(curve: ThresholdCurve, index: int) -> OperatingPoint:
    return OperatingPoint(
        float(curve.threshold[index]), float(curve.sensitivity[index]), float(curve.specificity[index])
    )
