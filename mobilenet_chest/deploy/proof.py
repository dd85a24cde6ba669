"""The proof that an exported file predicts the validation images as its run did."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from mobilenet_chest.deploy.formats import TOLERANCE
from mobilenet_chest.evaluation.intervals import Difference
from mobilenet_chest.evaluation.paired import paired_difference
from mobilenet_chest.evaluation.predictions import Probabilities
from mobilenet_chest.evaluation.run_predictions import RunPredictions


@dataclass(frozen=True)
class Proof:
    """An exported file compared with its run.

    Attributes:
        images: Number of validation images.
        largest: Largest difference in probability.
        mean: Mean difference in probability, each without its sign.
        changed_labels: Images whose label at the threshold differs.
        auc: The file's AUC minus the run's, with TTA.
        tolerance: What ``largest`` may be.
    """

    images: int
    largest: float
    mean: float
    changed_labels: int
    auc: Difference
    tolerance: float

    @property
    def passed(self) -> bool:
        """Whether the file predicts as the run did."""
        return self.largest <= self.tolerance

    def __str__(self) -> str:
        return (
            f"largest difference {self.largest:.1e} and mean {self.mean:.1e} on {self.images} validation images "
            f"(allowed: {self.tolerance:g}); labels changed: {self.changed_labels}; AUC {self.auc.value:+.4f} "
            f"({self.auc.low:+.4f}–{self.auc.high:+.4f})"
        )


def prove(run: RunPredictions, exported: Probabilities, tolerance: float = TOLERANCE) -> Proof:
    """Compare an exported file's probabilities with its run's stored ones.

    Args:
        run: The run's predictions and its threshold.
        exported: float64 (n,), of the same images in the same order, with TTA.
        tolerance: Largest difference allowed.
    """
    stored, threshold = run.predictions.probability_tta, run.metrics["threshold"]
    if len(stored) != len(exported):
        raise ValueError(f"{len(exported)} probabilities for {len(stored)} images")
    differences = np.abs(exported - stored)
    other = replace(run, predictions=replace(run.predictions, probability_tta=exported))
    return Proof(
        images=len(stored),
        largest=float(differences.max()),
        mean=float(differences.mean()),
        changed_labels=int(((exported >= threshold) != (stored >= threshold)).sum()),
        auc=paired_difference("auc_tta", other, run),
        tolerance=tolerance,
    )
