"""The metrics of an epoch, of a run's validation split and of its test split, from predictions."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from mobilenet_chest import plugins
from mobilenet_chest.config import EvaluationConfig
from mobilenet_chest.errors import UserError
from mobilenet_chest.evaluation.auc import auc
from mobilenet_chest.evaluation.calibration import calibration_metrics
from mobilenet_chest.evaluation.crossfit import crossfit_accuracy
from mobilenet_chest.evaluation.custom_metrics import custom_metrics
from mobilenet_chest.evaluation.operating_points import operating_metrics
from mobilenet_chest.evaluation.predictions import Labels, Predictions, Probabilities
from mobilenet_chest.evaluation.thresholds import accuracy_at, choose_threshold


def epoch_metrics(labels: Labels, logits: NDArray[np.float64], required: Collection[str] = ()) -> dict[str, float]:
    """Return ``val_loss`` (mean cross-entropy in nats), ``val_accuracy`` (at 0.5) and ``val_auc`` of logits (n,).

    Those that plugins register come with them. If a logit is NaN or infinite all are NaN, which the training loop
    refuses.

    Args:
        labels: uint8 (n,).
        logits: (n,).
        required: Metrics that must be there.

    Raises:
        PluginFailed: One of them is a plugin's, and fails.
    """
    if not np.isfinite(logits).all():
        return dict.fromkeys(["val_loss", "val_accuracy", "val_auc", *plugins.names("metric")], float("nan"))
    loss = np.logaddexp(0, np.where(labels == 1, -logits, logits)).mean()
    return {
        "val_loss": float(loss),
        "val_accuracy": float(((logits >= 0) == (labels == 1)).mean()),
        "val_auc": auc(labels, logits),
        **custom_metrics(labels, _probabilities(logits), required),
    }


def _probabilities(logits: NDArray[np.float64]) -> Probabilities:
    return np.exp(-np.logaddexp(0, -logits))


def selection_metrics(
    predictions: Predictions,
    config: EvaluationConfig,
    seed: int,
    required: Collection[str] = (),
    threshold: float | None = None,
) -> dict[str, float]:
    """Return all metrics of a run's validation split.

    These are the thresholds, accuracies and AUCs with and without threshold and TTA, and of the TTA probabilities
    calibration and operating points. Metrics of plugins are without TTA. A promoted model uses ``threshold``, which is
    chosen on the TTA probabilities; sensitivity (of class 1) and specificity are those of that model.
    ``val_accuracy_threshold`` has a threshold of its own, ``threshold_plain``.

    Args:
        predictions: Of the validation split.
        config: Grid of thresholds and folds.
        seed: Of the folds.
        required: Metrics that must be there, as for :func:`epoch_metrics`.
        threshold: Where stressed copies chose it; by default these predictions choose.

    Raises:
        UserError: Stressed copies should choose the threshold, and have not.
    """
    labels, plain, tta = predictions.label, predictions.probability, predictions.probability_tta
    if threshold is None and config.threshold_on == "stress":
        raise UserError(
            "evaluation.threshold_on stress: only a training and a soup have a network to predict the stressed copies "
            "with; train with evaluation.threshold_on=clean to combine or compress its runs"
        )
    threshold = choose_threshold(labels, tta, config) if threshold is None else threshold
    threshold_plain = choose_threshold(labels, plain, config)
    return {
        "threshold": threshold,
        "threshold_plain": threshold_plain,
        "val_accuracy": accuracy_at(labels, plain, 0.5),
        "val_accuracy_threshold": accuracy_at(labels, plain, threshold_plain),
        "val_accuracy_tta": accuracy_at(labels, tta, 0.5),
        "val_accuracy_tta_threshold": accuracy_at(labels, tta, threshold),
        "val_accuracy_crossfit": crossfit_accuracy(labels, tta, config, seed),
        "val_auc": auc(labels, plain),
        "val_auc_tta": auc(labels, tta),
        **sensitivity_specificity("val", labels, tta, threshold),
        **calibration_metrics(labels, tta, config, seed),
        **operating_metrics(labels, tta),
        **custom_metrics(labels, plain, required),
    }


def split_metrics(prefix: str, predictions: Predictions, threshold: float) -> dict[str, float]:
    """Return the metrics of a split on which nothing was chosen, such as test, at a given threshold.

    Those of plugins at work, ``<prefix>_f2`` for ``val_f2``, come with them; one that fails is left out, with a
    warning.

    Args:
        prefix: Of the metrics' names, such as ``test``.
        predictions: Of the split.
        threshold: As validation chose it.
    """
    labels, plain, tta = predictions.label, predictions.probability, predictions.probability_tta
    return {
        f"{prefix}_accuracy": accuracy_at(labels, plain, 0.5),
        f"{prefix}_accuracy_tta": accuracy_at(labels, tta, 0.5),
        f"{prefix}_accuracy_tta_threshold": accuracy_at(labels, tta, threshold),
        f"{prefix}_auc": auc(labels, plain),
        f"{prefix}_auc_tta": auc(labels, tta),
        **sensitivity_specificity(prefix, labels, tta, threshold),
        **{f"{prefix}_{name.removeprefix('val_')}": value for name, value in custom_metrics(labels, plain).items()},
    }


def sensitivity_specificity(
    prefix: str, labels: Labels, probabilities: Probabilities, threshold: float
) -> dict[str, float]:
    """Return ``<prefix>_sensitivity`` and ``<prefix>_specificity``: shares of class 1 and 0 judged correctly."""
    positive = probabilities >= threshold
    return {
        f"{prefix}_sensitivity": float(positive[labels == 1].mean()),
        f"{prefix}_specificity": float((~positive[labels == 0]).mean()),
    }
