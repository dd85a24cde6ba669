"""The winner's claim against its fresh seeds, and what that says where the truth is known."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from mobilenet_chest.evaluation.intervals import Interval
from mobilenet_chest.evaluation.optimism import crossfit_mean, optimism

CONFIGURATIONS, IMAGES, TOP, SEEDS = 50, 305, 3, 5
POINTS = 0.01


def test_claimed_less_shown_with_student_s_interval() -> None:
    # mean 0.91, SD 0.01; t(0.975, 4) = 2.776445
    result = optimism(0.93, [0.91, 0.9, 0.92, 0.9, 0.92])
    half = 2.776445 * 0.01 / np.sqrt(5)
    assert [result.value, result.low, result.high] == pytest.approx([0.02, 0.02 - half, 0.02 + half], abs=1e-7)


def test_a_loss_that_was_too_low_is_optimistic_too() -> None:
    assert optimism(0.2, [0.3, 0.3], "minimize") == Interval(pytest.approx(0.1), pytest.approx(0.1), pytest.approx(0.1))


def test_the_level_is_that_of_the_interval() -> None:
    # t(0.95, 1) = 6.313752
    result = optimism(0.9, [0.8, 0.9], level=0.9)
    assert result.high - result.value == pytest.approx(6.313752 * np.std([0.8, 0.9], ddof=1) / np.sqrt(2), abs=1e-6)


def test_each_seed_scores_the_choice_of_the_others() -> None:
    fresh = np.array([[0.9, 0.8, 0.7], [0.85, 0.84, 0.6]])
    # without the first seed the first leader is ahead, 1.5 to 1.44; without the second, 1.6 to 1.45; without the third,
    # 1.7 to 1.69
    assert crossfit_mean(fresh) == pytest.approx((0.9 + 0.8 + 0.7) / 3)
    # and the lower ones
    assert crossfit_mean(fresh, "minimize") == pytest.approx((0.85 + 0.84 + 0.6) / 3)
    # a leader that only one seed puts ahead is not chosen where that seed scores
    assert crossfit_mean(np.array([[1.0, 0.5], [0.6, 0.6]])) == pytest.approx((0.6 + 0.5) / 2)
    assert crossfit_mean(np.array([[0.7, 0.9]])) == pytest.approx(0.8)


# --- simulated studies ---------------------------------------------------------------------------------------------

EASE, SPREAD = 2.2, 1.5
"""Of an image: mean and SD over images of the log-odds that a network is right about it."""


class Studies:
    """Studies of 50 configurations that are equally good, scored on 305 images; the three best again on five seeds.

    Whether a network is right about an image depends on the image, easy or hard for all alike, on the seed, and, with a
    ``taste`` (an SD of log-odds), on the configuration: it suits some images better, and none better than another does
    over all images that there are.
    """

    def __init__(self, seed: int, studies: int, taste: float = 0.0, fresh_splits: bool = False) -> None:
        self.chance, self.taste = np.random.default_rng(seed), taste
        claims, expected, fresh = [], [], []
        for _ in range(studies):
            odds = self.images(CONFIGURATIONS)
            scores = self.scores(odds)
            leaders = np.argsort(-scores, kind="stable")[:TOP]
            claims.append(scores[leaders[0]])
            expected.append(chances(odds[leaders[0]]).mean())
            again = [self.images(TOP) if fresh_splits else odds[leaders] for _ in range(SEEDS)]
            fresh.append(np.stack([self.scores(images) for images in again], axis=1))
        self.claims, self.expected, self.fresh = np.array(claims), np.array(expected), np.array(fresh)
        self.optimism = [optimism(claimed, values[0]) for claimed, values in zip(claims, fresh, strict=True)]

    def images(self, configurations: int) -> NDArray[np.float64]:
        """Log-odds to be right about each of a validation split's images, (configurations, images)."""
        return self.chance.normal(EASE, SPREAD, IMAGES) + self.chance.normal(0, self.taste, (configurations, IMAGES))

    def scores(self, odds: NDArray[np.float64]) -> NDArray[np.float64]:
        """Accuracy of one trained network of each configuration."""
        return np.asarray((self.chance.random(odds.shape) < chances(odds)).mean(axis=1))

    @property
    def truth(self) -> float:
        """Accuracy of each configuration over all seeds and images that there are."""
        nodes, weights = np.polynomial.hermite_e.hermegauss(80)
        return float(weights @ chances(EASE + np.hypot(SPREAD, self.taste) * nodes) / weights.sum())

    @property
    def stated(self) -> float:
        """Mean of the optimism that is stated."""
        return float(np.mean([interval.value for interval in self.optimism]))


def chances(odds: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1 / (1 + np.exp(-odds))


def test_of_50_equal_configurations_it_is_unbiased() -> None:
    studies = Studies(2024, 400)
    too_good = studies.claims.mean() - studies.truth
    assert too_good > 3.5 * POINTS
    assert studies.stated == pytest.approx(too_good, abs=0.2 * POINTS)
    # the trial that the fresh seeds choose would not do: theirs is the best of three means
    best_mean = studies.fresh.mean(axis=2).max(axis=1)
    assert best_mean.mean() - studies.truth > 0.5 * POINTS
    worth = np.mean([crossfit_mean(values) for values in studies.fresh])
    assert worth == pytest.approx(studies.truth, abs=0.1 * POINTS)
    # what the interval is about: that configuration on these images
    pairs = zip(studies.claims - studies.expected, studies.optimism, strict=True)
    assert 0.93 <= np.mean([interval.low <= part <= interval.high for part, interval in pairs]) <= 0.97


def test_what_the_images_add_is_seen_on_new_splits_only() -> None:
    same = Studies(2024, 250, taste=1.0)
    too_good = same.claims.mean() - same.truth
    suited = same.expected.mean() - same.truth
    assert suited > 0.5 * POINTS
    assert same.stated == pytest.approx(too_good - suited, abs=0.1 * POINTS)
    new = Studies(2024, 250, taste=1.0, fresh_splits=True)
    assert new.stated == pytest.approx(new.claims.mean() - new.truth, abs=0.2 * POINTS)
