"""Metrics of stressed copies, relative to the clean images, and the table of all corruptions and severities."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mobilenet_chest.evaluation.auc import auc
from mobilenet_chest.evaluation.delong import auc_interval
from mobilenet_chest.evaluation.intervals import wilson
from mobilenet_chest.evaluation.predictions import Labels


def stress_metrics(
    prefix: str, labels: Labels, logits: NDArray[np.float64], clean: NDArray[np.float64]
) -> dict[str, float]:  # fmt: skip
    """Return the mean and the worst AUC over families, the mean accuracy at 0.5, and what was lost to the clean images.

    If a logit is NaN or infinite, all are NaN.

    Args:
        prefix: ``stress`` or ``heldout_stress``.
        labels: uint8 (n,).
        logits: (families, n), without TTA.
        clean: (n,), of the images without stress.
    """
    names = [f"{prefix}_{name}" for name in ("auc_mean", "auc_worst", "accuracy_mean", "auc_loss", "accuracy_loss")]
    if not (np.isfinite(logits).all() and np.isfinite(clean).all()):
        return dict.fromkeys(names, float("nan"))
    aucs = [auc(labels, row) for row in logits]
    accuracy, clean_accuracy = (float(((rows >= 0) == (labels == 1)).mean()) for rows in (logits, clean))
    mean = float(np.mean(aucs))
    return dict(zip(names, (mean, min(aucs), accuracy, auc(labels, clean) - mean, clean_accuracy - accuracy),
                    strict=True))  # fmt: skip


def stress_row(
    labels: Labels, logits: NDArray[np.float64], corruption: str, severity: int, family: str, held_out: bool
) -> dict[str, Any]:
    """Return a row of the table: AUC and accuracy at 0.5 with 95% intervals (DeLong, Wilson).

    Args:
        labels: uint8 (n,).
        logits: (n,), without TTA.
        corruption: ``clean`` for the images without stress.
        severity: 1 to 5; 0 without stress.
        family: Of the corruption.
        held_out: Whether the family chooses nothing.
    """
    area = auc_interval(labels, logits)
    accuracy = wilson(int(((logits >= 0) == (labels == 1)).sum()), len(labels))
    return {
        "family": family, "corruption": corruption, "severity": severity, "held_out": held_out, "images": len(labels),
        "auc": area.value, "auc_low": area.low, "auc_high": area.high,
        "accuracy": accuracy.value, "accuracy_low": accuracy.low, "accuracy_high": accuracy.high,
    }  # fmt: skip
