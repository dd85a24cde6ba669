"""Conformal answers keep their promise for each class, and what is lost under a shift is shown."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import logit, ndtr

from mobilenet_chest.evaluation.conformal import (
    conformal_result,
    conformal_rule,
    coverage_spread,
    crossfit_result,
    results_under_shift,
    risk_coverage,
)


def drawn(
    generator: np.random.Generator, negative: int, positive: int
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Return labels and badly calibrated probabilities of images whose logits are normal in each class."""
    labels = np.repeat(np.array([0, 1], np.uint8), [negative, positive])
    logits = generator.normal(size=len(labels)) * 2 + np.where(labels == 1, 2.5, -1.0)
    return labels, 1 / (1 + np.exp(-2 * logits))


@pytest.mark.parametrize("rate", [0.05, 0.1, 0.2])
def test_the_promise_is_kept_within_a_point_for_each_class(rate: float) -> None:
    """400 samples of 97 + 208 images, as the source report's validation split has; coverages are exact."""
    generator, rules = np.random.default_rng(0), []
    for _ in range(400):
        rules.append(conformal_rule(*drawn(generator, 97, 208), rate))
    below, above = (logit([getattr(rule, end) for rule in rules]) / 2 for end in ("below", "above"))
    covered = ndtr((below + 1) / 2), 1 - ndtr((above - 2.5) / 2)
    for column, images in zip(covered, (97, 208), strict=True):
        error = column.std() / np.sqrt(len(column))
        assert -3 * error < column.mean() - (1 - rate) < 0.01 + 3 * error
        low, high = coverage_spread(images, rate)
        assert 0.92 < ((low <= column) & (column <= high)).mean() < 0.98


def test_the_rule_keeps_the_quantile_of_each_class() -> None:
    labels = np.repeat(np.array([0, 1], np.uint8), [9, 19])
    probabilities = np.concatenate([np.arange(1, 10) / 10, np.arange(1, 20) / 20])
    rule = conformal_rule(labels, probabilities, 0.1)
    # 9 of 10 places: the largest of nine; 18 of 20: all but the lowest of nineteen
    assert (rule.below, rule.above) == (0.9, 0.1)
    assert rule.kept(np.array([0.05, 0.1, 0.5, 0.9, 0.95])).tolist() == [
        [True, False], [True, True], [True, True], [True, True], [False, True],
    ]  # fmt: skip


def test_too_few_images_promise_nothing_but_both_classes() -> None:
    labels = np.array([0] * 18 + [1] * 18, np.uint8)
    rule = conformal_rule(labels, np.linspace(0, 1, 36), 0.05)
    assert (rule.below, rule.above) == (math.inf, -math.inf)
    result = conformal_result(rule, labels, np.linspace(0, 1, 36))
    assert (result.both.value, result.one.value) == (1.0, 0.0)
    assert (result.errors.low, result.errors.high) == (0.0, 1.0)


def test_an_answer_of_no_class_is_counted() -> None:
    labels = np.array([0] * 20 + [1] * 20, np.uint8)
    rule = conformal_rule(labels, np.concatenate([np.linspace(0, 0.2, 20), np.linspace(0.8, 1, 20)]), 0.1)
    result = conformal_result(rule, np.array([0, 1, 1, 0], np.uint8), np.array([0.1, 0.9, 0.5, 0.95]))
    assert (result.one.value, result.both.value, result.none.value) == (0.75, 0.0, 0.25)
    assert [share.value for share in result.covered] == [0.5, 0.5]
    assert result.errors.value == pytest.approx(1 / 3)


def test_a_shift_breaks_the_promise_and_that_is_said() -> None:
    labels, probabilities = drawn(np.random.default_rng(1), 300, 300)
    same, brighter = results_under_shift(0.1, labels, probabilities, [probabilities, np.sqrt(probabilities)])
    assert same.broken == []
    assert brighter.broken == [0]
    assert brighter.covered[1].value >= same.covered[1].value


def test_cross_fitted_answers_keep_the_promise_too() -> None:
    results = [crossfit_result(*drawn(np.random.default_rng(seed), 97, 208), 0.1, 5, 0) for seed in range(20)]
    for label in (0, 1):
        assert np.mean([result.covered[label].value for result in results]) == pytest.approx(0.905, abs=0.02)
    assert all(result.broken == [] for result in results[:3])


def test_wrong_inputs() -> None:
    labels = np.array([0, 1], np.uint8)
    with pytest.raises(ValueError, match=r"rate 1\.5"):
        conformal_rule(labels, np.array([0.1, 0.9]), 1.5)
    with pytest.raises(ValueError, match="both classes"):
        conformal_rule(labels[:1], np.array([0.1]), 0.1)


def test_risk_grows_with_coverage() -> None:
    labels = np.array([0, 1, 0, 1], np.uint8)
    curve = risk_coverage(labels, np.array([0.05, 0.95, 0.55, 0.45]), 0.5)
    assert curve.coverage.tolist() == [0.25, 0.5, 0.75, 1.0]
    assert curve.risk == pytest.approx([0, 0, 1 / 3, 0.5])
    assert curve.area == pytest.approx((1 / 3 + 0.5) / 4)
    # equally sure images have no order
    tied = risk_coverage(labels, np.array([0.2, 0.2, 0.2, 0.2]), 0.5)
    assert tied.risk == pytest.approx([0.5] * 4)
