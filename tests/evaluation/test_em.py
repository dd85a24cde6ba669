"""The most likely share of class 1, and that its interval holds the truth as often as said."""

from __future__ import annotations

import numpy as np
import pytest

from mobilenet_chest.evaluation.em import Floats, em_prevalence, em_shares, logarithms, most_likely_shares
from mobilenet_chest.evaluation.predictions import Labels

LABELS = np.repeat([1, 0], [150, 60]).astype(np.uint8)


def drawn(labels: Labels, generator: np.random.Generator, spread: float = 1.0) -> Floats:
    """Logits of normal scores whose classes are 2.5 apart; ``spread`` other than 1 makes them uncalibrated."""
    return 5.0 * (generator.standard_normal(labels.shape) * np.where(labels == 1, spread, 1.0) + 2.5 * labels) - 6.2


def samples(count: int, share: float, m: int, seed: int, spread: float = 1.0) -> tuple[Floats, Floats]:
    """``count`` sets of validation rows, and of m images whose classes are drawn with ``share``."""
    generator = np.random.default_rng(seed)
    rows = drawn(np.broadcast_to(LABELS, (count, len(LABELS))), generator, spread)
    return rows, drawn((generator.random((count, m)) < share).astype(np.uint8), generator, spread)


def test_the_most_likely_share_is_where_em_ends() -> None:
    rows, images = samples(2, 0.3, 100, seed=5)
    of_images, of_rows = logarithms(rows, LABELS, images)
    shares = most_likely_shares(np.expm1(of_images))
    assert of_rows.shape == rows.shape
    for logarithm, share in zip(of_images, shares, strict=True):
        prior = LABELS.mean()
        calibrated = 1 / (1 + np.exp(-logarithm) * (1 - prior) / prior)
        q = 0.5
        for _ in range(500):
            odds = calibrated / (1 - calibrated) * (q / (1 - q)) * ((1 - prior) / prior)
            q = float((odds / (1 + odds)).mean())
        assert share == pytest.approx(q, abs=1e-5)


def test_one_sample_is_as_one_of_several() -> None:
    rows, images = samples(3, 0.3, 100, seed=6)
    several = em_shares(rows, LABELS, images)
    probabilities = 1 / (1 + np.exp(-rows[1])), 1 / (1 + np.exp(-images[1]))
    one = em_prevalence(probabilities[0], LABELS, probabilities[1]).share
    assert one is not None
    assert (one.value, one.low, one.high) == pytest.approx([float(part[1]) for part in several], abs=1e-6)


def test_probabilities_that_tell_nothing() -> None:
    labels = np.repeat([0, 1], 40).astype(np.uint8)
    assert em_prevalence(np.linspace(0.9, 0.1, 80), labels, np.full(50, 0.5)).share is None
    hardly = np.tile(np.linspace(0.2, 0.8, 40), 2) + 0.001 * labels
    share = em_prevalence(hardly, labels, np.full(50, 0.5)).share
    assert share is not None
    assert (share.low, share.high) == (0.0, 1.0)


def test_one_row_of_a_class_tells_no_variance() -> None:
    labels = np.array([1, *[0] * 29], np.uint8)
    refused = em_prevalence(np.linspace(0.9, 0.1, 30), labels, np.full(50, 0.5))
    assert (refused.share, refused.refusal) == (None, "1 validation rows of a class are too few; 2 tell")


def test_images_of_one_class() -> None:
    rows, _ = samples(1, 0.5, 1, seed=8)
    generator = np.random.default_rng(9)
    for label, end in ((0, "low"), (1, "high")):
        images = drawn(np.full((1, 80), label, np.uint8), generator)
        assert getattr(em_shares(rows, LABELS, images), end)[0] == label


@pytest.mark.parametrize(
    ("share", "spread"),
    [(0.1, 1.6), *(pytest.param(share, spread, marks=pytest.mark.slow)
                   for share, spread in ((0.1, 1.0), (0.5, 1.0), (0.9, 1.0), (0.5, 1.6), (0.9, 1.6)))],
)  # fmt: skip
def test_coverage(share: float, spread: float) -> None:
    """400 sets of 300 images: 93 to 97%, give or take three standard errors of a coverage of 95%."""
    rows, images = samples(400, share, 300, seed=round(100 * share), spread=spread)
    found = em_shares(rows, LABELS, images)
    held = float(((found.low <= share) & (share <= found.high)).mean())
    assert 0.95 - 0.033 <= held <= 0.95 + 0.033
