"""Filters of batches of images: blur, tone, sharpness, local contrast and resampling, each with a strength per image.

All take float (n, c, h, w) of 0 to 255, and return the same; values may leave that range.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

WHITE = 255
"""Highest gray value."""

NEIGHBOURHOOD = 0.25
"""Side of the square whose mean counts as local, as a share of the image's: about a lung field's width."""

UNSHARP_SIGMA = 1.0
"""Standard deviation, in pixels, of the blur that unsharp masking subtracts."""


def each(values: Tensor) -> Tensor:
    """Return (n,) as (n, 1, 1, 1)."""
    return values[:, None, None, None]


def gaussian(sigma: Tensor, radius: int) -> Tensor:
    """Return the weights (n, 2 · radius + 1) of Gaussian kernels with standard deviations (n, 1), in pixels."""
    weights = (-((torch.arange(-radius, radius + 1, device=sigma.device) / sigma.clamp(min=1e-3)) ** 2) / 2).exp()
    return weights / weights.sum(1, keepdim=True)


def blurred(images: Tensor, weights: Tensor) -> Tensor:
    """Blur each image with its own kernel (n, 2r + 1), along one axis and then the other; the border is repeated."""
    count, channels = images.shape[:2]
    radius = weights.shape[1] // 2
    kernels = weights.repeat_interleave(channels, dim=0)[:, None, None, :]
    flat = images.reshape(1, count * channels, *images.shape[-2:])
    for pad, kernel in (((radius, radius, 0, 0), kernels), ((0, 0, radius, radius), kernels.transpose(2, 3))):
        flat = functional.conv2d(functional.pad(flat, pad, mode="replicate"), kernel, groups=count * channels)
    return flat.reshape(images.shape)


def gamma(images: Tensor, exponents: Tensor) -> Tensor:
    """Raise gray values, as shares of white, to an exponent (n,): below 1 brightens the middle, above 1 darkens it."""
    return WHITE * (images / WHITE) ** each(exponents)


def sharpened(images: Tensor, strengths: Tensor) -> Tensor:
    """Add a multiple (n,) of what a blur takes away: unsharp masking."""
    weights = gaussian(torch.full((1, 1), UNSHARP_SIGMA, device=images.device), math.ceil(3 * UNSHARP_SIGMA))
    return images + each(strengths) * (images - blurred(images, weights.expand(len(images), -1)))


def local_contrast(images: Tensor, factors: Tensor) -> Tensor:
    """Multiply each pixel's distance from the mean around it by a factor (n,)."""
    mean = images
    for axis, side in enumerate(images.shape[-2:]):
        size = 2 * round(side * NEIGHBOURHOOD / 2) + 1
        kernel, pad = ((size, 1), (size // 2, 0)) if axis == 0 else ((1, size), (0, size // 2))
        mean = functional.avg_pool2d(mean, kernel, stride=1, padding=pad, count_include_pad=False)
    return mean + (images - mean) * each(factors)


def resampled(images: Tensor, shares: Tensor) -> Tensor:
    """Reduce each image to a share (n,) of its sides, as a mean over pixels, and enlarge it again, bilinear.

    A resize is linear along each axis, so that images of different shares make one batch of matrix products. A share
    of 1 changes nothing.
    """
    rows, columns = (_there_and_back(side, shares) for side in images.shape[-2:])
    return rows[:, None] @ images @ columns[:, None].transpose(-1, -2)


def _there_and_back(side: int, shares: Tensor) -> Tensor:
    """Return the matrices (n, side, side) that reduce a line of pixels to a share of its length, and enlarge it."""
    small = (side * shares).round().clamp(min=1)[:, None, None]
    full = torch.arange(side, device=shares.device)
    less = full[None, :, None]  # a line of the small image; those behind its end have no weight
    ratio = side / small
    # the part of each large pixel that lies in the small one: areas are averaged
    overlap = torch.minimum(full + 1, (less + 1) * ratio) - torch.maximum(full, less * ratio)
    reduce = overlap.clamp(min=0) / ratio * (less < small)
    position = torch.minimum(((full[:, None] + 0.5) / ratio - 0.5).clamp(min=0), small - 1)
    enlarge = (1 - (position - full).abs()).clamp(min=0)
    return enlarge @ reduce
