"""What a window of films without labels says about a model: expected accuracy, prevalence, unlike pictures, features.

Labels are those of the validation rows only; nothing here needs the truth of a film that was predicted in use.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mobilenet_chest.evaluation.exchangeable import Floats, equal_bins, without_ties
from mobilenet_chest.evaluation.intervals import LEVEL, Interval

PICTURE_COLUMNS = ("height", "width", "mean", "std", "share_black", "share_white", "detail")
"""Statistics of a film's pixels: of the uint8 image that the model was given."""

MEAN, CONTRAST, DETAIL = (PICTURE_COLUMNS.index(name) for name in ("mean", "std", "detail"))

DRAWS = 2000

RANK_BINS = 20
"""Bins of the ranks by which a classifier's scores are compared."""

LEAST_YOUDEN = 0.2
"""Sensitivity + specificity - 1 must be above this for a prevalence to be told: below, its interval tells nothing."""


@dataclass(frozen=True, eq=False)
class Films:
    """What is known of n films that a model has predicted.

    Attributes:
        probability: float64 (n,), of class 1.
        calibrated: float64 (n,), the same after calibration.
        pictures: float64 (n, 7), a column for each of :data:`PICTURE_COLUMNS`; ``detail`` is NaN where it is unknown.
        features: float32 (n, f), what the network's head was given; ``None`` where the model does not tell it.
    """

    probability: Floats
    calibrated: Floats
    pictures: Floats
    features: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.probability)

    @property
    def have_detail(self) -> bool:
        """Whether fine detail is known of every film."""
        return not bool(np.isnan(self.pictures[:, DETAIL]).any())

    def take(self, rows: NDArray[np.int64] | slice) -> Films:
        """Return some of the films."""
        features = None if self.features is None else self.features[rows]
        return Films(self.probability[rows], self.calibrated[rows], self.pictures[rows], features)


@dataclass(frozen=True, eq=False)
class Lookalike:
    """How far a film's grey levels are from those of the training rows.

    Attributes:
        centre: float64 (4,), mean of the four grey statistics of the training rows.
        precision: float64 (4, 4), inverse of their covariance.
    """

    centre: Floats
    precision: Floats

    @classmethod
    def of(cls, pictures: Floats) -> Lookalike:
        """Return the one of training rows, ``pictures`` float64 (n, 7)."""
        grey = _grey(pictures)
        covariance = np.cov(grey, rowvar=False) + 1e-6 * np.eye(grey.shape[1])
        return cls(grey.mean(axis=0), np.asarray(np.linalg.inv(covariance), np.float64))

    def distance(self, pictures: Floats) -> Floats:
        """Return the Mahalanobis distance (n,) of films; a blank one is far away."""
        apart = _grey(pictures) - self.centre
        return np.asarray(np.sqrt(np.einsum("ij,jk,ik->i", apart, self.precision, apart)))

    def inversion(self, pictures: Floats) -> Floats:
        """Return how much nearer (n,) a film would be if its black and white were exchanged; above 0: it would."""
        height, width, mean, std, black, white, detail = pictures.T
        exchanged = np.stack([height, width, 255 - mean, std, white, black, detail], axis=1)
        return self.distance(pictures) - self.distance(exchanged)


def _grey(pictures: Floats) -> Floats:
    """Return mean, deviation, and roots of the shares of black and white, which are less skewed than the shares."""
    return np.asarray(np.concatenate([pictures[:, 2:4] / 255, np.sqrt(pictures[:, 4:6])], axis=1))


def confidences(films: Films, threshold: float) -> Floats:
    """Return the calibrated probability (n,) of the label that each film was given."""
    return np.where(films.probability >= threshold, films.calibrated, 1 - films.calibrated)


def expected_accuracy(window: Floats, validation: Floats, correct: NDArray[np.bool_], level: float = LEVEL) -> Interval:
    """Return the accuracy that a window's confidences promise, without its labels, with an interval.

    It is the mean confidence, corrected by how far confidence and accuracy are apart on the validation rows. The
    interval is a bootstrap's of both. It holds as long as a probability means what it meant on validation; a shift that
    makes the model wrong and certain is invisible to it.

    Args:
        window: float64 (m,), :func:`confidences` of the window.
        validation: float64 (n,), those of the validation rows.
        correct: bool (n,), whether each validation row's label was right.
        level: Confidence.
    """
    generator = np.random.default_rng(0)
    gaps = correct - validation
    of_gaps = _resampled_means(gaps, generator)
    # labels of a window are drawn as well: m films with these confidences would not all come out as expected
    drawn = generator.random((DRAWS, len(window))) < window[generator.integers(0, len(window), (DRAWS, len(window)))]
    low, high = np.quantile(drawn.mean(axis=1) + of_gaps, [(1 - level) / 2, (1 + level) / 2])
    value = float(np.clip(window.mean() + gaps.mean(), 0, 1))
    return Interval(value, float(np.clip(low, 0, value)), float(np.clip(high, value, 1)))


def _resampled_means(values: Floats, generator: np.random.Generator) -> Floats:
    n = len(values)
    return np.array([values[generator.integers(0, n, n)].mean() for _ in range(DRAWS)])


