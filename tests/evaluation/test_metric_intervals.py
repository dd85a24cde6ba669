"""Which metrics have an interval, and that it is the right one of the right images."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from helpers.oracles import rank_auc

from mobilenet_chest.config import EvaluationConfig
from mobilenet_chest.evaluation.bootstrap import bootstrap, bootstrap_difference
from mobilenet_chest.evaluation.calibration import brier, calibration_metrics, ece_interval
from mobilenet_chest.evaluation.delong import auc_interval
from mobilenet_chest.evaluation.intervals import wilson
from mobilenet_chest.evaluation.metric_intervals import metric_intervals, tta_gain
from mobilenet_chest.evaluation.metrics import selection_metrics, split_metrics
from mobilenet_chest.evaluation.predictions import Predictions
from mobilenet_chest.evaluation.run_predictions import RunPredictions
from mobilenet_chest.evaluation.significance import mcnemar

LABELS = np.array([1, 1, 1, 1, 0, 0, 0, 0, 0, 0], np.uint8)
PLAIN = np.array([0.9, 0.8, 0.7, 0.2, 0.1, 0.2, 0.3, 0.4, 0.6, 0.75])
TTA = np.array([0.9, 0.8, 0.7, 0.65, 0.1, 0.2, 0.3, 0.4, 0.6, 0.75])
CONFIG = EvaluationConfig()
SMALL = RunPredictions(Predictions(np.arange(10), LABELS, PLAIN, TTA), {}, CONFIG, 1)

MANY = np.repeat(np.array([0, 1], np.uint8), (40, 80))
SCORES = np.random.default_rng(5).normal(1.4 * MANY - 0.5, 1, (2, 120))
PROBABILITIES = 1 / (1 + np.exp(-SCORES))
PREDICTED = Predictions(np.arange(120), MANY, *PROBABILITIES)
METRICS = selection_metrics(PREDICTED, CONFIG, 1)
LARGE = RunPredictions(PREDICTED, METRICS, CONFIG, 1)


def test_shares_have_wilson_s_interval_of_the_images_they_are_shares_of() -> None:
    metrics = {"val_accuracy": 0.7, "val_accuracy_crossfit": 0.9, "val_sensitivity": 0.75, "val_specificity": 5 / 6}
    assert metric_intervals("val", metrics, SMALL) == {
        "val_accuracy": wilson(7, 10),
        "val_accuracy_crossfit": wilson(9, 10),
        "val_sensitivity": wilson(3, 4),
        "val_specificity": wilson(5, 6),
    }


def test_aucs_have_delong_s_of_their_own_probabilities() -> None:
    # of 24 pairs: .9 and .8 above all six, .7 above five, .2 above one and level with one; with TTA .65 above five
    metrics = {"test_auc": (6 + 6 + 5 + 1.5) / 24, "test_auc_tta": (6 + 6 + 5 + 5) / 24}
    result = metric_intervals("test", metrics, SMALL)
    assert result == {"test_auc": auc_interval(LABELS, PLAIN), "test_auc_tta": auc_interval(LABELS, TTA)}


def test_every_other_metric_has_the_stratified_bootstrap_s() -> None:
    result = metric_intervals("val", METRICS, LARGE)
    assert set(METRICS) - set(result) == {
        "threshold", "threshold_plain", "temperature", "val_ece_bias", "val_ece_bias_calibrated",
        *(name for name in METRICS if "_at_" in name),
    }  # fmt: skip
    expected = bootstrap(MANY, PROBABILITIES[1], brier)
    assert [result["val_brier"].low, result["val_brier"].high] == pytest.approx([expected.low, expected.high])
    assert result["val_ece"] == ece_interval(MANY, PROBABILITIES[1])
    for name in ("val_log_loss", "val_brier_calibrated", "val_log_loss_calibrated", "val_ece_calibrated"):
        assert result[name].low < METRICS[name] < result[name].high


def test_metrics_of_other_images_have_none() -> None:
    """Of other predictions, and of another split: a sensitivity of 1 would fit any number of images."""
    assert metric_intervals("val", {"val_auc": 0.9, "val_accuracy": 0.71, "val_loss": 9.0}, SMALL) == {}
    assert metric_intervals("val", {"test_sensitivity": 1.0, "test_accuracy": 0.5}, SMALL) == {}


def test_what_is_no_metric_of_images_has_none() -> None:
    others = {"threshold": 0.5, "val_seconds": 0.3, "stage1_best_val_accuracy": 0.9, "val_accuracy": math.nan, "auc": 1}
    assert metric_intervals("val", others, SMALL) == {}


def test_means_over_folds_have_their_own() -> None:
    fold = np.arange(120) % 3
    of_fold = [selection_metrics(Predictions(*(column[fold == k] for column in vars(PREDICTED).values()
                                               if column is not None)), CONFIG, 1) for k in range(3)]  # fmt: skip
    means = {name: float(np.mean([metrics[name] for metrics in of_fold])) for name in of_fold[0]}
    result = metric_intervals("val", means, replace(LARGE, predictions=replace(PREDICTED, fold=fold)))
    pooled = metric_intervals("val", METRICS, LARGE)
    for name in ("val_auc", "val_auc_tta", "val_accuracy", "val_brier", "val_log_loss"):
        assert result[name].value == pytest.approx(means[name])
        assert result[name].low < means[name] < result[name].high
        width, pooled_width = result[name].high - result[name].low, pooled[name].high - pooled[name].low
        assert width == pytest.approx(pooled_width, rel=0.2)
    # a threshold of each fold: all that is known is the share
    n = 120
    count = means["val_accuracy_tta_threshold"] * n
    ends = result["val_accuracy_tta_threshold"]
    assert wilson(math.floor(count), n).low <= ends.low < ends.high <= wilson(math.ceil(count), n).high


class TestPatients:
    PATIENTS = np.repeat(np.arange(40), 3).astype(str)
    WHOLE = replace(LARGE, predictions=replace(PREDICTED, patient=PATIENTS))

    def test_are_drawn_whole_for_every_metric(self) -> None:
        metrics = split_metrics("test", PREDICTED, METRICS["threshold"])
        result = metric_intervals("test", metrics, self.WHOLE)
        assert {name: interval.value for name, interval in result.items()} == pytest.approx(metrics)
        assert result["test_auc"] == bootstrap(MANY, PROBABILITIES[0], rank_auc, groups=self.PATIENTS)
        right = ((PROBABILITIES[1] >= 0.5) == (MANY == 1)).astype(float)
        expected = bootstrap(MANY, right, lambda _, of_rows: float(of_rows.mean()), groups=self.PATIENTS)
        assert result["test_accuracy_tta"] == expected

    def test_of_one_image_each_are_images(self) -> None:
        alone = replace(LARGE, predictions=replace(PREDICTED, patient=np.arange(120).astype(str)))
        assert metric_intervals("val", METRICS, alone) == metric_intervals("val", METRICS, LARGE)

    def test_a_perfect_metric_is_as_sure_as_their_number(self) -> None:
        """A sensitivity of 1 of 80 images of 27 people: Wilson's of 27, not of 80."""
        perfect = np.where(MANY == 1, 0.9, PROBABILITIES[1])
        predicted = Predictions(np.arange(120), MANY, perfect, perfect, self.PATIENTS)
        run = RunPredictions(predicted, {"threshold": 0.5}, CONFIG, 1)
        people = len(set(self.PATIENTS[40:]))
        assert metric_intervals("val", {"val_sensitivity": 1.0}, run)["val_sensitivity"] == wilson(people, people)

    def test_what_cannot_be_drawn_has_none(self) -> None:
        """Accuracies by thresholds that the predictions do not tell."""
        assert metric_intervals("val", {"val_accuracy_crossfit_all": 0.8}, self.WHOLE) == {}

    def test_losses_and_errors_too(self) -> None:
        scores = calibration_metrics(MANY, PROBABILITIES[1], CONFIG, 1)
        result, alone = (metric_intervals("val", scores, run) for run in (self.WHOLE, LARGE))
        assert result.keys() == alone.keys()
        assert all(result[name] != alone[name] for name in result)


def test_what_tta_gains_is_a_difference_on_the_same_images() -> None:
    right = [(column >= 0.5) == (MANY == 1) for column in PROBABILITIES]
    expected = mcnemar(right[1], right[0])
    result = tta_gain(LARGE)
    assert (result.value, result.low, result.high) == (expected.value, expected.low, expected.high)
    drawn = bootstrap_difference(
        MANY, right[1].astype(float), right[0].astype(float), lambda _, of_rows: float(of_rows.mean()),
        groups=TestPatients.PATIENTS,
    )  # fmt: skip
    result = tta_gain(TestPatients.WHOLE)
    assert (result.low, result.high) == pytest.approx((drawn.low, drawn.high))
