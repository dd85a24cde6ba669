"""Crops alone and behind a change of place; the change of place itself is tested with the augmentations."""

from __future__ import annotations

import math

import torch

from mobilenet_chest.data.geometry import inside, warped


def images(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(5)) * 255


def test_a_crop_enlarges_its_part() -> None:
    image = torch.zeros(1, 1, 8, 8)
    image[..., 4:8, 0:4] = 200  # the lower left quarter
    quarter = torch.tensor([[-0.5, 0.5, 0.5, 0.5]])
    assert (warped(image, crop=quarter)[..., 1:, :-1] > 150).all()
    whole = torch.tensor([[0.0, 0.0, 1.0, 1.0]])
    torch.testing.assert_close(warped(image, crop=whole), image, atol=1e-3, rtol=0)


def test_a_crop_is_of_the_moved_image() -> None:
    """In one sampling as in two; inside, where no border is repeated, for a turn that moves whole pixels."""
    image = images(2, 1, 8, 8)
    turn = torch.tensor([[math.pi / 2, 0.0, 0.0, 1.0]] * 2)
    crop = torch.tensor([[0.5, -0.5, 0.5, 0.5], [0.0, 0.0, 0.5, 0.25]])
    torch.testing.assert_close(warped(image, turn, crop), warped(warped(image, turn), crop=crop), atol=1e-2, rtol=0)


def test_inside() -> None:
    mask = inside(torch.tensor([[0.25, 0.5, 0.75, 1.0], [0.3, 0.3, 0.3, 0.3]]), torch.zeros(2, 1, 8, 8))
    expected = torch.zeros(8, 8, dtype=torch.bool)
    expected[2:6, 4:8] = True
    assert torch.equal(mask[0, 0], expected)
    assert not mask[1].any()