@dataclass(frozen=True)
class Prevalence:
    """An estimate of the share of class 1, or why there is none.

    Attributes:
        share: With its interval; ``None`` where it is refused.
        refusal: Why, where it is.
    """

    share: Interval | None
    refusal: str | None = None


def prevalence(
    called: int, films: int, hits: int, ones: int, right: int, zeros: int, level: float = LEVEL
) -> Prevalence:  # fmt: skip
    """Return the share of class 1 among films, from the share that is called class 1 (Rogan and Gladen, 1978).

    It holds as long as sensitivity and specificity are those of the validation rows.

    Args:
        called: Films called class 1.
        films: All films.
        hits: Validation rows of class 1 that are recognised.
        ones: Validation rows of class 1.
        right: Validation rows of class 0 that are recognised.
        zeros: Validation rows of class 0.
        level: Confidence.
    """
    youden = hits / ones + right / zeros - 1
    of_called, of_hits, of_right = (np.array([count]) for count in (called, hits, right))
    shares = bbse_shares(of_called, of_hits, of_right, films, ones, zeros, level)
    value, low, high, least = (float(part[0]) for part in shares)
    if youden <= LEAST_YOUDEN or least <= 0:
        return Prevalence(None, f"sensitivity + specificity - 1 is {youden:.2f}; it must be above {LEAST_YOUDEN:g}")
    return Prevalence(Interval(value, low, high))


def bbse_shares(
    called: NDArray[np.int64],
    hits: NDArray[np.int64],
    right: NDArray[np.int64],
    films: int,
    ones: int,
    zeros: int,
    level: float = LEVEL,
) -> tuple[Floats, Floats, Floats, Floats]:
    """Return :func:`prevalence` of b samples at once: shares, their ends, and lower ends of sensitivity + specificity
    - 1, each float64 (b,).

    Args:
        called: int64 (b,), films called class 1.
        hits: int64 (b,), validation rows of class 1 that are recognised.
        right: int64 (b,), validation rows of class 0 that are recognised.
        films: All films.
        ones: Validation rows of class 1.
        zeros: Validation rows of class 0.
        level: Confidence.
    """
    generator, ends = np.random.default_rng(0), [(1 - level) / 2, (1 + level) / 2]
    sensitivity, specificity, share = (
        generator.beta(count[:, None] + 0.5, whole - count[:, None] + 0.5, (len(count), DRAWS))
        for count, whole in ((hits, ones), (right, zeros), (called, films))
    )
    with np.errstate(divide="ignore", invalid="ignore"):  # of a model that tells nothing
        youden = hits / ones + right / zeros - 1
        value = np.clip((called / films + right / zeros - 1) / youden, 0, 1)
        drawn = np.clip((share + specificity - 1) / (sensitivity + specificity - 1), 0, 1)
    low, high = np.quantile(drawn, ends, axis=1)
    least = np.quantile(sensitivity + specificity - 1, ends[0], axis=1)
    return value, np.minimum(low, value), np.maximum(high, value), least


def two_sample_rank(reference: NDArray[np.float32], window: NDArray[np.float32]) -> float:
    """Return how well a classifier tells a window's features from reference features that it has not seen.

    A logistic regression is fitted on one half of both, and scores the other halves; then the other way round. The
    value is the larger one of the two mean ranks of the window's films: 0.5 where nothing tells them apart, 1 where
    everything does. An odd last row of each is left out. Lopez-Paz and Oquab, Revisiting Classifier Two-Sample Tests,
    ICLR 2017; with ranks, the law of :mod:`mobilenet_chest.evaluation.exchangeable` holds, because fitting has not seen
    what is scored.

    Args:
        reference: float32 (n, f), rows in random order.
        window: float32 (m, f).
    """
    h, k = len(reference) // 2, len(window) // 2
    halves = [(reference[:h], window[:k]), (reference[h : 2 * h], window[k : 2 * k])]
    ranks = []
    for (seen, seen_window), (unseen, unseen_window) in (halves, halves[::-1]):
        score = fitted_score(seen, seen_window)
        bins = equal_bins(without_ties(score(unseen), 0), RANK_BINS)
        places = bins.place(without_ties(score(unseen_window), 1))
        ranks.append(float(places.mean()) / (len(bins.gaps) - 1))
    return max(ranks)


def two_sample_gaps(reference: int) -> tuple[int, ...]:
    """Return the gaps of the bins of :func:`two_sample_rank` for so many reference rows."""
    return equal_bins(np.arange(float(reference // 2)), RANK_BINS).gaps


def fitted_score(reference: NDArray[np.float32], window: NDArray[np.float32]):  # type: ignore[no-untyped-def]
    """Return a function that scores features (n, f): higher, the more they look like the window's.

    Args:
        reference: float32 (n, f).
        window: float32 (m, f).
    """
    from sklearn.linear_model import LogisticRegression  # slow to import

    rows = np.concatenate([reference, window]).astype(np.float64)
    centre, scale = rows.mean(axis=0), rows.std(axis=0) + 1e-6
    label = np.arange(len(rows)) >= len(reference)
    # so strong a penalty that a fit of more features than rows still ranks others
    model = LogisticRegression(C=0.01, class_weight="balanced", max_iter=200)
    model.fit((rows - centre) / scale, label)
    return lambda features: model.decision_function((features - centre) / scale)
