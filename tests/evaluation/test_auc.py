"""The AUC, bit for bit as scikit-learn has it, and of resampled images by counting pairs."""

from __future__ import annotations

import math

import numpy as np
import pytest
from helpers.oracles import rank_auc
from sklearn.metrics import roc_auc_score

from mobilenet_chest.evaluation.auc import auc, auc_statistic


def sample(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Of 5 to 400 images with both classes; scores have 0 to 4 decimals, so that many are equal or none."""
    generator = np.random.default_rng(seed)
    labels = (generator.random(int(generator.integers(5, 400))) < 0.6).astype(np.uint8)
    labels[:2] = 0, 1
    return labels, np.round(generator.normal(labels, 1), int(generator.integers(0, 5)))


def test_it_is_that_of_scikit_learn_to_the_last_bit() -> None:
    result = [auc(*sample(seed)) for seed in range(60)]
    assert result == [roc_auc_score(*sample(seed)) for seed in range(60)]
    # the exact quotient has other bits: a sum of trapezoids is rounded
    assert result != [rank_auc(*sample(seed)) for seed in range(60)]


@pytest.mark.parametrize(
    ("scores", "value"), [([1, 2, 3, 4], 0.75), ([4, 3, 2, 1], 0.25), ([5, 5, 5, 5], 0.5), ([1, 3, 2, 4], 1.0)]
)
def test_it_is_the_share_of_pairs_in_order(scores: list[float], value: float) -> None:
    assert auc(np.array([0, 1, 0, 1], np.uint8), np.array(scores, float)) == value


def test_one_class_has_none() -> None:
    for labels in (np.zeros(3, np.uint8), np.ones(3, np.uint8)):
        scores = np.arange(3.0)
        assert math.isnan(auc(labels, scores))
        assert math.isnan(auc_statistic(labels, scores)(np.ones((1, 3)))[0])


def test_of_resampled_images_it_is_exact() -> None:
    for seed in range(20):
        labels, scores = sample(seed)
        times = np.random.default_rng(seed).integers(0, 3, (4, len(labels)))
        times[:, :2] = 1
        drawn = [np.repeat(np.arange(len(labels)), row) for row in times]
        expected = [rank_auc(labels[rows], scores[rows]) for rows in drawn]
        assert auc_statistic(labels, scores)(times.astype(float)).tolist() == expected
