"""Calibration against scikit-learn, by hand, and on samples of which it is known."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.special import expit, logit
from scipy.stats import binom
from sklearn.calibration import calibration_curve
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss
from sklearn.metrics import log_loss as sklearn_log_loss

from mobilenet_chest.config import EvaluationConfig
from mobilenet_chest.evaluation import calibration
from mobilenet_chest.evaluation.calibration import (
    TEMPERATURES,
    apply_temperature,
    brier,
    calibration_metrics,
    crossfit_calibrated,
    ece_interval,
    fit_temperature,
    log_loss,
    reliability,
)
from mobilenet_chest.evaluation.crossfit import crossfit_folds
from mobilenet_chest.evaluation.intervals import wilson


def sample(rows: int = 300, sureness: float = 1.0, seed: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Labels drawn by true probabilities, and those, their logits multiplied by ``sureness``."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(0.5, 2.0, rows)
    return (generator.random(rows) < expit(logits)).astype(np.uint8), expit(sureness * logits)


# --- reliability ---------------------------------------------------------------------------------------------------


def test_bins_hold_equally_many_rows() -> None:
    labels, probabilities = sample()
    result = reliability(labels, probabilities)
    observed, predicted = calibration_curve(labels, probabilities, n_bins=10, strategy="quantile")
    assert result.count.tolist() == [30] * 10
    assert result.observed == pytest.approx(observed)
    assert result.predicted == pytest.approx(predicted)
    assert result.ece == pytest.approx(np.abs(observed - predicted).mean())
    first = wilson(int(labels[np.argsort(probabilities)[:30]].sum()), 30)
    assert (result.low[0], result.high[0]) == (first.low, first.high)


def test_by_hand() -> None:
    labels = np.array([0, 1, 0, 1, 1, 1], np.uint8)
    probabilities = np.array([0.2, 0.4, 0.3, 0.8, 0.9, 0.7])
    result = reliability(labels, probabilities, bins=2)
    assert result.count.tolist() == [3, 3]
    assert result.predicted == pytest.approx([0.3, 0.8])
    assert result.observed == pytest.approx([1 / 3, 1])
    assert result.ece == pytest.approx((1 / 3 - 0.3 + 0.2) / 2)


def test_equal_probabilities_stay_together() -> None:
    labels = np.array([0, 1] * 50, np.uint8)
    probabilities = np.where(np.arange(100) < 80, 0.5, np.linspace(0.6, 0.9, 100))
    result = reliability(labels, probabilities)
    assert result.count.sum() == 100
    assert result.count[0] == 80
    order = np.random.default_rng(1).permutation(100)
    assert reliability(labels[order], probabilities[order]).ece == pytest.approx(result.ece)
    assert reliability(labels, np.full(100, 0.5)).count.tolist() == [100]


def test_the_bias_of_coin_tosses() -> None:
    """Of two tosses at 1/2 the number of heads is on average half of one away from 1; of ten, 1.230 from 5."""
    for rows, distance in ((2, 0.5), (10, 1.23046875)):
        labels = np.arange(rows) % 2
        assert reliability(labels.astype(np.uint8), np.full(rows, 0.5)).bias == pytest.approx(distance / rows)


@pytest.mark.parametrize("rows", [999, 1000, 5001])
def test_the_bias_of_many_images_of_one_probability(rows: int) -> None:
    """Their number of class 1 is binomial."""
    numbers = np.arange(rows + 1)
    distance = binom.pmf(numbers, rows, 0.3) @ abs(numbers - 0.3 * rows)
    bias = reliability((np.arange(rows) % 2).astype(np.uint8), np.full(rows, 0.3)).bias
    assert bias == pytest.approx(distance / rows, rel=1e-9)


def test_the_bias_is_the_mean_over_all_that_can_happen() -> None:
    _, probabilities = sample(10)
    outcomes = np.array(list(itertools.product([0, 1], repeat=10)), np.uint8)
    chances = np.where(outcomes == 1, probabilities, 1 - probabilities).prod(axis=1)
    errors = [reliability(labels, probabilities, bins=3).ece for labels in outcomes]
    assert reliability(outcomes[0], probabilities, bins=3).bias == pytest.approx(chances @ errors)


@pytest.mark.parametrize("spread", [0.5, 2.0, 6.0])
def test_the_bias_is_what_a_calibrated_model_shows(spread: float) -> None:
    generator = np.random.default_rng(4)
    probabilities = expit(generator.normal(0.8, spread, 305))
    drawn = (generator.random((400, 305)) < probabilities).astype(np.uint8)
    shown = np.mean([reliability(labels, probabilities).ece for labels in drawn])
    bias = reliability(drawn[0], probabilities).bias
    assert 0.005 < bias < 0.08
    assert bias == pytest.approx(shown, rel=0.05)


def test_the_interval_of_the_error() -> None:
    """The lower end leaves what chance may have added out, and is 0 where that may be all of it."""
    calibrated, sure = (ece_interval(*sample(305, sureness)) for sureness in (1.0, 3.0))
    assert calibrated.value == pytest.approx(reliability(*sample(305)).ece)
    assert 0 == calibrated.low < calibrated.value < calibrated.high < 0.15
    assert 0.03 < sure.low < sure.value < sure.high < 0.2
    assert sure == ece_interval(*sample(305, 3.0))
    labels, probabilities = sample(305, 3.0)
    patients = np.arange(305) // 3
    whole = ece_interval(np.repeat(labels, 3), np.repeat(probabilities, 3), np.repeat(np.arange(305), 3))
    assert (whole.low, whole.high) == pytest.approx((sure.low, sure.high), abs=0.006)
    assert ece_interval(labels, probabilities, patients) != sure


@pytest.mark.parametrize("sureness", [1.0, 1.3, 3.0])
def test_the_interval_of_the_error_covers(sureness: float) -> None:
    """The error of 200,000 rows."""
    truth = reliability(*sample(200_000, sureness, seed=1)).ece
    intervals = [ece_interval(*sample(305, sureness, seed)) for seed in range(40)]
    held = np.mean([interval.low <= truth <= interval.high for interval in intervals])
    assert held >= 0.95


# --- temperature ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sureness", [0.4, 1.0, 3.0])
def test_the_temperature_undoes_what_a_model_is_too_sure_of(sureness: float) -> None:
    labels, probabilities = sample(40_000, sureness)
    result = fit_temperature(labels, probabilities)
    assert result == pytest.approx(sureness, rel=0.03)
    honest = reliability(labels, apply_temperature(probabilities, result))
    assert honest.ece < 0.01
    assert (reliability(labels, probabilities).ece > 0.05) == (sureness != 1.0)


def test_the_temperature_is_a_logistic_regression_of_one_weight() -> None:
    labels, probabilities = sample(300, 2.0)
    regression = LogisticRegression(C=np.inf, fit_intercept=False, tol=1e-10)
    weight = regression.fit(logit(probabilities)[:, None], labels).coef_[0, 0]
    assert fit_temperature(labels, probabilities) == pytest.approx(1 / weight, rel=1e-5)


def test_without_an_error_the_temperature_is_the_smallest() -> None:
    labels = np.array([0, 0, 1, 1], np.uint8)
    assert fit_temperature(labels, np.array([0.2, 0.4, 0.6, 0.7])) == pytest.approx(TEMPERATURES[0], rel=1e-3)
    assert fit_temperature(labels, np.array([0.7, 0.6, 0.4, 0.2])) == pytest.approx(TEMPERATURES[1], rel=1e-3)


def test_a_temperature_leaves_the_order_and_the_middle() -> None:
    probabilities = np.array([0.0, 0.1, 0.5, 0.8, 1.0])
    result = apply_temperature(probabilities, 2.0)
    assert (np.diff(result) > 0).all()
    assert result[2] == 0.5
    assert result[3] == pytest.approx(2 / 3)  # odds of 4 become 2
    assert apply_temperature(probabilities, 1.0) == pytest.approx(probabilities, abs=1e-14)


def test_each_row_is_calibrated_by_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    labels, probabilities = sample(60)
    seen: list[set[float]] = []

    def watched(some: np.ndarray, of_them: np.ndarray) -> float:
        seen.append(set(of_them))
        return float(len(seen))

    monkeypatch.setattr(calibration, "fit_temperature", watched)
    result = crossfit_calibrated(labels, probabilities, 5, 3)
    folds = list(crossfit_folds(labels, 5, 3))
    assert len(seen) == 5
    for number, (_, judged) in enumerate(folds, 1):
        assert not seen[number - 1] & set(probabilities[judged])
        assert (result[judged] == apply_temperature(probabilities[judged], float(number))).all()


# --- scores --------------------------------------------------------------------------------------------------------


def test_scores_are_scikit_learn_s() -> None:
    labels, probabilities = sample()
    assert log_loss(labels, probabilities) == pytest.approx(sklearn_log_loss(labels, probabilities))
    assert brier(labels, probabilities) == pytest.approx(brier_score_loss(labels, probabilities))


def test_a_certain_mistake_has_a_loss_that_is_a_number() -> None:
    labels, probabilities = np.array([0, 1], np.uint8), np.array([1.0, 0.0])
    assert log_loss(labels, probabilities) == pytest.approx(-np.log(1e-15), rel=1e-2)
    assert brier(labels, probabilities) == 1.0


def test_what_every_run_logs() -> None:
    labels, probabilities = sample(305, 3.0)
    result = calibration_metrics(labels, probabilities, EvaluationConfig(), 7)
    calibrated = crossfit_calibrated(labels, probabilities, 5, 7)
    plain, after = reliability(labels, probabilities), reliability(labels, calibrated)
    assert result == {
        "temperature": fit_temperature(labels, probabilities),
        "val_ece": plain.ece,
        "val_ece_bias": plain.bias,
        "val_brier": brier(labels, probabilities),
        "val_log_loss": log_loss(labels, probabilities),
        "val_ece_calibrated": after.ece,
        "val_ece_bias_calibrated": after.bias,
        "val_brier_calibrated": brier(labels, calibrated),
        "val_log_loss_calibrated": log_loss(labels, calibrated),
    }
    assert result["val_log_loss_calibrated"] < result["val_log_loss"]
    assert result["val_ece_calibrated"] < result["val_ece"]


def test_cross_fitted_scores_are_not_of_the_rows_that_chose_the_temperature() -> None:
    """Twenty rows of a calibrated model: fitted on themselves they seem better than they are, on others worse."""
    fitted, honest, truth = [], [], []
    for seed in range(300):
        labels, probabilities = sample(20, 1.0, seed)
        truth.append(log_loss(labels, probabilities))
        fitted.append(log_loss(labels, apply_temperature(probabilities, fit_temperature(labels, probabilities))))
        honest.append(log_loss(labels, crossfit_calibrated(labels, probabilities, 5, seed)))
    assert np.mean(fitted) < np.mean(truth) - 0.01
    assert np.mean(honest) > np.mean(truth)


def test_the_growth_of_the_ece_is_at_most_the_mean_change() -> None:
    generator = np.random.default_rng(3)
    labels = generator.integers(0, 2, 102).astype(np.uint8)
    before = 0.5 + 0.001 * generator.random(102)  # all alike: any change moves images to other bins
    after = before + generator.normal(0, 1e-3, 102)
    assert abs(calibration.ece_growth(labels, before, after)) <= np.abs(after - before).mean()
    assert calibration.ece_growth(labels, before, before) == 0
    certain = np.where(labels == 1, 0.9, 0.1)
    assert calibration.ece_growth(labels, certain, 1 - certain) == pytest.approx(0.9 - 0.1)
