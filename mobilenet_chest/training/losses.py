"""Training losses on one logit for each image."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from torch import Tensor
from torch.nn import functional

from mobilenet_chest.config import LossConfig

Loss = Callable[[Tensor, Tensor], Tensor]
"""(logits (n,), targets (n,) of 0 and 1) -> the *sum* of the losses of the n images."""

DEFAULT_FOCAL_GAMMA = 2.0
"""Lin et al., Focal Loss for Dense Object Detection, 2017, section 5.1."""


def build_loss(config: LossConfig) -> Loss:
    """The loss of an experiment. Sums, not means: gradient accumulation divides by the images of a whole step."""
    if config.name == "focal":
        from torchvision.ops import sigmoid_focal_loss  # seconds of imports, which a dry run need not wait for

        gamma = DEFAULT_FOCAL_GAMMA if config.focal_gamma is None else config.focal_gamma

        def focal(logits: Tensor, targets: Tensor) -> Tensor:
            # alpha -1 switches class weighting off, so that gamma 0 is plain cross-entropy
            return cast(Tensor, sigmoid_focal_loss(logits, targets, alpha=-1, gamma=gamma, reduction="sum"))

        return focal

    def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
        return functional.binary_cross_entropy_with_logits(logits, targets, reduction="sum")

    return cross_entropy
