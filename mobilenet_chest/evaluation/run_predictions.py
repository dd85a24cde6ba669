"""A run's predictions of single images, and each of its figures as something that can be resampled."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mobilenet_chest.config import EvaluationConfig
from mobilenet_chest.evaluation.auc import auc_statistic
from mobilenet_chest.evaluation.bootstrap import Floats, Statistic, Weights, mean_statistic, patient_clusters
from mobilenet_chest.evaluation.calibration import crossfit_calibrated, ece_statistic, image_losses
from mobilenet_chest.evaluation.crossfit import crossfit_correct
from mobilenet_chest.evaluation.predictions import Predictions, Probabilities

AUC_COLUMNS = {"auc": "probability", "auc_tta": "probability_tta"}
"""AUCs, and the predictions that they are of."""

ACCURACIES = {
    "accuracy": ("probability", None),
    "accuracy_tta": ("probability_tta", None),
    "accuracy_threshold": ("probability", "threshold_plain"),
    "accuracy_tta_threshold": ("probability_tta", "threshold"),
}
"""Accuracies: the predictions that they are of, and the run's threshold, where it is not 0.5."""

CLASS_OF_RATE = {"sensitivity": 1, "specificity": 0}
"""Shares of one class."""

PROPORTIONS = (*ACCURACIES, "accuracy_crossfit", *CLASS_OF_RATE)
"""Shares of images that were judged rightly."""

_CALIBRATION = ("brier", "log_loss", "ece")

RECOMPUTABLE = (*AUC_COLUMNS, *PROPORTIONS, "loss", *_CALIBRATION, *(f"{name}_calibrated" for name in _CALIBRATION))
"""All figures that the predictions give again; ``loss`` is without TTA, calibration with."""


@dataclass(frozen=True, eq=False)
class RunPredictions:
    """A run's predictions of a split, and what its figures were made of them with.

    Figures go by their names without ``val_`` or ``test_``.

    Attributes:
        predictions: One row for each image.
        metrics: The run's own, for its thresholds.
        config: How its threshold was chosen.
        seed: Of the folds of the cross-fitted accuracy.
    """

    predictions: Predictions
    metrics: Mapping[str, float]
    config: EvaluationConfig
    seed: int

    @cached_property
    def images_digest(self) -> str:
        """SHA-256 (first 16 hex digits) of the row numbers and labels that were predicted."""
        digest = hashlib.sha256(self.predictions.row.tobytes())
        digest.update(self.predictions.label.tobytes())
        return digest.hexdigest()[:16]

    @cached_property
    def clusters(self) -> NDArray[np.int64] | None:
        """As :func:`~mobilenet_chest.evaluation.bootstrap.patient_clusters` has them."""
        return patient_clusters(self.predictions.patient)

    @cached_property
    def calibrated(self) -> Probabilities:
        """With TTA, at the temperature of the other folds (n,)."""
        predicted = self.predictions
        return crossfit_calibrated(predicted.label, predicted.probability_tta, self.config.folds, self.seed)

    @cached_property
    def _crossfit(self) -> NDArray[np.bool_]:
        return crossfit_correct(self.predictions.label, self.predictions.probability_tta, self.config, self.seed)

    def correct(self, name: str) -> NDArray[np.bool_]:
        """Which images were judged rightly, where the figure is an accuracy (n,), sensitivity or specificity (of the
        images of that class).

        Raises:
            KeyError: It is none that the predictions give, or the run has no threshold.
        """
        if name == "accuracy_crossfit":
            return self._crossfit
        if name in CLASS_OF_RATE:
            return np.asarray(self.correct("accuracy_tta_threshold")[self.predictions.label == CLASS_OF_RATE[name]])
        column, threshold = ACCURACIES[name]
        at_least = 0.5 if threshold is None else self.metrics[threshold]
        return np.asarray((getattr(self.predictions, column) >= at_least) == (self.predictions.label == 1))

    def statistic(self, name: str) -> Statistic:
        """How a figure comes from resampled images; where there are folds, the mean of theirs.

        Raises:
            KeyError: The predictions do not give it.
        """
        whole, fold = self._whole(name), self.predictions.fold
        if fold is None:
            return whole
        parts = [(fold == one).astype(np.float64) for one in np.unique(fold)]

        def mean(weights: Weights) -> Floats:
            return np.asarray(np.mean([whole(weights * part) for part in parts], axis=0))

        return mean

    def _whole(self, name: str) -> Statistic:
        labels = self.predictions.label
        if name in AUC_COLUMNS:
            return auc_statistic(labels, getattr(self.predictions, AUC_COLUMNS[name]))
        if name in CLASS_OF_RATE:
            return mean_statistic(self.correct("accuracy_tta_threshold"), labels == CLASS_OF_RATE[name])
        if name in PROPORTIONS:
            return mean_statistic(self.correct(name))
        if name not in RECOMPUTABLE:
            raise KeyError(name)
        plain = name.removesuffix("_calibrated")
        if plain != name:
            probabilities = self.calibrated
        else:
            probabilities = self.predictions.probability if name == "loss" else self.predictions.probability_tta
        return (
            ece_statistic(labels, probabilities)
            if plain == "ece"
            else mean_statistic(image_losses(plain, labels, probabilities))
        )
