"""Decision curves: net benefit, its band and alternatives, the number needed to test, and the distribution by class."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mobilenet_chest.evaluation.net_benefit import THRESHOLDS, decision_curve, net_benefit, probability_counts

LABELS = np.array([0, 0, 0, 1, 1], np.uint8)
SCORES = np.array([0.1, 0.3, 0.6, 0.5, 0.9])


def at(values: np.ndarray, threshold: float) -> float:
    return float(values[round(threshold * 100) - 1])


def test_net_benefit_is_true_findings_less_weighted_alarms() -> None:
    benefit = net_benefit(LABELS, SCORES)
    assert benefit.shape == THRESHOLDS.shape == (99,)
    assert at(benefit, 0.5) == pytest.approx((2 - 1) / 5)  # an image at the threshold counts as class 1
    assert at(benefit, 0.2) == pytest.approx((2 - 2 * 0.25) / 5)
    assert at(benefit, 0.75) == pytest.approx(1 / 5)
    assert at(benefit, 0.95) == 0
    twice = net_benefit(LABELS, SCORES, np.full(5, 2))
    assert twice == pytest.approx(benefit)
    assert at(net_benefit(LABELS, SCORES, np.array([1, 1, 0, 1, 1])), 0.5) == pytest.approx(2 / 4)


def test_alternatives_and_the_number_needed_to_test() -> None:
    curve = decision_curve(LABELS, SCORES, draws=50)
    assert at(curve.treat_all, 0.25) == pytest.approx(0.4 - 0.6 / 3)
    # at 0.2 treating all gives 0.25, the model 0.3; at 0.5 treating none gives 0, the model 0.2
    assert at(curve.number_needed, 0.2) == pytest.approx(1 / 0.05)
    assert at(curve.number_needed, 0.5) == pytest.approx(5)
    assert at(curve.number_needed, 0.95) == math.inf
    assert (curve.low <= curve.value).all()
    assert (curve.value <= curve.high).all()
    assert (curve.needed_low <= curve.needed_high).all()


def test_a_useless_model_is_useful_nowhere() -> None:
    generator = np.random.default_rng(0)
    labels = (generator.random(400) < 0.3).astype(np.uint8)
    assert decision_curve(labels, np.full(400, 0.3), draws=50).useful is None
    informed = np.clip(labels * 0.5 + generator.random(400) * 0.5, 0, 1)
    useful = decision_curve(labels, informed, draws=50).useful
    assert useful is not None
    assert useful[0] < 0.3 < useful[1]


def test_the_distribution_by_class() -> None:
    counts = probability_counts(LABELS, np.array([0.0, 0.049, 0.05, 0.999, 1.0]))
    assert counts.shape == (2, 20)
    assert counts[0, :2].tolist() == [2, 1]
    assert counts[1, 19] == 2
    assert counts.sum() == 5
