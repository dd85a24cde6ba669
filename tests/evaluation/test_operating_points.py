"""Operating points by hand, against scikit-learn, and against counting in another population."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit, logit
from sklearn.metrics import confusion_matrix, roc_curve

from mobilenet_chest.evaluation.bootstrap import mean_statistic
from mobilenet_chest.evaluation.conformal import conformal_rule
from mobilenet_chest.evaluation.operating_points import (
    THRESHOLDS,
    OperatingPoint,
    abstention_promised,
    abstention_range,
    metrics_at_prevalence,
    operating_metrics,
    point_at,
    point_at_sensitivity,
    point_at_specificity,
    prevalence_statistics,
    threshold_at_prevalence,
    threshold_curve,
)

LABELS = np.array([0, 0, 0, 0, 1, 1, 1, 1, 1], np.uint8)
SCORES = np.array([0.1, 0.2, 0.4, 0.7, 0.3, 0.5, 0.7, 0.8, 0.9])


def sample(rows: int = 200) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(6)
    labels = (generator.random(rows) < 0.6).astype(np.uint8)
    return labels, np.round(expit(generator.normal(labels * 2.0 - 1, 1.0)), 2)


def test_the_curve_is_what_counting_gives() -> None:
    labels, scores = sample()
    curve = threshold_curve(labels, scores)
    assert curve.threshold is THRESHOLDS
    assert (len(curve.threshold), curve.threshold[0], curve.threshold[37], curve.threshold[-1]) == (101, 0, 0.37, 1)
    for index in (20, 30, 50, 83):
        tn, fp, fn, tp = confusion_matrix(labels, scores >= curve.threshold[index]).ravel()
        result = [getattr(curve, name)[index] for name in ("accuracy", "sensitivity", "specificity", "ppv", "npv")]
        assert result == [(tp + tn) / 200, tp / (tp + fn), tn / (tn + fp), tp / (tp + fp), tn / (tn + fn)]


def test_the_ends_of_the_curve() -> None:
    curve = threshold_curve(LABELS, SCORES)
    assert (curve.sensitivity[0], curve.specificity[0], curve.accuracy[0], curve.ppv[0]) == (1, 0, 5 / 9, 5 / 9)
    assert (curve.sensitivity[-1], curve.specificity[-1], curve.accuracy[-1], curve.npv[-1]) == (0, 1, 4 / 9, 4 / 9)
    assert np.isnan(curve.npv[0])
    assert np.isnan(curve.ppv[-1])


def test_points_by_hand() -> None:
    assert point_at(LABELS, SCORES, 0.7) == OperatingPoint(0.7, 3 / 5, 3 / 4)
    # three of four zeros are below .5; .45 is midway between .4 and .5
    assert point_at_specificity(LABELS, SCORES, 0.75) == OperatingPoint(pytest.approx(0.45), 4 / 5, 3 / 4)
    assert point_at_specificity(LABELS, SCORES, 0.76) == OperatingPoint(pytest.approx(0.75), 2 / 5, 1)
    assert point_at_sensitivity(LABELS, SCORES, 0.8) == OperatingPoint(pytest.approx(0.45), 4 / 5, 3 / 4)
    assert point_at_sensitivity(LABELS, SCORES, 0.81) == OperatingPoint(pytest.approx(0.25), 1, 1 / 2)


def test_what_can_only_be_had_at_an_end() -> None:
    labels, scores = np.array([0, 1, 0], np.uint8), np.array([1.0, 0.5, 0.0])
    nobody = point_at_specificity(labels, scores, 0.9)
    assert (nobody.sensitivity, nobody.specificity) == (0, 1)
    assert not (scores >= nobody.threshold).any()
    assert point_at_sensitivity(labels, scores, 0.9) == OperatingPoint(0.25, 1, 0.5)
    assert point_at_sensitivity(labels[1:], scores[1:][::-1], 1.0) == OperatingPoint(0.0, 1, 0)


def test_a_model_abstains_between_the_two_points_at_95() -> None:
    labels, scores = sample()
    found = abstention_range(labels, scores)
    assert found is not None
    low, high = found
    assert low < high
    assert (scores[labels == 1] >= low).mean() >= 0.95
    assert (scores[labels == 0] < high).mean() >= 0.95
    assert (scores[labels == 1] >= high).mean() < 0.95
    assert (scores[labels == 0] < low).mean() < 0.95


def test_abstention_keeps_the_conformal_promise() -> None:
    generator = np.random.default_rng(4)
    labels = np.repeat(np.array([0, 1], np.uint8), [97, 208])
    scores = 1 / (1 + np.exp(-generator.normal(size=305) * 2 - labels * 2 + 1))
    rule, found = conformal_rule(labels, scores, 0.05), abstention_range(labels, scores)
    assert abstention_promised(labels)
    assert not abstention_promised(labels[: 97 + 18])
    assert found is not None
    # both classes are kept exactly where the model abstains, on these images and up to the next one
    refers = (scores >= found[0]) & (scores < found[1])
    assert (rule.kept(scores).all(axis=1) == refers).all()
    assert not np.isin(found, scores).any()


def test_a_model_that_keeps_both_or_has_one_class_never_abstains() -> None:
    labels = np.array([0, 0, 1, 1], np.uint8)
    assert abstention_range(labels, np.array([0.1, 0.2, 0.8, 0.9])) is None
    assert abstention_range(labels[:2], np.array([0.1, 0.9])) is None
    assert abstention_range(labels[2:], np.array([0.1, 0.9])) is None
    assert abstention_range(labels[1:2], np.array([0.5])) is None


@pytest.mark.parametrize("target", [0.5, 0.8, 0.9, 0.95, 0.99, 1.0])
def test_points_are_the_best_of_the_roc_curve(target: float) -> None:
    labels, scores = sample()
    fpr, tpr, _ = roc_curve(labels, scores, drop_intermediate=False)
    point, reverse = point_at_specificity(labels, scores, target), point_at_sensitivity(labels, scores, target)
    assert point.sensitivity == pytest.approx(tpr[1 - fpr >= target - 1e-12].max())
    assert reverse.specificity == pytest.approx((1 - fpr)[tpr >= target - 1e-12].max())
    assert point_at(labels, scores, point.threshold) == point
    assert point_at(labels, scores, reverse.threshold) == reverse


def test_what_every_run_logs() -> None:
    labels, scores = sample()
    assert operating_metrics(labels, scores) == {
        "val_sensitivity_at_specificity_90": point_at_specificity(labels, scores, 0.9).sensitivity,
        "val_specificity_at_sensitivity_90": point_at_sensitivity(labels, scores, 0.9).specificity,
        "val_sensitivity_at_specificity_95": point_at_specificity(labels, scores, 0.95).sensitivity,
        "val_specificity_at_sensitivity_95": point_at_sensitivity(labels, scores, 0.95).specificity,
    }


def test_another_prevalence_is_counting_other_rows() -> None:
    """100 of class 1 and 1,900 of class 0, of which 90 and 1,520 are recognised."""
    result = metrics_at_prevalence(45, 50, 80, 100, 0.05)
    assert result.accuracy.value == pytest.approx((90 + 1520) / 2000)
    assert result.ppv.value == pytest.approx(90 / (90 + 380))
    assert result.npv.value == pytest.approx(1520 / (1520 + 10))


def test_at_its_own_prevalence_nothing_changes() -> None:
    labels, scores = sample()
    curve, index, share = threshold_curve(labels, scores), 42, labels.mean()
    positive, ones = scores >= 0.42, int(labels.sum())
    right = int((~positive & (labels == 0)).sum())
    result = metrics_at_prevalence(int((positive & (labels == 1)).sum()), ones, right, 200 - ones, share)
    assert (result.accuracy.value, result.ppv.value, result.npv.value) == pytest.approx(
        (curve.accuracy[index], curve.ppv[index], curve.npv[index])
    )
    assert threshold_at_prevalence(0.42, share, share, 1.7) == pytest.approx(0.42)


@pytest.mark.parametrize(("hits", "right", "missing"), [(0, 20, "ppv"), (10, 0, "npv")])
def test_of_no_rows_there_is_no_share(hits: int, right: int, missing: str) -> None:
    result = metrics_at_prevalence(hits, 10, right, 20, 0.3)
    assert np.isnan(list(vars(getattr(result, missing)).values())).all()
    assert 0 < result.accuracy.low < result.accuracy.value < result.accuracy.high < 1


def test_without_a_mistake_the_interval_has_a_width_and_its_metric() -> None:
    result = metrics_at_prevalence(10, 10, 20, 20, 0.05)
    assert result.ppv.value == result.ppv.high == 1
    assert 0.2 < result.ppv.low < 0.5
    assert 0.98 < result.npv.low < result.npv.value == result.npv.high == 1


@pytest.mark.parametrize("prevalence", [0.05, 0.5])
def test_the_intervals_hold_the_truth_as_often_as_they_say(prevalence: float) -> None:
    generator = np.random.default_rng(3)
    hits, right = generator.binomial(208, 0.9, 600), generator.binomial(97, 0.85, 600)
    truth = {
        "accuracy": prevalence * 0.9 + (1 - prevalence) * 0.85,
        "ppv": prevalence * 0.9 / (prevalence * 0.9 + (1 - prevalence) * 0.15),
        "npv": (1 - prevalence) * 0.85 / ((1 - prevalence) * 0.85 + prevalence * 0.1),
    }
    result = [
        metrics_at_prevalence(int(h), 208, int(r), 97, prevalence, draws=4000) for h, r in zip(hits, right, strict=True)
    ]
    for name, value in truth.items():
        held = np.mean([getattr(point, name).low <= value <= getattr(point, name).high for point in result])
        assert 0.93 <= held <= 0.97, name


def test_the_threshold_moves_by_the_odds() -> None:
    # odds of 1 at a prevalence of 1/2 are odds of 1/19 at one of 1/20: to reach 1 there it takes 19 here
    assert threshold_at_prevalence(0.5, 0.5, 0.05) == pytest.approx(0.95)
    assert threshold_at_prevalence(0.5, 0.05, 0.5) == pytest.approx(0.05)
    assert logit(threshold_at_prevalence(0.6, 0.5, 0.05, 2.0)) == pytest.approx(logit(0.6) + 2 * np.log(19))


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_the_shifted_threshold_is_the_best_one_there(temperature: float) -> None:
    """Two normal densities one apart: the true log odds at equal shares are the score itself less a half. A model that
    is too sure of itself multiplies them."""
    generator = np.random.default_rng(8)
    prevalence = 0.1
    labels = (generator.random(400_000) < prevalence).astype(np.uint8)
    scores = expit(temperature * (generator.normal(labels, 1.0) - 0.5))
    threshold = threshold_at_prevalence(0.5, 0.5, prevalence, temperature)
    curve = threshold_curve(labels, scores, np.append(THRESHOLDS, threshold))
    assert curve.accuracy[-1] >= curve.accuracy[:-1].max() - 2e-4
    assert curve.accuracy[-1] > point_accuracy(labels, scores, 0.5) + 0.1


def point_accuracy(labels: np.ndarray, scores: np.ndarray, threshold: float) -> float:
    return float(threshold_curve(labels, scores, np.array([threshold])).accuracy[0])


def test_statistics_at_a_prevalence_are_those_of_its_values() -> None:
    labels = np.repeat(np.array([0, 1], np.uint8), (40, 60))
    positive = np.random.default_rng(5).random(100) < np.where(labels == 1, 0.8, 0.3)
    rates = mean_statistic(positive, labels == 1), mean_statistic(~positive, labels == 0)
    hits, right = int(positive[labels == 1].sum()), int((~positive)[labels == 0].sum())
    expected = metrics_at_prevalence(hits, 60, right, 40, 0.1)
    drawn = [statistic(np.ones((1, 100)))[0] for statistic in prevalence_statistics(*rates, 0.1)]
    assert drawn == pytest.approx([expected.accuracy.value, expected.ppv.value, expected.npv.value], abs=1e-12)
