"""Metrics against sklearn, torch and counting."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from mobilenet_chest.config import EvaluationConfig
from mobilenet_chest.errors import UserError
from mobilenet_chest.evaluation.crossfit import crossfit_accuracy
from mobilenet_chest.evaluation.metrics import epoch_metrics, selection_metrics, split_metrics
from mobilenet_chest.evaluation.predictions import Predictions
from mobilenet_chest.evaluation.thresholds import accuracy_at, choose_threshold


def sample(seed: int = 5, rows: int = 60) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    labels = (generator.random(rows) < 0.6).astype(np.uint8)
    return labels, np.round(generator.normal(labels * 1.2 - 0.4, 1.0), 1)  # rounded, so that there are ties


def predictions(labels: np.ndarray, plain: np.ndarray, tta: np.ndarray) -> Predictions:
    return Predictions(np.arange(len(labels)), labels, plain, tta)


def test_metrics_of_an_epoch() -> None:
    labels, logits = sample()
    result = epoch_metrics(labels, logits)
    target = torch.from_numpy(labels).double()
    loss = torch.nn.functional.binary_cross_entropy_with_logits(torch.from_numpy(logits), target).item()
    above = [(p > n) + 0.5 * (p == n) for p in logits[labels == 1] for n in logits[labels == 0]]
    assert list(result) == ["val_loss", "val_accuracy", "val_auc"]
    assert result["val_loss"] == pytest.approx(loss, rel=1e-12)
    assert result["val_accuracy"] == ((logits >= 0) == labels).mean()
    assert result["val_auc"] == pytest.approx(roc_auc_score(labels, logits), abs=1e-12)
    assert result["val_auc"] == pytest.approx(np.mean(above), abs=1e-12)


def test_huge_logits_do_not_overflow() -> None:
    result = epoch_metrics(np.array([0, 1, 1], np.uint8), np.array([-1e4, 1e4, -1e4]))
    assert result["val_loss"] == pytest.approx(1e4 / 3)
    assert result["val_accuracy"] == pytest.approx(2 / 3)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_logits_that_are_no_numbers(bad: float) -> None:
    result = epoch_metrics(np.array([0, 1], np.uint8), np.array([0.5, bad]))
    assert all(np.isnan(value) for value in result.values())


def test_metrics_by_hand() -> None:
    labels = np.array([0, 0, 0, 1, 1, 1, 1], np.uint8)
    plain = np.array([0.1, 0.45, 0.8, 0.42, 0.48, 0.9, 0.95])
    tta = np.array([0.2, 0.55, 0.57, 0.50, 0.62, 0.9, 0.10])
    result = selection_metrics(predictions(labels, plain, tta), EvaluationConfig(folds=3), seed=1)
    # with TTA .58 to .62 are best: 5 and 6 of the rows are right from .58 on but for the last and .50
    assert result["threshold"] == 0.6
    assert result["val_accuracy"] == pytest.approx(4 / 7)
    assert result["val_accuracy_tta"] == pytest.approx(4 / 7)
    assert result["val_accuracy_tta_threshold"] == pytest.approx(5 / 7)
    assert result["val_sensitivity"] == 0.5
    assert result["val_specificity"] == 1.0
    # plain: .30 to .42 keep all of class 1, of class 0 one is right
    assert result["threshold_plain"] == 0.36
    assert result["val_accuracy_threshold"] == pytest.approx(5 / 7)
    assert result["val_auc"] == pytest.approx(9 / 12)
    assert result["val_auc_tta"] == pytest.approx(7 / 12)


def test_metrics_of_selection_fit_together() -> None:
    config = EvaluationConfig()
    labels, logits = sample()
    plain = 1 / (1 + np.exp(-logits))
    tta = (plain + 1 / (1 + np.exp(-sample(5)[1] + 0.3))) / 2
    result = selection_metrics(predictions(labels, plain, tta), config, seed=9)
    assert result["threshold"] == choose_threshold(labels, tta, config)
    assert result["threshold_plain"] == choose_threshold(labels, plain, config)
    assert result["val_accuracy_crossfit"] == crossfit_accuracy(labels, tta, config, 9)
    assert result["val_auc"] == pytest.approx(roc_auc_score(labels, plain))
    assert result["val_auc_tta"] == pytest.approx(roc_auc_score(labels, tta))
    share = labels.mean()
    total = share * result["val_sensitivity"] + (1 - share) * result["val_specificity"]
    assert result["val_accuracy_tta_threshold"] == pytest.approx(total)
    assert result["val_accuracy_tta_threshold"] >= result["val_accuracy_tta"]


def test_metrics_of_a_split_choose_nothing() -> None:
    labels, logits = sample()
    plain = 1 / (1 + np.exp(-logits))
    tta = plain[::-1].copy()
    result = split_metrics("test", predictions(labels, plain, tta), 0.37)
    assert result == {
        "test_accuracy": accuracy_at(labels, plain, 0.5),
        "test_accuracy_tta": accuracy_at(labels, tta, 0.5),
        "test_accuracy_tta_threshold": accuracy_at(labels, tta, 0.37),
        "test_auc": roc_auc_score(labels, plain),
        "test_auc_tta": roc_auc_score(labels, tta),
        "test_sensitivity": (tta >= 0.37)[labels == 1].mean(),
        "test_specificity": (tta < 0.37)[labels == 0].mean(),
    }


def test_a_threshold_of_stressed_copies_is_given_or_refused() -> None:
    labels, tta = np.array([0, 0, 1, 1], np.uint8), np.array([0.2, 0.45, 0.55, 0.8])
    config = EvaluationConfig.model_validate({"folds": 2, "stress": {}, "threshold_on": "stress"})
    result = selection_metrics(predictions(labels, tta, tta), config, 1, threshold=0.6)
    assert (result["threshold"], result["val_accuracy_tta_threshold"], result["val_sensitivity"]) == (0.6, 0.75, 0.5)
    with pytest.raises(UserError, match="threshold_on"):
        selection_metrics(predictions(labels, tta, tta), config, 1)
