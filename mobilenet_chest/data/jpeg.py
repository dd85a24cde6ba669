"""JPEG compression of batches of images as tensor operations: what of it a decoder gives back."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

SIDE = 8
"""Side of a block, in pixels."""

LUMINANCE = (
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56,
    14, 17, 22, 29, 51, 87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92,
    49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99,
)  # fmt: skip
"""Quantisation of brightness at quality 50: ITU-T T.81, table K.1."""

CHROMINANCE = (
    17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99, 24, 26, 56, 99, 99, 99, 99, 99,
    47, 66, 99, 99, 99, 99, 99, 99, *[99] * 32,
)  # fmt: skip
"""Quantisation of colour at quality 50: ITU-T T.81, table K.2."""

TO_YCC = ((0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))
"""From red, green and blue to brightness and two differences of colour: JFIF 1.02."""


def compressed(images: Tensor, qualities: Tensor) -> Tensor:
    """Return images as they come back from a JPEG file, without the rounding to whole gray values.

    Colour is not subsampled. The scale of qualities is that of the Independent JPEG Group's library, which Pillow uses.

    Args:
        images: float (n, c, h, w) of 0 to 255, c 1 or 3.
        qualities: float (n,), 1 to 100; 0 leaves an image as it is.
    """
    if images.shape[1] == 1:
        coded = _coded(images - 128, _steps(LUMINANCE, qualities)[:, None]) + 128
    else:
        matrix = torch.tensor(TO_YCC, device=images.device)
        ycc = torch.einsum("ij,njhw->nihw", matrix, images - 128)  # the middle gray has no colour
        tables = torch.stack([_steps(table, qualities) for table in (LUMINANCE, CHROMINANCE, CHROMINANCE)], dim=1)
        coded = torch.einsum("ij,njhw->nihw", matrix.inverse(), _coded(ycc, tables)) + 128
    return torch.where(qualities[:, None, None, None] > 0, coded.clamp(0, 255), images)


def _steps(table: tuple[int, ...], qualities: Tensor) -> Tensor:
    """Return the quantisation (n, 8, 8) of each quality."""
    quality = qualities.clamp(1, 100)
    percent = torch.where(quality < 50, 5000 / quality, 200 - 2 * quality).floor()
    base = torch.tensor(table, device=qualities.device, dtype=torch.float32).reshape(SIDE, SIDE)
    return ((base * percent[:, None, None] + 50) / 100).floor().clamp(1, 255)


def _coded(planes: Tensor, steps: Tensor) -> Tensor:
    """Return planes (n, c, h, w) of middle 0, their blocks' cosine transforms rounded to steps (n, c, 8, 8)."""
    count, channels, height, width = planes.shape
    padded = functional.pad(planes, (0, -width % SIDE, 0, -height % SIDE), mode="replicate")
    down, across = (side // SIDE for side in padded.shape[-2:])
    blocks = padded.reshape(count, channels, down, SIDE, across, SIDE).transpose(3, 4)
    index = torch.arange(SIDE, device=planes.device)
    cosine = (math.pi / SIDE * (index + 0.5) * index[:, None]).cos() * math.sqrt(2 / SIDE)
    cosine[0] /= math.sqrt(2)
    step = steps[:, :, None, None]
    rounded = (cosine @ blocks @ cosine.T / step).round() * step
    restored = (cosine.T @ rounded @ cosine).transpose(3, 4).reshape(padded.shape)
    return restored[..., :height, :width]
