"""Where the pixels of an image come from: turned, shifted, zoomed and cropped images, and rectangles in them."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def warped(images: Tensor, affine: Tensor | None = None, crop: Tensor | None = None) -> Tensor:
    """Return images turned, shifted and zoomed, then cropped and enlarged to the same size: one bilinear sampling.

    Pixels from outside repeat the border.

    Args:
        images: float (n, c, h, w).
        affine: float (n, 4): angle in radians, shifts right and down as shares of the side, zoom about the centre.
        crop: float (n, 4): centre (right and down of the image's centre, in half sides), width and height as shares.
    """
    height, width = images.shape[-2:]
    theta = torch.eye(2, 3, device=images.device).expand(len(images), 2, 3)
    if affine is not None:
        angle, right, down, zoom = affine.unbind(1)
        cos, sin = angle.cos() / zoom, angle.sin() / zoom
        # the grid says where each pixel of the result comes from, in units of half a side: so the shift is undone
        # before the turn, and the turn is rigid only with the ratio of the sides in it
        rows = [
            [cos, -sin * height / width, -2 * (cos * right - sin * height / width * down)],
            [sin * width / height, cos, -2 * (sin * width / height * right + cos * down)],
        ]
        theta = torch.stack([torch.stack(row, dim=1) for row in rows], dim=1)
    if crop is not None:
        # a pixel of the crop lies at centre + share * pixel of the changed image
        linear, offset = theta[:, :, :2], theta[:, :, 2:]
        theta = torch.cat([linear * crop[:, None, 2:], offset + linear @ crop[:, :2, None]], dim=2)
    grid = functional.affine_grid(theta, list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)


def inside(rectangles: Tensor, images: Tensor) -> Tensor:
    """Return bool (n, 1, h, w): pixels whose centres lie in the image's rectangle.

    Args:
        rectangles: float (n, 4): top, left, bottom, right, as shares of the sides.
        images: (n, c, h, w).
    """
    height, width = images.shape[-2:]
    y = ((torch.arange(height, device=images.device) + 0.5) / height)[:, None]
    x = (torch.arange(width, device=images.device) + 0.5) / width
    top, left, bottom, right = (edge[:, None, None] for edge in rectangles.unbind(1))
    return ((y >= top) & (y < bottom) & (x >= left) & (x < right))[:, None]
