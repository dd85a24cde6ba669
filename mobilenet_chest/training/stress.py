"""Stressed validation: a network's metrics on the stressed copies of val, and the table of all corruptions."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mobilenet_chest import cache
from mobilenet_chest.data.corruptions import CHOOSING, CORRUPTIONS, HELD_OUT, SEVERITIES, corrupted
from mobilenet_chest.data.dataset import Split
from mobilenet_chest.data.stress import stressed
from mobilenet_chest.evaluation.predictions import Labels, Predictions
from mobilenet_chest.evaluation.stress import stress_intervals, stress_metrics, stress_row
from mobilenet_chest.models.classifier import Classifier
from mobilenet_chest.training.epoch import Record
from mobilenet_chest.training.features import frozen_outputs
from mobilenet_chest.training.predict import predict, predict_logits


@lru_cache(maxsize=1)
def choosing_copies(val: Split) -> Split:
    """Return the stressed copies that may choose; the same object for the same split."""
    return stressed(val, CHOOSING)


@dataclass(frozen=True, eq=False)
class StressInputs:
    """Stressed copies of the validation rows, as they are fed to the learning part of a network.

    Attributes:
        block: First block that is given them, as in :class:`~mobilenet_chest.training.features.Inputs`.
        copies: Images, or stored outputs of the frozen blocks; families · n.
        labels: uint8 (n,).
    """

    block: int
    copies: Tensor
    labels: Labels

    def record(self, model: nn.Module, clean: Tensor) -> Record:
        """Return the stress metrics of a network in its present state.

        Args:
            model: On the copies' device.
            clean: float32 (n,), its logits of the rows without stress, on the CPU.
        """
        logits = predict_logits(model, self.copies, block=self.block).cpu().double()
        by_family = logits.reshape(-1, len(self.labels)).numpy()
        return stress_metrics("stress", self.labels, by_family, clean.double().numpy())


def stress_inputs(model: Classifier, val: Split, block: int, device: torch.device) -> StressInputs:
    """Return the copies for the learning part from a block on; outputs of frozen blocks come from the cache.

    Args:
        model: On ``device``, frozen up to ``block``.
        val: The validation rows.
        block: 0 for images.
        device: Where to hold the copies.
    """
    copies = choosing_copies(val)
    if block == 0 or cache.folder() is None:
        return StressInputs(0, copies.images.to(device), val.labels.numpy())
    outputs = frozen_outputs(model, copies, copies.images.to(device), (False,), torch.float32)
    return StressInputs(block, outputs.to(device), val.labels.numpy())


def choosing_predictions(model: nn.Module, val: Split, device: torch.device) -> Predictions:
    """Return predictions, with and without TTA, of the stressed copies that may choose a threshold."""
    return predict(model, choosing_copies(val), device)


def final_stress_metrics(model: nn.Module, val: Split, device: torch.device) -> dict[str, float]:
    """Return the stress metrics of a finished network, of the families that choose and of those held out, with the
    ends of their intervals."""
    labels = val.labels.numpy()
    clean = predict_logits(model, val.images.to(device)).cpu().double().numpy()
    metrics: dict[str, float] = {}
    for prefix, copies in (("stress", choosing_copies(val)), ("heldout_stress", stressed(val, HELD_OUT))):
        logits = predict_logits(model, copies.images.to(device)).cpu().double().reshape(-1, len(labels)).numpy()
        metrics |= stress_metrics(prefix, labels, logits, clean)
        metrics |= stress_intervals(prefix, labels, logits, clean, val.patients)
    return metrics


def stress_table(model: nn.Module, val: Split, device: torch.device) -> list[dict[str, Any]]:
    """Return a row for the clean images, and one for all of them under each corruption at each severity."""
    labels = val.labels.numpy()

    def logits(images: Tensor) -> NDArray[np.float64]:
        values: NDArray[np.float64] = predict_logits(model, images.to(device)).cpu().double().numpy()
        return values

    clean = logits(val.images)
    table = [stress_row(labels, clean, clean, "clean", 0, "clean", False)]
    for name, corruption in CORRUPTIONS.items():
        for severity in SEVERITIES:
            images = corrupted(val.images, val.rows, name, severity, val.stored)
            family = corruption.family
            table.append(stress_row(labels, logits(images), clean, name, severity, family, family in HELD_OUT))
    return table
