"""What the intervals promise, tried at the size that matters here: 305 images, 97 of class 0 and 208 of class 1."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy.stats import binom, norm

from mobilenet_chest.evaluation.bootstrap import bootstrap
from mobilenet_chest.evaluation.delong import auc_difference, auc_differences, auc_intervals
from mobilenet_chest.evaluation.intervals import Difference, wilson
from mobilenet_chest.evaluation.significance import mcnemar, not_inferior, paired_proportions

NEGATIVE, POSITIVE = 97, 208
IMAGES = NEGATIVE + POSITIVE
LABELS = np.repeat(np.array([0, 1], np.uint8), [NEGATIVE, POSITIVE])


def shift(auc: float, spread: float = 1.0) -> float:
    """How far apart two normal classes are, with deviations 1 and ``spread``, for an AUC."""
    return float(norm.ppf(auc) * math.sqrt(1 + spread**2))


def pair(generator: np.random.Generator, first: float, second: float, shared: float) -> tuple[np.ndarray, np.ndarray]:
    """Scores of two models with these AUCs, whose noise has the correlation ``shared``."""
    common, own, others = generator.normal(size=(3, IMAGES))
    noise = (math.sqrt(shared) * common + math.sqrt(1 - shared) * each for each in (own, others))
    one, other = (shift(auc) * LABELS + each for auc, each in zip((first, second), noise, strict=True))
    return one, other


@pytest.mark.parametrize("accuracy", [0.85, 0.895, 0.9246, 0.97])
def test_wilson_covers_an_accuracy(accuracy: float) -> None:
    """Exactly, by the probability of each number of right answers."""
    counts = np.arange(IMAGES + 1)
    likely = counts[binom.pmf(counts, IMAGES, accuracy) > 1e-12]
    intervals = [wilson(int(count), IMAGES) for count in likely]
    held = np.array([interval.low <= accuracy <= interval.high for interval in intervals])
    assert 0.93 <= binom.pmf(likely[held], IMAGES, accuracy).sum() <= 0.97


def missed(auc: float, spread: float) -> tuple[float, float]:
    """How often the 95% interval of an AUC lies above it, and below."""
    generator = np.random.default_rng(305)
    scores = generator.normal(shift(auc, spread) * LABELS, np.where(LABELS == 1, spread, 1.0), (10_000, IMAGES))
    found = auc_intervals(LABELS, *scores)
    return float(np.mean([each.low > auc for each in found])), float(np.mean([each.high < auc for each in found]))


@pytest.mark.slow
@pytest.mark.parametrize(("auc", "spread"), [(0.9, 1.0), (0.958, 1.0), (0.99, 1.0), (0.958, 0.6)])
def test_the_auc_interval_covers(auc: float, spread: float) -> None:
    above, below = missed(auc, spread)
    assert 0.93 <= 1 - above - below <= 0.97
    # and misses to both sides alike
    assert 0.01 <= above <= 0.04
    assert 0.01 <= below <= 0.04


@pytest.mark.slow
@pytest.mark.parametrize("auc", [0.99, 0.997])
def test_it_covers_where_a_few_images_of_class_0_carry_all(auc: float) -> None:
    assert 1 - sum(missed(auc, 0.6)) >= 0.93


@pytest.mark.slow
def test_the_bootstrap_covers_an_accuracy_and_a_sensitivity() -> None:
    generator = np.random.default_rng(9)
    distance, repeats = float(norm.ppf(0.9)), 200
    held = np.zeros(2)
    for repeat in range(repeats):
        scores = generator.normal(np.where(LABELS == 1, distance, -distance), 1)
        for which, metric in enumerate((_accuracy, _sensitivity)):
            interval = bootstrap(LABELS, scores, metric, draws=300, seed=repeat)
            held[which] += interval.low <= 0.9 <= interval.high
    # 200 repetitions tell 95 % to 3 points
    assert (held / repeats >= 0.92).all()
    assert (held / repeats <= 0.98).all()


def _accuracy(labels: np.ndarray, scores: np.ndarray) -> float:
    return float(((scores >= 0) == (labels == 1)).mean())


def _sensitivity(labels: np.ndarray, scores: np.ndarray) -> float:
    return float((scores >= 0)[labels == 1].mean())


@pytest.mark.parametrize("margin", [0.01, 0.02, 0.03, 0.05])
def test_an_accuracy_at_the_margin_passes_at_most_1_time_in_20(margin: float) -> None:
    """Exactly, over every likely number of images that only one of the two gets right, for rare to frequent ones."""
    for disagreement in (margin + 0.005, margin + 0.03, margin + 0.1, margin + 0.2):
        shares = (disagreement - margin) / 2, (disagreement + margin) / 2
        only_first, only_second = (
            range(int(binom.ppf(1e-6, IMAGES, share)), int(binom.ppf(1 - 1e-6, IMAGES, share)) + 1) for share in shares
        )
        passed = 0.0
        for gains, losses in itertools.product(only_first, only_second):
            # the further one is behind, the less it passes: no need to ask once it is behind by more than the margin
            if losses - gains >= margin * IMAGES:
                continue
            low, high = paired_proportions(gains, losses, IMAGES, level=0.9)
            if not_inferior(Difference((gains - losses) / IMAGES, low, high, math.nan), margin):
                share = shares[1] / (1 - shares[0])
                passed += binom.pmf(gains, IMAGES, shares[0]) * binom.pmf(losses, IMAGES - gains, share)
        assert 0.01 < passed <= 0.05


def test_the_interval_of_paired_accuracies_covers() -> None:
    """The same way, for a difference of 0.03 at a disagreement of one image in eight."""
    shares, covered = ((0.125 - 0.03) / 2, (0.125 + 0.03) / 2), 0.0
    for gains, losses in itertools.product(range(1, 40), range(3, 50)):
        low, high = paired_proportions(gains, losses, IMAGES)
        if low <= -0.03 <= high:
            share = shares[1] / (1 - shares[0])
            covered += binom.pmf(gains, IMAGES, shares[0]) * binom.pmf(losses, IMAGES - gains, share)
    assert 0.95 <= covered <= 0.97


@pytest.mark.slow
@pytest.mark.parametrize(
    ("champion", "margin", "shared"),
    [(0.9, 0.02, 0.8), (0.958, 0.02, 0.8), (0.99, 0.01, 0.8), (0.99, 0.01, 0.3), (0.99, 0.01, 0.0)],
)
def test_an_auc_at_the_margin_passes_at_most_1_time_in_20(champion: float, margin: float, shared: float) -> None:
    """Eight challengers to each of 1,500 champions: the Monte Carlo error is that of 9,000 pairs or more."""
    generator = np.random.default_rng(20)
    passed = []
    for _ in range(1500):
        noise, own = generator.normal(size=IMAGES), generator.normal(size=(8, IMAGES))
        firsts = shift(champion - margin) * LABELS + shared * noise + math.sqrt(1 - shared**2) * own
        found = auc_differences(LABELS, list(firsts), shift(champion) * LABELS + noise, level=0.9)
        passed += [not_inferior(each, margin) for each in found]
    assert 0.01 < np.mean(passed) <= 0.05


@pytest.mark.slow
def test_a_better_model_passes_and_a_worse_one_does_not() -> None:
    generator = np.random.default_rng(7)
    better, worse, right = 0, 0, 0
    for _ in range(200):
        first, second = pair(generator, 0.97, 0.958, 0.8)
        better += not_inferior(auc_difference(LABELS, first, second, level=0.9), 0.02)
        worse += not_inferior(auc_difference(LABELS, second - 0.6 * LABELS, first, level=0.9), 0.02)
        at = shift(0.958) / 2
        right += mcnemar((first >= at) == (LABELS == 1), (first >= at) == (LABELS == 1), 0.9).low > -0.02
    assert better >= 160
    assert worse <= 2
    assert right == 200
