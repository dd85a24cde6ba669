"""What a window without labels says: expected accuracy, prevalence, unlike films, features that differ."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import streams

from mobilenet_chest.evaluation.drift import (
    Lookalike,
    confidences,
    expected_accuracy,
    prevalence,
    two_sample_gaps,
    two_sample_rank,
)
from mobilenet_chest.evaluation.exchangeable import equal_bins


def test_the_expected_accuracy_is_that_of_calibrated_confidences() -> None:
    generator = np.random.default_rng(1)
    inside = 0
    for _ in range(15):
        known, window = generator.uniform(0.5, 1, 400), generator.uniform(0.6, 1, 100)
        interval = expected_accuracy(window, known, generator.random(400) < known)
        inside += interval.low <= (generator.random(100) < window).mean() <= interval.high
    assert inside >= 12  # of 15 intervals of 95%
    sure = expected_accuracy(np.ones(50), np.ones(50), np.ones(50, bool))
    assert (sure.value, sure.low, sure.high) == (1.0, 1.0, 1.0)


def test_a_model_that_was_too_certain_is_corrected() -> None:
    known = np.full(200, 0.99)
    interval = expected_accuracy(np.full(100, 0.99), known, np.arange(200) < 160)
    assert interval.value == pytest.approx(0.8)
    assert interval.high < 0.95


def test_confidence_is_that_of_the_label_that_was_given() -> None:
    films = streams.films(np.random.default_rng(2), 50)
    given = films.probability >= 0.3
    np.testing.assert_allclose(confidences(films, 0.3), np.where(given, films.calibrated, 1 - films.calibrated))


def test_the_prevalence_is_corrected_for_sensitivity_and_specificity() -> None:
    found = prevalence(called=260, films=1000, hits=90, ones=100, right=180, zeros=200)
    assert found.share is not None
    assert found.share.value == pytest.approx((0.26 - 0.1) / 0.8)
    assert found.share.low < 0.2 < found.share.high
    refused = prevalence(called=50, films=100, hits=55, ones=100, right=55, zeros=100)
    assert refused.share is None
    assert "0.10" in str(refused.refusal)
    none = prevalence(called=0, films=100, hits=90, ones=100, right=90, zeros=100)
    assert none.share is not None
    assert (none.share.value, none.share.low) == (0.0, 0.0)


def test_blank_and_inverted_films_are_far_from_those_of_training() -> None:
    pictures = streams.films(np.random.default_rng(3), 300).pictures
    known = Lookalike.of(pictures)
    usual = known.distance(pictures)
    blank = np.array([[64.0, 64.0, 0.0, 0.0, 1.0, 0.0]])
    assert known.distance(blank)[0] > 3 * usual.max()
    inverted = pictures.copy()
    inverted[:, 2], inverted[:, 4], inverted[:, 5] = 255 - pictures[:, 2], pictures[:, 5], pictures[:, 4]
    np.testing.assert_allclose(known.inversion(inverted), -known.inversion(pictures), atol=1e-9)


def test_features_that_differ_are_told_apart() -> None:
    generator = np.random.default_rng(4)
    known, same, other = (generator.normal(size=(n, 8)).astype(np.float32) for n in (121, 61, 61))
    other[:, 3] += 4
    assert two_sample_rank(known, same) < 0.75
    assert two_sample_rank(known, other) > 0.9
    assert two_sample_gaps(121) == equal_bins(generator.random(60), 20).gaps
