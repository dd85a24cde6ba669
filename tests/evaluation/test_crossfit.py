"""All choices on the other folds: what one rule would do, and what many equal epochs pretend to."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import norm
from sklearn.model_selection import KFold, StratifiedKFold

from mobilenet_chest.config import EvaluationConfig
from mobilenet_chest.evaluation.crossfit import (
    choose_epoch,
    crossfit_accuracy,
    crossfit_all_accuracy,
    crossfit_folds,
    epoch_values,
)
from mobilenet_chest.evaluation.metrics import epoch_metrics
from mobilenet_chest.evaluation.predictions import Predictions
from mobilenet_chest.evaluation.thresholds import accuracy_at, choose_threshold

METRICS = ("val_loss", "val_accuracy", "val_auc")


def sample(epochs: int, rows: int, seed: int = 3) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    labels = (generator.random(rows) < 0.6).astype(np.uint8)
    return labels, np.round(generator.normal(labels * 1.2 - 0.4, 1.0, (epochs, rows)), 1)  # rounded: there are ties


def predictions(labels: np.ndarray, plain: np.ndarray, tta: np.ndarray) -> Predictions:
    return Predictions(np.arange(len(labels)), labels, plain, tta)


def arrays(pairs: list[tuple[int, float]]) -> tuple[np.ndarray, np.ndarray]:
    """Labels and probabilities of pairs."""
    return np.array([label for label, _ in pairs], np.uint8), np.array([p for _, p in pairs], np.float64)


def test_crossfit_by_hand() -> None:
    """Class sizes below the folds, so four folds of one row each: thresholds .3, .3, .7, .3 and two rows right."""
    labels, probabilities = arrays([(0, 0.2), (0, 0.6), (1, 0.4), (1, 0.9)])
    config = EvaluationConfig(threshold_low=0.3, threshold_high=0.7, threshold_step=0.1, folds=10)
    assert accuracy_at(labels, probabilities, choose_threshold(labels, probabilities, config)) == 0.75
    assert [crossfit_accuracy(labels, probabilities, config, seed) for seed in range(3)] == [0.5] * 3


def test_crossfit_of_separated_classes_is_perfect() -> None:
    labels, probabilities = arrays([(0, 0.1)] * 6 + [(1, 0.9)] * 9)
    assert crossfit_accuracy(labels, probabilities, EvaluationConfig(), 1) == 1.0


def test_crossfit_repeats_with_its_seed_and_promises_less_on_noise() -> None:
    generator = np.random.default_rng(3)
    labels = np.tile(np.array([0, 1], np.uint8), 100)
    apparent, honest = [], []
    for seed in range(20):
        noise = generator.uniform(0.3, 0.7, 200)
        apparent.append(accuracy_at(labels, noise, choose_threshold(labels, noise, EvaluationConfig())))
        honest.append(crossfit_accuracy(labels, noise, EvaluationConfig(), seed))
        assert honest[-1] == crossfit_accuracy(labels, noise, EvaluationConfig(), seed)
    assert min(apparent) >= 0.5
    assert np.mean(apparent) > 0.53
    assert abs(np.mean(honest) - 0.5) < 0.02


@pytest.mark.parametrize("seed", [0, 7])
@pytest.mark.parametrize(("zeros", "ones", "folds"), [(24, 16, 5), (150, 155, 5), (7, 31, 7), (3, 30, 5), (0, 9, 4)])
def test_folds_are_those_of_sklearn(zeros: int, ones: int, folds: int, seed: int) -> None:
    """Also where the first row is of class 1, and where a class has fewer rows than there are folds."""
    for labels in (np.repeat([0, 1], (zeros, ones)), np.resize([1, 0, 1], zeros + ones)):
        kind = StratifiedKFold if np.bincount(labels, minlength=2).min() >= folds else KFold
        expected = kind(folds, shuffle=True, random_state=seed).split(labels[:, None], labels)
        for mine, theirs in zip(crossfit_folds(labels.astype(np.uint8), folds, seed), expected, strict=True):
            assert [rows.tolist() for rows in mine] == [rows.tolist() for rows in theirs]


def test_folds_hold_every_row_out_once_and_both_classes() -> None:
    labels = (np.arange(40) % 4 == 0).astype(np.uint8)
    folds = list(crossfit_folds(labels, 5, 3))
    assert sorted(np.concatenate([judged for _, judged in folds]).tolist()) == list(range(40))
    for fitting, judged in folds:
        assert not set(fitting.tolist()) & set(judged.tolist())
        assert labels[judged].sum() == 2


@pytest.mark.parametrize("metric", METRICS)
def test_values_of_epochs_are_those_of_each_epoch(metric: str) -> None:
    labels, logits = sample(7, 50)
    assert epoch_values(labels, logits, metric) == pytest.approx(
        [epoch_metrics(labels, row)[metric] for row in logits], rel=1e-12
    )


def test_rows_of_one_class_have_no_auc() -> None:
    assert np.isnan(epoch_values(np.ones(4, np.uint8), np.zeros((3, 4)), "val_auc")).all()


@pytest.mark.parametrize(
    ("values", "stages", "metric", "epoch"),
    [
        ([0.5, 0.8, 0.8, 0.7], [1, 1, 1, 1], "val_auc", 2),  # the first of equals
        ([0.5, 0.8, 0.7, 0.8], [1, 1, 2, 2], "val_accuracy", 4),  # stage 2's of equal stages
        ([0.5, 0.9, 0.7, 0.8], [1, 1, 2, 2], "val_accuracy", 2),
        ([0.5, 0.3, 0.3, 0.4], [1, 1, 2, 2], "val_loss", 3),
        ([np.nan, 0.3, np.nan], [1, 1, 2], "val_loss", 2),
        ([np.nan, np.nan, np.nan], [1, 2, 2], "val_auc", 2),
        ([0.1 + 0.2, 0.3], [1, 1], "val_loss", 1),  # 0.30000000000000004
    ],
)
def test_the_epoch_that_a_training_keeps(values: list[float], stages: list[int], metric: str, epoch: int) -> None:
    assert choose_epoch(np.array(values), stages, metric) == epoch


def test_one_epoch_without_a_mirror_leaves_the_threshold() -> None:
    labels, logits = sample(1, 80)
    plain = expit(logits[0])
    config = EvaluationConfig()
    result = crossfit_all_accuracy(predictions(labels, plain, plain), logits, [2], 1, config, 9)
    assert result == crossfit_accuracy(labels, plain, config, 9)


def test_tta_is_used_where_the_other_folds_gain_by_it() -> None:
    labels, logits = sample(1, 80)
    plain, perfect = expit(logits[0]), np.where(labels == 1, 0.9, 0.1)
    config = EvaluationConfig()
    assert crossfit_all_accuracy(predictions(labels, plain, perfect), logits, [2], 1, config, 9) == 1.0
    # and left where they lose by it
    result = crossfit_all_accuracy(predictions(labels, plain, 1 - perfect), logits, [2], 1, config, 9)
    assert result == crossfit_accuracy(labels, plain, config, 9)
    # equal on the other folds: with TTA, as the run itself
    half = np.where(labels == 1, 0.8, 0.2)
    half[:1] = perfect[:1]
    assert crossfit_all_accuracy(predictions(labels, perfect, half), logits * 0, [2], 1, config, 9) == 1.0


@pytest.mark.parametrize("metric", METRICS)
def test_a_clearly_better_epoch_is_every_fold_s(metric: str) -> None:
    labels, logits = sample(4, 80)
    logits[2] = np.where(labels == 1, 3.0, -3.0)
    plain = expit(logits[2])
    config = EvaluationConfig(metric=metric)
    assert crossfit_all_accuracy(predictions(labels, plain, plain), logits, [1, 1, 2, 2], 3, config, 9) == 1.0


def test_each_fold_takes_its_own_epoch_without_tta_where_it_is_not_the_run_s() -> None:
    labels, logits = sample(4, 80)
    logits[0] = np.where(labels == 1, 3.0, -3.0)
    wrong = np.where(labels == 1, 0.1, 0.9)
    # the probabilities are those of epoch 4, which no fold chooses
    result = crossfit_all_accuracy(predictions(labels, wrong, wrong), logits, [1, 1, 2, 2], 4, EvaluationConfig(), 9)
    assert result == 1.0


@pytest.mark.parametrize("rows", [2, 3, 7])
@pytest.mark.parametrize("metric", METRICS)
def test_a_handful_of_rows(rows: int, metric: str) -> None:
    labels = np.array([0] * (rows - 1) + [1], np.uint8)
    logits = np.random.default_rng(2).normal(size=(3, rows))
    plain = expit(logits[1])
    config = EvaluationConfig(metric=metric)
    result = crossfit_all_accuracy(predictions(labels, plain, plain), logits, [1, 2, 2], 2, config, 1)
    assert result * rows == pytest.approx(round(result * rows))


@pytest.mark.parametrize(("metric", "draws"), [("val_accuracy", 150), ("val_auc", 60)])
def test_equal_epochs_do_not_look_better_than_they_are(metric: str, draws: int) -> None:
    """Thirty epochs that differ by noise alone, and TTA that is no better: the best of all is 4 points too good."""
    generator = np.random.default_rng(11)
    config, rows, epochs = EvaluationConfig(metric=metric), 305, 30
    labels = (np.arange(rows) >= 97).astype(np.uint8)
    apparent, honest = [], []
    for seed in range(draws):
        logits = generator.normal(np.where(labels == 1, 1.0, -1.0), 1.0, (epochs, rows))
        best = choose_epoch(epoch_values(labels, logits, metric), [2] * epochs, metric)
        plain, tta = expit(logits[best - 1]), expit(generator.normal(np.where(labels == 1, 1.0, -1.0), 1.0, rows))
        column, threshold = max(
            ((column, choose_threshold(labels, column, config)) for column in (tta, plain)),
            key=lambda choice: accuracy_at(labels, *choice),
        )
        # what that rule does on all images there are
        logit = np.log(threshold / (1 - threshold))
        truth = (97 * norm.cdf(logit, -1) + 208 * norm.sf(logit, 1)) / rows
        apparent.append(accuracy_at(labels, column, threshold) - truth)
        honest.append(
            crossfit_all_accuracy(predictions(labels, plain, tta), logits, [2] * epochs, best, config, seed) - truth
        )
    assert 0.04 < np.mean(apparent) < 0.05
    assert -0.004 < np.mean(honest) < 0.001  # standard errors 0.001 and 0.0015
