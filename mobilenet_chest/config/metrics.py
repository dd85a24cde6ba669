"""The one home of metric names: what each is called, in which direction it gets better, and how it is written."""

from __future__ import annotations

from typing import Literal

Direction = Literal["maximize", "minimize"]

EpochMetric = Literal["val_loss", "val_accuracy", "val_auc"]

EPOCH_METRICS = ("val_loss", "val_accuracy", "val_auc")
"""Known after every epoch: what early stopping, checkpoint selection and pruning can look at."""

FINAL_METRICS = (
    *EPOCH_METRICS,
    "val_auc_tta",
    "val_accuracy_threshold",
    "val_accuracy_tta",
    "val_accuracy_tta_threshold",
    "val_accuracy_crossfit",
    "val_sensitivity",
    "val_specificity",
)
"""Known of a finished run: what a study can optimise."""

LOWER_IS_BETTER = ("loss", "brier", "log_loss", "ece")
"""Metrics, without ``val_`` and ``_calibrated``, that get better as they fall."""


def best_direction(metric: str) -> Direction:
    """Return the direction in which a metric gets better: :data:`LOWER_IS_BETTER` fall, all others rise."""
    return "minimize" if metric.removeprefix("val_").removesuffix("_calibrated") in LOWER_IS_BETTER else "maximize"


def as_score(value: float, direction: Direction) -> float:
    """Return ``value`` so that greater is better, whatever the direction: negated where the metric gets better as it
    falls."""
    return value if direction == "maximize" else -value
