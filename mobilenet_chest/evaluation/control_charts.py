"""Control charts of a model in use: a statistic of each window of films, and exact limits from the validation rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mobilenet_chest.evaluation.drift import (
    CONTRAST,
    DETAIL,
    MEAN,
    Films,
    Lookalike,
    confidences,
    two_sample_gaps,
    two_sample_rank,
)
from mobilenet_chest.evaluation.exchangeable import (
    Floats,
    count_limits,
    distance_limit,
    equal_bins,
    psi,
    psi_limit,
    sum_limit,
    without_ties,
)
from mobilenet_chest.evaluation.operating_points import abstention_range
from mobilenet_chest.evaluation.predictions import Labels

RATE = 1e-4
"""False alarms in stable windows, over all charts together: one in 10,000."""

PSI_BINS, KS_BINS, RANK_BINS = 10, 20, 10

FAR = 0.01
"""Share of validation rows beyond the places from which a film counts as unlike a film of training, or as inverted."""

ALWAYS = ("psi", "ks", "class_1", "uncertainty", "exposure", "contrast", "detail", "size", "unlike",
          "inverted")  # fmt: skip
"""Charts of every model. A model that never abstains has none of that, one of early versions none of features, and
films that an early version has logged none of detail."""

LEAST_ROWS = 20
"""A window of fewer films says nothing at so small a rate of false alarms."""


@dataclass(frozen=True, eq=False)
class Reference:
    """What windows are compared with.

    Attributes:
        films: The validation rows, in random order.
        labels: uint8 (n,), their classes.
        threshold: Smallest probability of class 1.
        temperature: What logits are divided by to be calibrated.
        lookalike: Grey levels of the training rows.
    """

    films: Films
    labels: Labels
    threshold: float
    temperature: float
    lookalike: Lookalike


@dataclass(frozen=True, eq=False)
class Chart:
    """A control chart for windows of one size.

    Attributes:
        key: Its name in JSON.
        title: What it shows.
        low: Smallest value without an alarm; minus infinity where a low value is none.
        high: Largest value without an alarm.
        stable: The value that stable windows have in the middle.
        measure: Returns the value of a window.
    """

    key: str
    title: str
    low: float
    high: float
    stable: float
    measure: Callable[[Films], float] = field(repr=False)

    def is_out(self, value: float) -> bool:
        """Return whether a value is an alarm."""
        return not self.low - 1e-12 <= value <= self.high + 1e-12


def control_charts(reference: Reference, m: int, rate: float = RATE) -> list[Chart]:
    """Return the charts for windows of ``m`` films.

    Args:
        reference: What they are compared with.
        m: Films of a window.
        rate: False alarms in stable windows, over all charts together, at most; each chart has an equal part.
    """
    abstains = abstention_range(reference.labels, reference.films.probability)
    share = rate / (len(ALWAYS) + (abstains is not None) + (reference.films.features is not None))
    charts = [*_probability_charts(reference, m, share), *_picture_charts(reference, m, share)]
    if abstains is not None:
        charts.insert(2, _abstention_chart(reference, abstains, m, share))
    return charts if reference.films.features is None else [*charts, _feature_chart(reference, m, share)]


def _probability_charts(reference: Reference, m: int, rate: float) -> list[Chart]:
    films, n = reference.films, len(reference.films)
    probability = without_ties(films.probability, 0)
    bins = equal_bins(probability, PSI_BINS)
    called = int((films.probability >= reference.threshold).sum())
    confidence = equal_bins(without_ties(1 - confidences(films, reference.threshold), 0), RANK_BINS)
    last = len(confidence.gaps) - 1
    ranks = tuple(tuple(k * b / last for k in range(m + 1)) for b in range(last + 1))

    def stability(window: Films) -> float:
        return float(psi(bins.counts(without_ties(window.probability, 1)), bins.gaps))

    def class_1(window: Films) -> float:
        return float((window.probability >= reference.threshold).mean())

    def doubt_rank(window: Films) -> float:
        values = without_ties(1 - confidences(window, reference.threshold), 1)
        return float(confidence.place(values).mean()) / last

    return [
        Chart("psi", "probabilities, PSI", -np.inf, psi_limit(bins.gaps, m, rate), 0.0, stability),
        _distance_chart("ks", "probabilities, KS", films.probability, lambda window: window.probability, m, rate),
        # a region beyond one cut takes one of its gaps in part
        _count_chart("class_1", "called class 1", called, called, called + 1, n, m, rate, class_1),
        Chart("uncertainty", "uncertainty, mean rank", -np.inf, sum_limit(ranks, confidence.gaps, m, rate) / m, 0.5,
              doubt_rank),
    ]  # fmt: skip


def _abstention_chart(reference: Reference, abstains: tuple[float, float], m: int, rate: float) -> Chart:
    low, high = abstains

    def inside(films: Films) -> int:
        return int(((films.probability >= low) & (films.probability < high)).sum())

    known, n = inside(reference.films), len(reference.films)
    # a region between two cuts takes two of its gaps in part
    return _count_chart("abstains", "model abstains", known, max(known - 1, 0), known + 1, n, m, rate,
                        lambda window: inside(window) / len(window))  # fmt: skip


def _picture_charts(reference: Reference, m: int, rate: float) -> list[Chart]:
    pictures, n, lookalike = reference.films.pictures, len(reference.films), reference.lookalike
    sides = without_ties(pictures[:, :2].min(axis=1), 0)
    least, most = float(sides.min()), float(sides.max())
    far = max(1, round(FAR * (n + 1)))

    def of_level(key: str, title: str, at: int) -> Chart:
        return _distance_chart(key, f"{title}, KS", pictures[:, at], lambda films: films.pictures[:, at], m, rate)

    def other_size(window: Films) -> float:
        shorter = without_ties(window.pictures[:, :2].min(axis=1), 1)
        return float(((shorter < least) | (shorter > most)).mean())

    def beyond(score: Callable[[Floats], Floats]) -> Callable[[Films], float]:
        limit = np.sort(without_ties(score(pictures), 0))[n - far]
        return lambda window: float((without_ties(score(window.pictures), 1) > limit).mean())

    return [
        of_level("exposure", "mean grey level", MEAN),
        of_level("contrast", "contrast", CONTRAST),
        *([of_level("detail", "fine detail", DETAIL)] if reference.films.have_detail else []),
        # the gap below the smallest and the one above the largest
        _count_chart("size", "of another size", 0, 2, 2, n, m, rate, other_size),
        _count_chart("unlike", "unlike a chest film", far - 1, far, far, n, m, rate, beyond(lookalike.distance)),
        _count_chart("inverted", "black and white exchanged", far - 1, far, far, n, m, rate,
                     beyond(lookalike.inversion)),
    ]  # fmt: skip


def _feature_chart(reference: Reference, m: int, rate: float) -> Chart:
    features = reference.films.features
    assert features is not None
    gaps, k = two_sample_gaps(len(features)), m // 2
    ranks = tuple(tuple(count * b / (len(gaps) - 1) for count in range(k + 1)) for b in range(len(gaps)))
    known: NDArray[np.float32] = features

    def rank(window: Films) -> float:
        assert window.features is not None
        return two_sample_rank(known, window.features)

    high = sum_limit(ranks, gaps, k, rate / 2) / k  # the larger one of two
    return Chart("features", "features, two-sample rank", -np.inf, high, 0.5, rank)


def _distance_chart(
    key: str, title: str, reference: Floats, column: Callable[[Films], Floats], m: int, rate: float
) -> Chart:  # fmt: skip
    bins = equal_bins(without_ties(reference, 0), KS_BINS)
    expected = np.cumsum(bins.shares)[:-1]

    def distance(window: Films) -> float:
        counts = bins.counts(without_ties(column(window), 1))
        return float(np.abs(np.cumsum(counts)[:-1] / counts.sum() - expected).max())

    return Chart(key, title, -np.inf, distance_limit(bins.gaps, m, rate), 0.0, distance)


def _count_chart(
    key: str, title: str, inside: int, fewest: int, most: int, n: int, m: int, rate: float,
    measure: Callable[[Films], float],
) -> Chart:  # fmt: skip
    low, high = count_limits(fewest, most, n + 1, m, rate)
    return Chart(key, title, low / m, high / m, inside / n, measure)
