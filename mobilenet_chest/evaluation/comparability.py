"""Whether images without labels are of the same kind as a run's validation rows, or of another prevalence, or others.

Two hypotheses are tested, each by what a classifier makes of the features (Lopez-Paz and Oquab, Revisiting Classifier
Two-Sample Tests, ICLR 2017) and by the distribution of the probabilities of class 1:

- *as before*: the images come from the distribution of the validation rows;
- *prevalence alone*: they come from the same images of each class, mixed in another proportion. The validation rows are
  thinned to the proportion that is estimated, so that they would have the same distribution.

All p are of permutations. A classifier is fitted on one half of the images and scores the other half, so under the
hypothesis all orders of the scores are equally likely, however many features there are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mobilenet_chest.evaluation.drift import Prevalence, fitted_score, prevalence
from mobilenet_chest.evaluation.em import em_prevalence
from mobilenet_chest.evaluation.intervals import Interval, wilson
from mobilenet_chest.evaluation.predictions import Labels, Probabilities

ALPHA = 0.05
"""A hypothesis is rejected where the smaller of its two p is below half of this."""

PERMUTATIONS = 1000

MOST_ROWS = 2000
"""Images that are tested, at most: a random choice of more. All count in the estimates."""

LEAST_ROWS = 40
"""Of fewer images, or fewer validation rows, nothing can be said."""

Verdict = Literal["as before", "prevalence alone may differ", "other images"]


@dataclass(frozen=True, eq=False)
class Rows:
    """What a model makes of n images.

    Attributes:
        probability: float64 (n,), of class 1.
        features: float32 (n, f), what the network's head is given; ``None`` where the model does not tell it.
    """

    probability: Probabilities
    features: NDArray[np.float32] | None

    def take(self, rows: NDArray[np.int64]) -> Rows:
        """Return some of the images."""
        return Rows(self.probability[rows], None if self.features is None else self.features[rows])


@dataclass(frozen=True)
class Comparability:
    """What is known of images without labels. The attributes are keys of ``data check --json``.

    Attributes:
        verdict: The first hypothesis that is not rejected, or ``other images``.
        as_before: p of *as before*, of ``features`` and ``probabilities``, with the interval of their permutations.
        prevalence_alone: p of *prevalence alone*, likewise.
        bbse: Share of class 1, from the share that is called class 1 (Lipton et al., ICML 2018).
        em: Share of class 1, most likely by the calibrated probabilities (Saerens et al., Neural Computation 2002).
    """

    verdict: Verdict
    as_before: dict[str, Interval]
    prevalence_alone: dict[str, Interval]
    bbse: Prevalence
    em: Prevalence


def compare_kinds(validation: Rows, labels: Labels, threshold: float, images: Rows, seed: int = 0) -> Comparability:
    """Return whether images are as the validation rows, with the share of class 1 where that can be estimated.

    Args:
        validation: The validation rows.
        labels: uint8 (n,), their classes.
        threshold: Smallest probability that is called class 1.
        images: The images without labels.
        seed: Of all random choices.
    """
    generator = np.random.default_rng(seed)
    bbse = _bbse(validation.probability, labels, threshold, images.probability)
    em = em_prevalence(validation.probability, labels, images.probability)
    tested = images.take(generator.permutation(len(images.probability))[:MOST_ROWS])
    whole = validation.take(generator.permutation(len(labels))[:MOST_ROWS])
    as_before = _tests(whole, tested, generator)
    share = next((each.share.value for each in (em, bbse) if each.share is not None), float(labels.mean()))
    thinned = validation.take(thin(labels, share, generator))
    alone = _tests(thinned, tested, generator)
    if not _rejected(as_before):
        return Comparability("as before", as_before, alone, bbse, em)
    if not _rejected(alone):
        return Comparability("prevalence alone may differ", as_before, alone, bbse, em)
    which = " and ".join(name for name, p in alone.items() if p.value < ALPHA / 2)
    refused = Prevalence(None, f"these are other images: no prevalence explains their {which}")
    return Comparability("other images", as_before, alone, refused, refused)


def thin(labels: Labels, share: float, generator: np.random.Generator) -> NDArray[np.int64]:
    """Return the most rows of which ``share`` is of class 1, in random order, :data:`MOST_ROWS` at most."""
    ones, zeros = (generator.permutation(np.flatnonzero(labels == label)) for label in (1, 0))
    sizes = [len(rows) / part for rows, part in ((ones, share), (zeros, 1 - share)) if part > 0]
    size = min(*sizes, MOST_ROWS)
    chosen = np.concatenate([ones[: round(size * share)], zeros[: round(size * (1 - share))]])
    return generator.permutation(chosen)


def _rejected(tests: dict[str, Interval]) -> bool:
    return min(p.value for p in tests.values()) < ALPHA / len(tests)


def _tests(reference: Rows, images: Rows, generator: np.random.Generator) -> dict[str, Interval]:
    tests = {}
    if reference.features is not None and images.features is not None:
        tests["features"] = features_p(reference.features, images.features, generator)
    tests["probabilities"] = distance_p(reference.probability, images.probability, generator)
    return tests


def features_p(
    reference: NDArray[np.float32], images: NDArray[np.float32], generator: np.random.Generator
) -> Interval:  # fmt: skip
    """Return p that a classifier tells images from the reference no better than chance; rows are in random order.

    It is fitted on one half of both and scores the other halves, then the other way round: twice the smaller p.
    """
    h, k = len(reference) // 2, len(images) // 2
    halves = [(reference[:h], images[:k]), (reference[h : 2 * h], images[k : 2 * k])]
    found = []
    for (seen, seen_images), (unseen, unseen_images) in (halves, halves[::-1]):
        score = fitted_score(seen, seen_images)
        ranks = np.argsort(np.argsort(np.concatenate([score(unseen), score(unseen_images)]), kind="stable"))
        found.append(_p(ranks.astype(np.float64), h, _rank_sums, generator))
    smaller = min(found, key=lambda p: p.value)
    return Interval(*(min(1.0, 2 * end) for end in (smaller.value, smaller.low, smaller.high)))


def distance_p(reference: Probabilities, images: Probabilities, generator: np.random.Generator) -> Interval:
    """Return p of the largest distance between two empirical distributions (Kolmogorov and Smirnov)."""
    return _p(np.concatenate([reference, images]), len(reference), _distances, generator)


Statistics = Callable[[NDArray[np.float64], NDArray[np.bool_]], NDArray[np.float64]]


def _p(
    values: NDArray[np.float64], n: int, statistics: Statistics, generator: np.random.Generator
) -> Interval:  # fmt: skip
    """Return p of a statistic of the values from number ``n`` on, with the interval of so many permutations.

    Args:
        values: float64 (n + m,).
        n: Values of the reference.
        statistics: Returns the statistics (b,) of b choices, bool (b, n + m), of m values each.
        generator: Of the permutations.
    """
    total, m = len(values), len(values) - n
    chosen = np.zeros((PERMUTATIONS, total), bool)
    places = np.argpartition(generator.random((PERMUTATIONS, total), np.float32), m, axis=1)[:, :m]
    np.put_along_axis(chosen, places, True, axis=1)
    observed = statistics(values, (np.arange(total) >= n)[None])[0]
    as_large = int((statistics(values, chosen) >= observed - 1e-12).sum())
    of_chance = wilson(as_large, PERMUTATIONS)
    return Interval((as_large + 1) / (PERMUTATIONS + 1), of_chance.low, of_chance.high)


def _rank_sums(ranks: NDArray[np.float64], chosen: NDArray[np.bool_]) -> NDArray[np.float64]:
    return np.asarray(chosen @ ranks)


def _distances(values: NDArray[np.float64], chosen: NDArray[np.bool_]) -> NDArray[np.float64]:
    order = np.argsort(values, kind="stable")
    last_of_ties = np.append(np.diff(values[order]) > 0, True)
    m = chosen[0].sum()
    steps = np.where(chosen[:, order], np.float32(1 / m), np.float32(-1 / (len(values) - m)))
    return np.asarray(np.abs(np.cumsum(steps, axis=1)[:, last_of_ties]).max(axis=1), np.float64)


def _bbse(probability: Probabilities, labels: Labels, threshold: float, images: Probabilities) -> Prevalence:
    called, ones = probability >= threshold, labels == 1
    return prevalence(
        int((images >= threshold).sum()), len(images),
        int((called & ones).sum()), int(ones.sum()), int((~called & ~ones).sum()), int((~ones).sum()),
    )  # fmt: skip
