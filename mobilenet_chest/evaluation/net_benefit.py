"""Decision curves: what a model's decisions are worth, against deciding the same for everyone.

At a threshold t a decision for class 1 is worth making if the probability of class 1 is at least t: one true finding
counts as much as (1 − t)/t false alarms. The net benefit is the share of true findings minus that of false alarms in
this currency (Vickers and Elkin, Medical Decision Making 2006).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mobilenet_chest.evaluation.bootstrap import ROUNDING, bootstrap_weights
from mobilenet_chest.evaluation.curves import DRAWS, CurveValues
from mobilenet_chest.evaluation.intervals import LEVEL
from mobilenet_chest.evaluation.predictions import Labels, Probabilities

THRESHOLDS: CurveValues = np.round(np.arange(1, 100) / 100, 2)
"""Thresholds of a decision curve, (99,)."""

BINS = 20
"""Of the distribution of probabilities, each 0.05 wide."""


@dataclass(frozen=True, eq=False)
class DecisionCurve:
    """Net benefit over :data:`THRESHOLDS`, in true findings for each image, float64 (99,) each.

    Attributes:
        value: Of the model.
        low: Lower end of its pointwise 95% band.
        high: Upper end.
        treat_all: Of calling every image class 1.
        number_needed: Images that must be tested for one more net true finding than by the better of treating all and
            treating none: 1 over the gain. Infinite where the model gains nothing.
        needed_low: Lower end of its band.
        needed_high: Upper end; infinite where the band of the gain reaches 0.
    """

    value: CurveValues
    low: CurveValues
    high: CurveValues
    treat_all: CurveValues
    number_needed: CurveValues
    needed_low: CurveValues
    needed_high: CurveValues

    @property
    def useful(self) -> tuple[float, float] | None:
        """The lowest and highest threshold where the band lies above both alternatives; ``None`` where it never does.

        There may be thresholds between the two where it does not.
        """
        gains = THRESHOLDS[self.low - np.maximum(self.treat_all, 0) > ROUNDING]
        return (float(gains[0]), float(gains[-1])) if len(gains) else None


def net_benefit(
    labels: Labels, probabilities: Probabilities, weights: NDArray[np.int64] | None = None
) -> CurveValues:  # fmt: skip
    """Return the net benefit at each of :data:`THRESHOLDS`.

    Args:
        labels: uint8 (n,), 0 or 1.
        probabilities: float64 (n,), of class 1.
        weights: int64 (n,), how often each image counts; once by default.
    """
    weights = np.ones(len(labels), np.int64) if weights is None else weights
    order = np.argsort(probabilities, kind="stable")
    places = np.searchsorted(probabilities[order], THRESHOLDS)
    positive, negative = weights[order] * (labels[order] == 1), weights[order] * (labels[order] == 0)
    hits, alarms = (np.concatenate([[0], np.cumsum(part[::-1])])[::-1][places] for part in (positive, negative))
    benefit: CurveValues = (hits - alarms * THRESHOLDS / (1 - THRESHOLDS)) / weights.sum()
    return benefit


def decision_curve(
    labels: Labels,
    probabilities: Probabilities,
    groups: NDArray[np.int64] | None = None,
    draws: int = DRAWS,
    seed: int = 0,
) -> DecisionCurve:
    """Return a decision curve with its pointwise 95% bootstrap band.

    Each class keeps its number of images in every draw, so the prevalence is that of the images. At another prevalence
    the curve is another one.

    Args:
        labels: uint8 (n,), 0 or 1, both present.
        probabilities: float64 (n,), of class 1. A threshold means what it says if they are calibrated.
        groups: Patient of each image, as in :func:`~mobilenet_chest.evaluation.bootstrap.bootstrap`.
        draws: Number of resampled sets.
        seed: The same seed gives the same band.
    """
    value, prevalence = net_benefit(labels, probabilities), float(labels.mean())
    sets = (weights.astype(np.int64) for block in bootstrap_weights(labels, groups, draws, seed) for weights in block)
    drawn = np.stack([net_benefit(labels, probabilities, weights) for weights in sets])
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    treat_all: CurveValues = prevalence - (1 - prevalence) * THRESHOLDS / (1 - THRESHOLDS)
    other = np.maximum(treat_all, 0)
    needed, least, most = (_needed(gain - other) for gain in (value, high, low))
    return DecisionCurve(value, low, high, treat_all, needed, least, most)


def _needed(gain: CurveValues) -> CurveValues:
    return np.divide(1, gain, out=np.full_like(gain, math.inf), where=gain > ROUNDING)


def probability_counts(labels: Labels, probabilities: Probabilities) -> NDArray[np.int64]:
    """Return how many images of class 0 and class 1 have a probability in each of :data:`BINS` equal bins, (2, bins).

    The last bin holds a probability of 1.
    """
    places = np.minimum((probabilities * BINS).astype(np.int64), BINS - 1)
    return np.stack([np.bincount(places[labels == label], minlength=BINS) for label in (0, 1)])
