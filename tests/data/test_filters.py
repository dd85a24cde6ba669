"""Filters with a strength for each image, against the same in other words."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from mobilenet_chest.data import filters


def images(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(5)) * 255


def test_gamma() -> None:
    changed = filters.gamma(torch.tensor([0.0, 127.5, 255.0]).expand(2, 1, 1, 3), torch.tensor([2.0, 0.5]))
    torch.testing.assert_close(changed[0, 0, 0], torch.tensor([0.0, 63.75, 255.0]))
    torch.testing.assert_close(changed[1, 0, 0], torch.tensor([0.0, 255 * 0.5**0.5, 255.0]))


def test_sharpened_edges_are_steeper_and_flat_parts_stay() -> None:
    step = torch.zeros(2, 1, 8, 16)
    step[..., 8:] = 100
    changed = filters.sharpened(step, torch.tensor([0.0, 1.0]))
    assert torch.equal(changed[0], step[0])
    line = changed[1, 0, 4]
    assert (line[8] - line[7]).item() > 150
    torch.testing.assert_close(line[[0, 15]], torch.tensor([0.0, 100.0]), atol=1e-3, rtol=0)


def test_local_contrast_is_about_the_mean_around_a_pixel() -> None:
    image = images(2, 1, 16, 16)
    changed = filters.local_contrast(image, torch.tensor([1.0, 1.5]))
    torch.testing.assert_close(changed[0], image[0])
    around = image[1, 0, 6:11, 6:11].mean()  # five pixels: a quarter of the side, made odd
    torch.testing.assert_close(changed[1, 0, 8, 8], around + 1.5 * (image[1, 0, 8, 8] - around))
    corner = image[1, 0, :3, :3].mean()
    torch.testing.assert_close(changed[1, 0, 0, 0], corner + 1.5 * (image[1, 0, 0, 0] - corner))


@pytest.mark.parametrize(("height", "width"), [(16, 16), (16, 24)])
def test_resampled_as_torch_resizes(height: int, width: int) -> None:
    image = images(3, 1, height, width)
    changed = filters.resampled(image, torch.tensor([1.0, 0.5, 0.37]))
    torch.testing.assert_close(changed[0], image[0])
    for row, share in ((1, 0.5), (2, 0.37)):
        small = [round(height * share), round(width * share)]
        reduced = functional.interpolate(image[row : row + 1], small, mode="area")
        if share == 0.5:  # torch's area takes whole pixels only
            enlarged = functional.interpolate(reduced, (height, width), mode="bilinear")
            torch.testing.assert_close(changed[row : row + 1], enlarged)
        assert changed[row].mean().item() == pytest.approx(image[row].mean().item(), rel=0.05)
        assert changed[row].std() < 0.8 * image[row].std()
