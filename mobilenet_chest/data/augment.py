"""Random changes to batches of training images, as tensor operations on whatever device the batch is on."""

from __future__ import annotations

import torch
from torch import Tensor


def random_hflip(images: Tensor, probability: float, generator: torch.Generator) -> Tensor:
    """Mirror each image left to right with the given probability.

    Args:
        images: (n, c, h, w), any dtype.
        probability: Between 0 and 1.
        generator: On the CPU, so that the same images are flipped whatever the device.

    Returns:
        A new tensor of the same shape, dtype and device.
    """
    flip = torch.rand(len(images), generator=generator) < probability
    return torch.where(flip.to(images.device)[:, None, None, None], images.flip(-1), images)
