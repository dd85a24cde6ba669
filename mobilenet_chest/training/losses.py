"""Training losses on one logit for each image."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor
from torch.nn import functional

from mobilenet_chest.config import LossConfig

Loss = Callable[[Tensor, Tensor], Tensor]
"""Return the *sum* of the losses of n images, given logits (n,) and targets (n,) of 0 to 1."""

DEFAULT_FOCAL_GAMMA = 2.0
"""Lin et al., Focal Loss for Dense Object Detection, 2017, section 5.1."""


def build_loss(config: LossConfig, rows: Mapping[int, int]) -> Loss:
    """Return the loss of an experiment. It sums, since gradient accumulation divides by the images of a whole step.

    Label smoothing moves targets to s / 2 and 1 - s / 2 (Szegedy et al., 2016, section 7, for two classes).

    Args:
        config: The ``loss`` section.
        rows: Number of training rows of class 0 and class 1, for ``pos_weight: auto``.
    """
    weight = rows[0] / rows[1] if config.pos_weight == "auto" else config.pos_weight
    if config.name == "focal":
        from torchvision.ops import sigmoid_focal_loss  # its import takes seconds, for which a dry run need not wait

        gamma = DEFAULT_FOCAL_GAMMA if config.focal_gamma is None else config.focal_gamma

        def focal(logits: Tensor, targets: Tensor) -> Tensor:
            # alpha -1 switches torchvision's class weighting off, so that gamma 0 is plain cross-entropy
            if weight is None:
                return cast(Tensor, sigmoid_focal_loss(logits, targets, alpha=-1, gamma=gamma, reduction="sum"))
            each = sigmoid_focal_loss(logits, targets, alpha=-1, gamma=gamma)
            return cast(Tensor, (each * torch.where(targets == 1, weight, 1.0)).sum())

        return focal

    def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
        targets = targets * (1 - config.label_smoothing) + config.label_smoothing / 2
        weights = None if weight is None else logits.new_full((), weight)  # filled there, not copied to the device
        return functional.binary_cross_entropy_with_logits(logits, targets, pos_weight=weights, reduction="sum")

    return cross_entropy


@dataclass(frozen=True, eq=False)
class Teacher:
    """Another network's logits of the training rows, as part of the loss (distillation).

    Attributes:
        logits: float32 (rows,), on the training device.
        weight: Its share of the loss.
        temperature: Divides the logits of both networks.
    """

    logits: Tensor
    weight: float
    temperature: float

    def mixed(self, loss: Tensor, logits: Tensor, rows: Tensor) -> Tensor:
        """Return the student's summed ``loss`` for some training rows, mixed with the teacher's.

        The teacher's part is the cross-entropy of softened probabilities, times the square of the temperature so that
        its gradient keeps its size (Hinton et al., Distilling the Knowledge in a Neural Network, 2015, section 2).

        Args:
            loss: Summed loss of the student alone.
            logits: float32 (b,), the student's.
            rows: int64 (b,), row numbers of these images.
        """
        soft = (self.logits[rows] / self.temperature).sigmoid()
        compared = functional.binary_cross_entropy_with_logits(logits / self.temperature, soft, reduction="sum")
        return (1 - self.weight) * loss + self.weight * self.temperature**2 * compared
