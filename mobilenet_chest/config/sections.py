"""What all sections of an experiment have in common, and the names of the metrics."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

EPOCH_METRICS = ("val_loss", "val_accuracy", "val_auc")
"""What is known after every epoch: what early stopping, checkpoint selection and pruning can look at."""

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
"""What is known of a finished run: what a study can optimise."""

ERRORS = ("loss", "brier", "log_loss", "ece")
"""Metrics, without ``val_`` and ``_calibrated``, of which less is better."""

EpochMetric = Literal["val_loss", "val_accuracy", "val_auc"]


def best_direction(metric: str) -> Literal["maximize", "minimize"]:
    """The direction in which ``metric`` gets better: :data:`ERRORS` fall, everything else rises."""
    return "minimize" if metric.removeprefix("val_").removesuffix("_calibrated") in ERRORS else "maximize"


class Section(BaseModel):
    """Base of all sections: frozen, no unknown keys, no NaN or infinity."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, validate_default=True)
