"""Random changes to batches of training images, as tensor operations on whatever device the batch is on."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from mobilenet_chest.config import AugmentConfig


@dataclass(frozen=True, eq=False)
class Draws:
    """What chance has decided for some images.

    Attributes:
        flip: bool (n,), whether to mirror.
        angle: float32 (n,) radians, if images are to be rotated.
    """

    flip: Tensor
    angle: Tensor | None = None

    def part(self, start: int, end: int) -> Draws:
        """Those of the images from ``start`` to before ``end``."""
        return Draws(self.flip[start:end], None if self.angle is None else self.angle[start:end])

    def to(self, device: torch.device) -> Draws:
        """The same on another device."""
        return Draws(self.flip.to(device), None if self.angle is None else self.angle.to(device))


def draw(config: AugmentConfig, images: int, generator: torch.Generator) -> Draws:
    """Draw for a number of images at once; on the CPU, so that they are the same whatever the device."""
    flip = torch.rand(images, generator=generator) < config.hflip
    if not config.rotation:
        return Draws(flip)
    turn = torch.rand(images, generator=generator) * 2 - 1
    return Draws(flip, turn * math.radians(config.rotation))


def apply(images: Tensor, draws: Draws) -> Tensor:
    """Change images as drawn.

    Args:
        images: (n, c, h, w), any dtype.
        draws: For these images, on their device.

    Returns:
        A new tensor of the same shape and device; of the same dtype, or float32 after a rotation.
    """
    images = torch.where(draws.flip[:, None, None, None], images.flip(-1), images)
    return images if draws.angle is None else _rotate(images.float(), draws.angle)


def views(config: AugmentConfig) -> tuple[bool, ...] | None:
    """The images that can come out, as "mirrored" or not; ``None`` when they are more than these two."""
    if config.rotation:
        return None
    return tuple(mirrored for mirrored, chance in ((False, 1 - config.hflip), (True, config.hflip)) if chance > 0)


def _rotate(images: Tensor, angle: Tensor) -> Tensor:
    """Bilinear, about the centre; what comes in from outside continues the border."""
    height, width = images.shape[-2:]
    cos, sin, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
    # in pixels the turn is rigid, in the grid's units of half a side it is not, unless the image is square
    rows = [cos, -sin * height / width, zero, sin * width / height, cos, zero]
    theta = torch.stack(rows, dim=1).view(-1, 2, 3)
    grid = functional.affine_grid(theta, list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)
