"""Metrics of stressed copies, relative to the clean images, and the table of all corruptions and severities."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mobilenet_chest.evaluation.auc import auc
from mobilenet_chest.evaluation.conformal import results_under_shift
from mobilenet_chest.evaluation.delong import auc_interval
from mobilenet_chest.evaluation.intervals import wilson
from mobilenet_chest.evaluation.operating_points import ABSTENTION, abstention_promised
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
    labels: Labels,
    logits: NDArray[np.float64],
    clean: NDArray[np.float64],
    corruption: str,
    severity: int,
    family: str,
    held_out: bool,
) -> dict[str, Any]:
    """Return a row of the table: AUC and accuracy at 0.5 with 95% intervals (DeLong, Wilson), and what becomes of
    abstention: :func:`promise_under_stress`.

    Args:
        labels: uint8 (n,).
        logits: (n,), without TTA.
        clean: (n,), of the images without stress.
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
    } | promise_under_stress(labels, logits, clean)  # fmt: skip


def promise_under_stress(
    labels: Labels, logits: NDArray[np.float64], clean: NDArray[np.float64]
) -> dict[str, float]:  # fmt: skip
    """Return what becomes of the promise that a registered model's abstention makes, by a rule from the clean images.

    ``promised`` is the share of each class whose answer is to keep its class, ``kept_0`` and ``kept_1`` what is kept,
    ``referred`` the share of images that are not answered by one class, ``errors`` that of wrong ones among those that
    are; ``_low`` and ``_high`` are the ends of 95% Wilson intervals. Nothing where a class has too few images for a
    promise.

    Args:
        labels: uint8 (n,).
        logits: (n,), without TTA, of the images under stress.
        clean: (n,), of the same images without it.
    """
    if not abstention_promised(labels):
        return {}
    # a rule goes by the order of the images alone, so logits do as well as probabilities
    (result,) = results_under_shift(1 - ABSTENTION, labels, clean, [logits])
    shares = {"kept_0": result.covered[0], "kept_1": result.covered[1], "errors": result.errors}
    row = {"promised": ABSTENTION, "referred": 1 - result.one.value}
    for name, share in shares.items():
        row |= {name: share.value, f"{name}_low": share.low, f"{name}_high": share.high}
    return row
