"""Two models on the same images: the right test of the right predictions, and what is said of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mobilenet_chest.config import EvaluationConfig
from mobilenet_chest.evaluation.bootstrap import bootstrap_difference
from mobilenet_chest.evaluation.calibration import log_loss
from mobilenet_chest.evaluation.delong import auc_difference
from mobilenet_chest.evaluation.paired import compare_with_baseline, indistinguishable, paired_difference
from mobilenet_chest.evaluation.predictions import Predictions
from mobilenet_chest.evaluation.run_predictions import RunPredictions
from mobilenet_chest.evaluation.significance import holm, mcnemar

GENERATOR = np.random.default_rng(7)
LABELS = np.repeat(np.array([0, 1], np.uint8), (200, 105))
SIGNAL = GENERATOR.normal(2.2 * LABELS, 1)


def scored(scores: np.ndarray, tta: np.ndarray | None = None, **metrics: float) -> RunPredictions:
    tta = scores if tta is None else tta
    predicted = Predictions(np.arange(len(LABELS)), LABELS, 1 / (1 + np.exp(1.1 - scores)), 1 / (1 + np.exp(1.1 - tta)))
    return RunPredictions(predicted, metrics, EvaluationConfig(), seed=3)


def noisy(amount: float) -> RunPredictions:
    return scored(SIGNAL + amount * GENERATOR.normal(size=len(LABELS)))


GOOD, ALIKE, BAD = noisy(0.2), noisy(0.2), noisy(2.0)


def test_aucs_are_told_apart_by_delong_and_accuracies_by_mcnemar() -> None:
    assert paired_difference("val_auc", GOOD, BAD) == auc_difference(
        LABELS, GOOD.predictions.probability, BAD.predictions.probability
    )
    good, bad = GOOD.correct("accuracy_crossfit"), BAD.correct("accuracy_crossfit")
    assert paired_difference("val_accuracy_crossfit", GOOD, BAD, 0.9) == mcnemar(good, bad, 0.9)


def test_any_other_metric_is_told_apart_by_the_paired_bootstrap() -> None:
    probabilities = [run.predictions.probability_tta for run in (BAD, GOOD)]
    expected = bootstrap_difference(LABELS, *probabilities, log_loss)
    result = paired_difference("val_log_loss", BAD, GOOD)
    assert vars(result) == pytest.approx(vars(expected))
    assert (result.low > 0, result.p < 0.01) == (True, True)
    with pytest.raises(KeyError, match="epoch_seconds"):
        paired_difference("val_epoch_seconds", BAD, GOOD)


@pytest.mark.parametrize("metric", ["val_loss", "val_brier", "val_log_loss"])
def test_of_a_loss_less_is_better(metric: str) -> None:
    (worse,), (better,) = compare_with_baseline(metric, GOOD, [BAD], 0.01), compare_with_baseline(metric, BAD, [GOOD])
    assert (worse.verdict, better.verdict) == ("worse", "better")
    assert worse.value == pytest.approx(-better.value)
    assert worse.value > 0
    assert worse.not_inferior is None  # a margin is one of AUC and accuracy


def test_sensitivity_is_of_the_images_of_its_class() -> None:
    run, other = (replace(each, metrics={"threshold": 0.5}) for each in (GOOD, BAD))
    right = [each.predictions.probability_tta[LABELS == 1] >= 0.5 for each in (run, other)]
    assert paired_difference("val_sensitivity", run, other) == mcnemar(*right)


def test_patients_with_several_images_are_drawn_whole() -> None:
    """Three copies of each image tell no more than the image does."""
    patient = np.repeat(np.arange(len(LABELS)), 3).astype(str)

    def thrice(run: RunPredictions, known: bool) -> RunPredictions:
        columns = (np.repeat(column, 3) for column in run.predictions.columns().values())
        return replace(run, predictions=Predictions(*columns, patient=patient if known else None))

    for metric in ("val_auc", "val_accuracy", "val_brier"):
        single = paired_difference(metric, BAD, GOOD)
        whole = paired_difference(metric, thrice(BAD, True), thrice(GOOD, True))
        apart = paired_difference(metric, thrice(BAD, False), thrice(GOOD, False))
        assert whole.value == pytest.approx(single.value)
        assert whole.high - whole.low == pytest.approx(single.high - single.low, rel=0.1)
        assert apart.high - apart.low == pytest.approx((single.high - single.low) / np.sqrt(3), rel=0.1)


@pytest.mark.parametrize("metric", ["val_auc", "val_accuracy_crossfit"])
def test_what_is_said(metric: str) -> None:
    worse, alike, itself = compare_with_baseline(metric, GOOD, [BAD, ALIKE, GOOD])
    assert (worse.verdict, alike.verdict, itself.verdict) == ("worse", "cannot tell", "cannot tell")
    assert worse.low < worse.value < worse.high < 0
    assert (itself.value, itself.p, itself.p_holm) == (0, 1, 1)
    assert worse.not_inferior is alike.not_inferior is None
    (better,) = compare_with_baseline(metric, BAD, [GOOD])
    assert (better.verdict, better.value, better.p) == ("better", -worse.value, worse.p)


def test_a_word_needs_test_and_interval() -> None:
    generator = np.random.default_rng(31)  # AUCs of 0.999 and 0.990: the test's normal approximation is too sure
    signal = generator.normal(4.2 * LABELS, 1)
    sharp, blurred = scored(signal), scored(signal + 0.8 * generator.normal(size=len(LABELS)))
    (comparison,) = compare_with_baseline("val_auc", blurred, [sharp])
    assert comparison.p_holm < 0.01
    assert comparison.low < 0 < comparison.value
    assert comparison.verdict == "cannot tell"
    assert indistinguishable("val_auc", sharp, [blurred]) == [True]


def test_p_is_holm_s_of_all_rows() -> None:
    others = [BAD, ALIKE, noisy(0.5), noisy(0.7)]
    result = compare_with_baseline("val_auc", GOOD, others)
    assert [comparison.p_holm for comparison in result] == holm([comparison.p for comparison in result])
    assert any(comparison.p_holm > comparison.p for comparison in result)


def test_not_inferior_is_what_the_interval_says_of_the_margin() -> None:
    (alone,) = compare_with_baseline("val_auc", GOOD, [ALIKE], 0.02)
    assert (alone.verdict, alone.not_inferior) == ("not inferior", True)
    low = paired_difference("val_auc", ALIKE, GOOD, 0.9).low
    assert compare_with_baseline("val_auc", GOOD, [ALIKE], -low + 1e-6)[0].not_inferior
    assert not compare_with_baseline("val_auc", GOOD, [ALIKE], -low - 1e-6)[0].not_inferior
    # three rows: each has a third of the 5 %
    low = paired_difference("val_auc", ALIKE, GOOD, 1 - 0.1 / 3).low
    result = compare_with_baseline("val_auc", GOOD, [ALIKE, BAD, BAD], -low - 1e-6)
    assert [(comparison.verdict, comparison.not_inferior) for comparison in result] == [
        ("cannot tell", False),
        *[("worse", False)] * 2,
    ]
    (better,) = compare_with_baseline("val_auc", BAD, [GOOD], 0.02)
    assert (better.verdict, better.not_inferior) == ("better", True)


def test_the_best_is_told_from_others_by_the_pairs_own_p() -> None:
    others = [ALIKE, noisy(0.4), noisy(0.6), noisy(0.9), noisy(1.2), BAD, GOOD]
    pairs = 8 * 7 / 2
    for metric in ("val_auc", "val_auc_tta", "val_accuracy"):
        result = [paired_difference(metric, GOOD, other) for other in others]
        expected = [difference.p * pairs >= 0.05 or difference.low <= 0 <= difference.high for difference in result]
        assert indistinguishable(metric, GOOD, others) == expected
        assert {True, False} == set(expected)


def test_a_class_with_one_image_tells_nothing() -> None:
    labels, score = np.array([0, 0, 0, 1], np.uint8), np.array([0.1, 0.2, 0.3, 0.9])
    good, bad = (
        RunPredictions(Predictions(np.arange(4), labels, values, values), {}, EvaluationConfig(), 1)
        for values in (score, score[::-1].copy())
    )
    assert indistinguishable("val_auc", good, [bad]) == [True]


def test_the_best_of_equal_models_is_told_from_hardly_any() -> None:
    """At most 5% of samples of 50 equal models may show one that is not tied; experiments/results/intervals.md."""
    generator = np.random.default_rng(1)
    said = 0
    samples = 60
    for _ in range(samples):
        signal = generator.normal(2.2 * LABELS, 1)
        models = [scored(signal + 0.5 * generator.normal(size=len(LABELS))) for _ in range(50)]
        best, *others = sorted(models, key=lambda run: -_auc(run))
        said += not all(indistinguishable("val_auc", best, others))
    assert said <= 0.05 * samples


def _auc(run: RunPredictions) -> float:
    score = run.predictions.probability
    return float((score[LABELS == 1][:, None] > score[LABELS == 0]).mean())
