"""Conformal answers: abstention with a promise, kept for each class, by split-conformal prediction.

A model may answer with a set of classes: one class, both (it refers to a radiologist), or none (the image is unlike
either class). At an error rate α the set lacks the true class of at most α of new images of each class, whatever the
model is, if these are exchangeable with the images that the sets were made from (Vovk, Mondrian conformal prediction,
in Algorithmic Learning in a Random World, 2005). The promise is an average over such samples: with n images of a class
it is kept to within the spread of a Beta distribution, see :func:`coverage_spread`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mobilenet_chest.evaluation.crossfit import crossfit_folds
from mobilenet_chest.evaluation.intervals import Interval, wilson
from mobilenet_chest.evaluation.predictions import Labels, Probabilities

RATES = (0.05, 0.10, 0.20)
"""Error rates that pages show."""


@dataclass(frozen=True)
class ConformalRule:
    """Which classes an answer keeps, by the probability of class 1.

    Attributes:
        rate: α, the error rate that is promised for each class.
        below: Class 0 is kept at or below this probability; infinite where there are too few images to leave it out.
        above: Class 1 is kept at or above this one; minus infinity likewise.
    """

    rate: float
    below: float
    above: float

    def kept(self, probabilities: Probabilities) -> NDArray[np.bool_]:
        """Return which classes the answers keep, bool (n, 2)."""
        return np.stack([probabilities <= self.below, probabilities >= self.above], axis=1)


@dataclass(frozen=True)
class ConformalResult:
    """What became of the promise on labelled images, with 95% Wilson intervals.

    Attributes:
        rate: The error rate that was promised.
        covered: Share of the images of class 0, and of class 1, whose answer keeps the true class.
        one: Share of all images with one class as the answer.
        both: Share with both classes: referred.
        none: Share with no class: referred, as unlike either.
        errors: Share of wrong ones among answers of one class; its ends are 0 and 1 where there is none.
    """

    rate: float
    covered: tuple[Interval, Interval]
    one: Interval
    both: Interval
    none: Interval
    errors: Interval

    @property
    def broken(self) -> list[int]:
        """Classes for which the promise is broken: the interval of the coverage lies wholly below 1 − α."""
        return [label for label, share in enumerate(self.covered) if share.high < 1 - self.rate]


@dataclass(frozen=True, eq=False)
class RiskCoverage:
    """Risk over coverage: the n images are answered from the surest to the least sure.

    Attributes:
        coverage: float64 (n,), share of images that are answered, rising to 1.
        risk: float64 (n,), share of wrong answers among these.
        area: Mean of ``risk``; smaller is better.
    """

    coverage: NDArray[np.float64]
    risk: NDArray[np.float64]
    area: float


def conformal_rule(labels: Labels, probabilities: Probabilities, rate: float) -> ConformalRule:
    """Return the rule that keeps the promise for each class, from images that the model was not trained on.

    An image is the stranger to a class, the less probable the class is. Of the n images of a class the k-th most
    strange, k = ⌈(n + 1)(1 − α)⌉ from the least strange, is the last that is kept. With fewer than 1/α − 1 images no
    bound can be promised, and every answer keeps the class.

    Args:
        labels: uint8 (n,), both classes.
        probabilities: float64 (n,), of class 1.
        rate: α, above 0 and below 1.

    Raises:
        ValueError: ``rate`` is not between 0 and 1, or a class has no image.
    """
    if not 0 < rate < 1:
        raise ValueError(f"rate {rate}: an error rate lies between 0 and 1, such as 0.1")
    if not 0 < labels.sum() < len(labels):
        raise ValueError("images of both classes are needed")
    negative, positive = np.sort(probabilities[labels == 0]), np.sort(-probabilities[labels == 1])
    return ConformalRule(rate, _last_kept(negative, rate), -_last_kept(positive, rate))


def _last_kept(strangeness: NDArray[np.float64], rate: float) -> float:
    """Return the conformal quantile of rising values; infinity where they are too few."""
    place = math.ceil((len(strangeness) + 1) * (1 - rate) - 1e-9)
    return float(strangeness[place - 1]) if place <= len(strangeness) else math.inf


def conformal_result(rule: ConformalRule, labels: Labels, probabilities: Probabilities) -> ConformalResult:
    """Return what became of a rule's promise on labelled images, such as those of a test split or of a shifted one.

    Args:
        rule: Made from other images.
        labels: uint8 (n,).
        probabilities: float64 (n,), of class 1.
    """
    return _result(rule.rate, labels, rule.kept(probabilities))


def crossfit_result(
    labels: Labels, probabilities: Probabilities, rate: float, folds: int, seed: int
) -> ConformalResult:
    """Return what becomes of the promise on the images that rules are made from: each is answered by the other folds.

    Args:
        labels: uint8 (n,), of validation.
        probabilities: float64 (n,), of class 1.
        rate: α.
        folds: Number of folds.
        seed: Of the folds.
    """
    kept = np.empty((len(labels), 2), bool)
    for fitting, judged in crossfit_folds(labels, folds, seed):
        kept[judged] = conformal_rule(labels[fitting], probabilities[fitting], rate).kept(probabilities[judged])
    return _result(rate, labels, kept)


def _result(rate: float, labels: Labels, kept: NDArray[np.bool_]) -> ConformalResult:
    size, right = kept.sum(axis=1), kept[np.arange(len(labels)), labels]
    single = size == 1
    one, both, none = (wilson(int((size == count).sum()), len(labels)) for count in (1, 2, 0))
    covered = [wilson(int(right[labels == label].sum()), int((labels == label).sum())) for label in (0, 1)]
    errors = wilson(int((single & ~right).sum()), int(single.sum()))
    return ConformalResult(rate, (covered[0], covered[1]), one, both, none, errors)


def risk_coverage(labels: Labels, probabilities: Probabilities, threshold: float) -> RiskCoverage:
    """Return the risk–coverage curve of a model at its threshold (El-Yaniv and Wiener, JMLR 2010).

    The surest image is that whose probability lies furthest from the threshold, in units of the way from the threshold
    to 0 or to 1. Images that are equally sure are answered together: each has their mean risk.

    Args:
        labels: uint8 (n,).
        probabilities: float64 (n,), of class 1.
        threshold: Smallest probability of class 1.
    """
    above = probabilities >= threshold
    sure = np.where(
        above,
        (probabilities - threshold) / max(1 - threshold, 1e-12),
        (threshold - probabilities) / max(threshold, 1e-12),
    )
    order = np.argsort(-sure, kind="stable")
    wrong = (above != (labels == 1))[order].astype(np.float64)
    _, group = np.unique(-sure[order], return_inverse=True)
    wrong = (np.bincount(group, wrong) / np.bincount(group))[group]
    answered = np.arange(1, len(labels) + 1)
    risk = np.cumsum(wrong) / answered
    return RiskCoverage(answered / len(labels), risk, float(risk.mean()))


def coverage_spread(images: int, rate: float, level: float = 0.95) -> tuple[float, float]:
    """Return within which coverages a rule made from so many images of a class lies, in ``level`` of samples.

    The coverage of a rule on endlessly many new images has a Beta distribution (Vovk, ACML 2012), if no two images have
    the same probability.

    Args:
        images: Of the class.
        rate: α.
        level: Of samples.
    """
    from scipy.special import betaincinv  # slow to import

    place = math.ceil((images + 1) * (1 - rate) - 1e-9)
    if place > images:
        return 1.0, 1.0
    low, high = (betaincinv(place, images + 1 - place, q) for q in ((1 - level) / 2, (1 + level) / 2))
    return float(low), float(high)


def results_under_shift(
    rate: float, labels: Labels, probabilities: Probabilities, others: Sequence[Probabilities]
) -> list[ConformalResult]:
    """Return what becomes of validation's promise when the same images are changed, one result for each change.

    Args:
        rate: α.
        labels: uint8 (n,), of validation.
        probabilities: float64 (n,), of the images as they are, which the rule is made from.
        others: Those of the same images as another scanner would have made them.
    """
    rule = conformal_rule(labels, probabilities, rate)
    return [conformal_result(rule, labels, changed) for changed in others]
