"""A run's predictions of single images, and each of its metrics as a statistic of resampled images."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mobilenet_chest import plugins
from mobilenet_chest.config import EvaluationConfig
from mobilenet_chest.evaluation.auc import auc_statistic
from mobilenet_chest.evaluation.bootstrap import Floats, Statistic, Weights, mean_statistic, patient_clusters
from mobilenet_chest.evaluation.calibration import crossfit_calibrated, ece_statistic, image_losses
from mobilenet_chest.evaluation.crossfit import crossfit_correct
from mobilenet_chest.evaluation.custom_metrics import custom_statistic
from mobilenet_chest.evaluation.predictions import Predictions, Probabilities

AUC_COLUMNS = {"auc": "probability", "auc_tta": "probability_tta"}
"""AUC -> the column that it is of."""

ACCURACIES = {
    "accuracy": ("probability", None),
    "accuracy_tta": ("probability_tta", None),
    "accuracy_threshold": ("probability", "threshold_plain"),
    "accuracy_tta_threshold": ("probability_tta", "threshold"),
}
"""Accuracy -> the column that it is of, and the metric that holds its threshold; ``None`` for 0.5."""

CLASS_RATES = {"sensitivity": 1, "specificity": 0}
"""Rate -> the class of the images that it is a share of."""

PROPORTIONS = (*ACCURACIES, "accuracy_crossfit", *CLASS_RATES)
"""Metrics that are shares of correctly judged images."""

_CALIBRATION = ("brier", "log_loss", "ece")

RECOMPUTABLE = (*AUC_COLUMNS, *PROPORTIONS, "loss", *_CALIBRATION, *(f"{name}_calibrated" for name in _CALIBRATION))
"""Metrics that can be computed from the predictions; ``loss`` is without TTA, calibration with."""


@dataclass(frozen=True, eq=False)
class RunPredictions:
    """A run's predictions of a split, with the thresholds and settings that its metrics were computed with.

    Metrics are named without ``val_`` or ``test_``.

    Attributes:
        predictions: One row for each image.
        metrics: The run's metrics, for its thresholds.
        config: How its threshold was chosen.
        seed: Of the folds of the cross-fitted accuracy.
    """

    predictions: Predictions
    metrics: Mapping[str, float]
    config: EvaluationConfig
    seed: int

    @cached_property
    def images_digest(self) -> str:
        """SHA-256 (first 16 hex digits) of row numbers and labels: runs can be paired if they have the same."""
        digest = hashlib.sha256(self.predictions.row.tobytes())
        digest.update(self.predictions.label.tobytes())
        return digest.hexdigest()[:16]

    @cached_property
    def clusters(self) -> NDArray[np.int64] | None:
        """Patient of each image by :func:`~mobilenet_chest.evaluation.bootstrap.patient_clusters`, or ``None``."""
        return patient_clusters(self.predictions.patient)

    @cached_property
    def calibrated(self) -> Probabilities:
        """Probabilities with TTA at the temperature of the other folds, (n,)."""
        predicted = self.predictions
        return crossfit_calibrated(predicted.label, predicted.probability_tta, self.config.folds, self.seed)

    @cached_property
    def _crossfit(self) -> NDArray[np.bool_]:
        return crossfit_correct(self.predictions.label, self.predictions.probability_tta, self.config, self.seed)

    def correct(self, name: str) -> NDArray[np.bool_]:
        """Return which images were judged correctly.

        Args:
            name: An accuracy, for all images (n,), or a rate of one class, for the images of that class.

        Raises:
            KeyError: The predictions do not give the metric, or the run has no threshold.
        """
        if name == "accuracy_crossfit":
            return self._crossfit
        if name in CLASS_RATES:
            return np.asarray(self.correct("accuracy_tta_threshold")[self.predictions.label == CLASS_RATES[name]])
        column, threshold_metric = ACCURACIES[name]
        threshold = 0.5 if threshold_metric is None else self.metrics[threshold_metric]
        return np.asarray((getattr(self.predictions, column) >= threshold) == (self.predictions.label == 1))

    def statistic(self, name: str) -> Statistic:
        """Return a metric as a statistic of resampled images; with folds, the mean of the folds' metrics.

        Raises:
            KeyError: The predictions do not give the metric.
        """
        of_all, fold = self._statistic_of_all(name), self.predictions.fold
        if fold is None:
            return of_all
        # a fold's metric is that of all images where those of other folds have weight 0
        masks = [(fold == number).astype(np.float64) for number in np.unique(fold)]

        def mean(weights: Weights) -> Floats:
            return np.asarray(np.mean([of_all(weights * mask) for mask in masks], axis=0))

        return mean

    def _statistic_of_all(self, name: str) -> Statistic:
        labels = self.predictions.label
        if f"val_{name}" in plugins.names("metric"):
            return custom_statistic(f"val_{name}", labels, self.predictions.probability)
        if name in AUC_COLUMNS:
            return auc_statistic(labels, getattr(self.predictions, AUC_COLUMNS[name]))
        if name in CLASS_RATES:
            return mean_statistic(self.correct("accuracy_tta_threshold"), labels == CLASS_RATES[name])
        if name in PROPORTIONS:
            return mean_statistic(self.correct(name))
        if name not in RECOMPUTABLE:
            raise KeyError(name)
        score = name.removesuffix("_calibrated")
        if score != name:
            probabilities = self.calibrated
        else:
            probabilities = self.predictions.probability if name == "loss" else self.predictions.probability_tta
        if score == "ece":
            return ece_statistic(labels, probabilities)
        return mean_statistic(image_losses(score, labels, probabilities))
