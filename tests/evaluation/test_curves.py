"""ROC and precision-recall curves on a grid, and their bootstrap bands."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_curve

from mobilenet_chest.evaluation.curves import GRID, average_precision, bootstrap_band, precision_recall, roc

GENERATOR = np.random.default_rng(3)
LABELS = (GENERATOR.random(305) < 0.68).astype(np.uint8)
# rounded: ties between the classes
SCORES = np.round(1 / (1 + np.exp(-GENERATOR.normal(1.6 * LABELS - 0.8))), 2)


def test_the_roc_curve_is_scikit_learn_s_read_as_steps() -> None:
    false, true, _ = roc_curve(LABELS, SCORES, drop_intermediate=False)
    expected = [true[false <= rate + 1e-9].max() for rate in GRID]
    np.testing.assert_allclose(roc(LABELS, SCORES), expected, atol=1e-12)


def test_the_precision_recall_curve_is_scikit_learn_s() -> None:
    precision, recall, _ = precision_recall_curve(LABELS, SCORES)
    # scikit-learn's goes from the lowest threshold to the highest, and ends in a point of no threshold
    expected = [precision[:-1][recall[:-1] >= wanted - 1e-9][-1] for wanted in GRID]
    np.testing.assert_allclose(precision_recall(LABELS, SCORES), expected, atol=1e-12)


def test_the_average_precision_is_scikit_learn_s() -> None:
    assert average_precision(LABELS, SCORES) == pytest.approx(average_precision_score(LABELS, SCORES), abs=1e-12)


def test_a_perfect_separation_is_one_everywhere() -> None:
    labels = np.array([0, 0, 1, 1, 1], np.uint8)
    scores = np.array([0.1, 0.2, 0.7, 0.8, 0.9])
    assert (roc(labels, scores) == 1).all()
    assert (precision_recall(labels, scores) == 1).all()


@pytest.mark.parametrize("curve", [roc, precision_recall])
def test_weights_are_repeated_rows(curve) -> None:  # type: ignore[no-untyped-def]
    weights = np.random.default_rng(0).integers(0, 4, len(LABELS))
    repeated = np.repeat(np.arange(len(LABELS)), weights)
    np.testing.assert_allclose(curve(LABELS, SCORES, weights), curve(LABELS[repeated], SCORES[repeated]), atol=1e-12)


def test_a_band_of_a_known_proportion_is_the_binomial_s() -> None:
    # every negative scores 0.5; 160 of 200 positives score above: sensitivity at no false alarm is a plain proportion
    labels = np.array([0] * 50 + [1] * 200, np.uint8)
    scores = np.array([0.5] * 50 + [0.9] * 160 + [0.1] * 40)
    result = bootstrap_band(labels, scores, roc, draws=4000)
    error = 1.96 * np.sqrt(0.8 * 0.2 / 200)
    assert result.value[0] == 0.8
    assert result.low[0] == pytest.approx(0.8 - error, abs=0.006)
    assert result.high[0] == pytest.approx(0.8 + error, abs=0.006)
    assert result.value[-1] == result.low[-1] == result.high[-1] == 1


def test_a_band_is_the_same_again_and_holds_its_curve() -> None:
    band, again = (bootstrap_band(LABELS, SCORES, roc, draws=200) for _ in range(2))
    np.testing.assert_array_equal(band.low, again.low)
    assert (band.low <= band.value).all()
    assert (band.value <= band.high).all()
    wider = bootstrap_band(LABELS, SCORES, roc, level=0.99, draws=200)
    assert (wider.high - wider.low).sum() > (band.high - band.low).sum()
