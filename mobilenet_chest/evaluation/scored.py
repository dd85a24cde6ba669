"""A run's predictions of single images, and each of its figures as something that can be resampled."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mobilenet_chest.config import EvaluationConfig
from mobilenet_chest.evaluation.bootstrap import Figure, Floats, Weights, of_auc, of_mean, repeated
from mobilenet_chest.evaluation.calibration import crossfit_calibrated, losses, of_error
from mobilenet_chest.evaluation.predictions import Predictions
from mobilenet_chest.evaluation.thresholds import Probabilities, crossfit_right

RANKED = {"auc": "probability", "auc_tta": "probability_tta"}
"""AUCs, and the predictions that they are of."""

SHARES = {
    "accuracy": ("probability", None),
    "accuracy_tta": ("probability_tta", None),
    "accuracy_threshold": ("probability", "threshold_plain"),
    "accuracy_tta_threshold": ("probability_tta", "threshold"),
}
"""Accuracies: the predictions that they are of, and the run's threshold, where it is not 0.5."""

OF_CLASS = {"sensitivity": 1, "specificity": 0}
"""Shares of one class."""

JUDGED = (*SHARES, "accuracy_crossfit", *OF_CLASS)
"""Shares of images that were judged rightly."""

_CALIBRATION = ("brier", "log_loss", "ece")

KNOWN = (*RANKED, *JUDGED, "loss", *_CALIBRATION, *(f"{name}_calibrated" for name in _CALIBRATION))
"""All figures that the predictions give again; ``loss`` is without TTA, calibration with."""


@dataclass(frozen=True, eq=False)
class Scored:
    """A run's predictions of a split, and what its figures were made of them with.

    Figures go by their names without ``val_`` or ``test_``.

    Attributes:
        predicted: One row for each image.
        metrics: The run's own, for its thresholds.
        config: How its threshold was chosen.
        seed: Of the folds of the cross-fitted accuracy.
    """

    predicted: Predictions
    metrics: Mapping[str, float]
    config: EvaluationConfig
    seed: int

    @cached_property
    def images(self) -> str:
        """SHA-256 (first 16 hex digits) of the row numbers and labels that were predicted."""
        digest = hashlib.sha256(self.predicted.row.tobytes())
        digest.update(self.predicted.label.tobytes())
        return digest.hexdigest()[:16]

    @cached_property
    def people(self) -> NDArray[np.int64] | None:
        """As :func:`~mobilenet_chest.evaluation.bootstrap.repeated` has them."""
        return repeated(self.predicted.patient)

    @cached_property
    def calibrated(self) -> Probabilities:
        """With TTA, at the temperature of the other folds (n,)."""
        predicted = self.predicted
        return crossfit_calibrated(predicted.label, predicted.probability_tta, self.config.folds, self.seed)

    @cached_property
    def _crossfit(self) -> NDArray[np.bool_]:
        return crossfit_right(self.predicted.label, self.predicted.probability_tta, self.config, self.seed)

    def right(self, name: str) -> NDArray[np.bool_]:
        """Which images were judged rightly, where the figure is an accuracy (n,), sensitivity or specificity (of the
        images of that class).

        Raises:
            KeyError: It is none that the predictions give, or the run has no threshold.
        """
        if name == "accuracy_crossfit":
            return self._crossfit
        if name in OF_CLASS:
            return np.asarray(self.right("accuracy_tta_threshold")[self.predicted.label == OF_CLASS[name]])
        column, threshold = SHARES[name]
        at_least = 0.5 if threshold is None else self.metrics[threshold]
        return np.asarray((getattr(self.predicted, column) >= at_least) == (self.predicted.label == 1))

    def figure(self, name: str) -> Figure:
        """How a figure comes from resampled images; where there are folds, the mean of theirs.

        Raises:
            KeyError: The predictions do not give it.
        """
        whole, fold = self._whole(name), self.predicted.fold
        if fold is None:
            return whole
        parts = [(fold == one).astype(np.float64) for one in np.unique(fold)]

        def mean(weights: Weights) -> Floats:
            return np.asarray(np.mean([whole(weights * part) for part in parts], axis=0))

        return mean

    def _whole(self, name: str) -> Figure:
        labels = self.predicted.label
        if name in RANKED:
            return of_auc(labels, getattr(self.predicted, RANKED[name]))
        if name in OF_CLASS:
            return of_mean(self.right("accuracy_tta_threshold"), labels == OF_CLASS[name])
        if name in JUDGED:
            return of_mean(self.right(name))
        if name not in KNOWN:
            raise KeyError(name)
        plain = name.removesuffix("_calibrated")
        if plain != name:
            probabilities = self.calibrated
        else:
            probabilities = self.predicted.probability if name == "loss" else self.predicted.probability_tta
        return of_error(labels, probabilities) if plain == "ece" else of_mean(losses(plain, labels, probabilities))
