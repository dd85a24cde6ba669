"""JPEG as tensor operations, against Pillow's."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image

from mobilenet_chest.data.jpeg import compressed


def picture(channels: int) -> torch.Tensor:
    """Return a smooth picture with an edge and some noise, uint8 (c, 20, 28): its sides are no multiples of 8."""
    torch.manual_seed(7)
    y, x = torch.arange(20)[:, None], torch.arange(28)
    smooth = 110 + 60 * torch.sin(x / 5 + torch.arange(channels)[:, None, None]) + 2.0 * y + 40 * (x > 14)
    return (smooth + 4 * torch.randn(channels, 20, 28)).clamp(0, 255).byte()


@pytest.mark.parametrize("channels", [1, 3])
def test_as_pillow(channels: int) -> None:
    image = picture(channels)
    pixels = image[0].numpy() if channels == 1 else image.permute(1, 2, 0).numpy()
    qualities = [90, 50, 20, 7]
    changed = compressed(image.float().expand(4, -1, -1, -1), torch.tensor([float(q) for q in qualities]))
    for quality, mine in zip(qualities, changed, strict=True):
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "JPEG", quality=quality, subsampling=0)
        with Image.open(file) as opened:
            theirs = np.asarray(opened, np.float32).reshape(20, 28, channels).transpose(2, 0, 1)
        difference = np.abs(mine.round().numpy() - theirs)
        # a coefficient half way between two steps may fall to either, and Pillow rounds colours to whole numbers
        assert difference.mean() < (0.5 if channels == 1 else 1.2)
        if quality == 7:
            assert difference.max() <= 1


def test_each_image_has_its_quality_and_0_is_none() -> None:
    image = picture(1).float().expand(3, -1, -1, -1)
    changed = compressed(image, torch.tensor([0.0, 95.0, 5.0]))
    assert torch.equal(changed[0], image[0])
    errors = (changed - image).abs().mean((1, 2, 3))
    assert 0 < errors[1] < 2 < 5 < errors[2]
