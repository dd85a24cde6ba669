"""Metrics of stressed copies, computed by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mobilenet_chest.evaluation.conformal import conformal_result, conformal_rule
from mobilenet_chest.evaluation.stress import promise_under_stress, stress_metrics, stress_row

LABELS = np.array([0, 0, 1, 1], np.uint8)
CLEAN = np.array([-2.0, -1.0, 1.0, 2.0])


def test_mean_worst_and_loss() -> None:
    logits = np.array([[-2.0, -1.0, 1.0, 2.0], [-1.0, 2.0, 1.0, 3.0]])  # AUC 1 and 3/4, accuracy 1 and 3/4
    assert stress_metrics("stress", LABELS, logits, CLEAN) == {
        "stress_auc_mean": 0.875,
        "stress_auc_worst": 0.75,
        "stress_accuracy_mean": 0.875,
        "stress_auc_loss": 0.125,
        "stress_accuracy_loss": 0.125,
    }


def test_a_diverged_network_has_no_metrics() -> None:
    metrics = stress_metrics("heldout_stress", LABELS, np.array([[0.0, 1.0, math.nan, 2.0]]), CLEAN)
    assert len(metrics) == 5
    assert all(name.startswith("heldout_stress_") and math.isnan(value) for name, value in metrics.items())


def test_a_row_of_the_table() -> None:
    row = stress_row(LABELS, np.array([-1.0, 2.0, 1.0, 3.0]), CLEAN, "jpeg", 3, "compression", True)
    assert "promised" not in row  # four images promise nothing
    assert (row["family"], row["corruption"], row["severity"], row["held_out"]) == ("compression", "jpeg", 3, True)
    assert (row["images"], row["auc"], row["accuracy"]) == (4, 0.75, 0.75)
    assert row["auc_low"] < 0.75 < row["auc_high"]
    assert row["accuracy_low"] == pytest.approx(0.3006, abs=1e-4)


def test_what_becomes_of_abstention_is_what_the_clean_rule_gives() -> None:
    labels = np.repeat(np.array([0, 1], np.uint8), 100)
    clean = np.random.default_rng(0).normal(size=200) * 2 + np.where(labels == 1, 2.0, -2.0)
    row = promise_under_stress(labels, clean + 2, clean)
    result = conformal_result(conformal_rule(labels, clean, 0.05), labels, clean + 2)
    assert row["promised"] == 0.95
    for label in (0, 1):
        ends = [row[f"kept_{label}{end}"] for end in ("", "_low", "_high")]
        share = result.covered[label]
        assert ends == [share.value, share.low, share.high]
    assert row["kept_0_high"] < 0.95 < row["kept_1"]  # brighter films: class 0 loses its promise
    assert row["referred"] == pytest.approx(result.both.value + result.none.value)
    assert (row["errors"], row["errors_low"]) == (result.errors.value, result.errors.low)


def test_the_promise_is_kept_on_the_images_that_it_was_made_from() -> None:
    labels = np.repeat(np.array([0, 1], np.uint8), 40)
    clean = np.random.default_rng(1).normal(size=80)
    row = promise_under_stress(labels, clean, clean)
    assert min(row["kept_0"], row["kept_1"]) >= 0.95
    assert promise_under_stress(labels[22:], clean[22:], clean[22:]) == {}  # 18 images of class 0
