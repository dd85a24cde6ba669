"""Metrics of stressed copies, computed by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mobilenet_chest.evaluation.stress import stress_metrics, stress_row

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
    row = stress_row(LABELS, np.array([-1.0, 2.0, 1.0, 3.0]), "jpeg", 3, "compression", True)
    assert (row["family"], row["corruption"], row["severity"], row["held_out"]) == ("compression", "jpeg", 3, True)
    assert (row["images"], row["auc"], row["accuracy"]) == (4, 0.75, 0.75)
    assert row["auc_low"] < 0.75 < row["auc_high"]
    assert row["accuracy_low"] == pytest.approx(0.3006, abs=1e-4)
