"""Random changes as drawn, and the finite set of images that can come of them."""

from __future__ import annotations

import math

import pytest
import torch

from mobilenet_chest.config import AugmentConfig
from mobilenet_chest.data.augment import Draws, apply, draw, views


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(5)


def test_draws() -> None:
    drawn = draw(AugmentConfig(hflip=0.25, rotation=10), 4000, generator())
    assert 0.22 < drawn.flip.float().mean() < 0.28
    assert drawn.angle is not None
    assert drawn.angle.abs().max() <= math.radians(10)
    assert drawn.angle.min() < math.radians(-9.9)
    assert drawn.angle.max() > math.radians(9.9)
    part = drawn.part(3, 5)
    assert part.angle is not None
    assert torch.equal(part.flip, drawn.flip[3:5])
    assert torch.equal(part.angle, drawn.angle[3:5])
    again = draw(AugmentConfig(hflip=0.25), 4000, generator())
    assert torch.equal(drawn.flip, again.flip)
    assert again.angle is None


def test_flips_are_exact() -> None:
    images = torch.randint(0, 256, (3, 1, 4, 5), dtype=torch.uint8, generator=generator())
    changed = apply(images, Draws(torch.tensor([True, False, True])))
    assert changed.dtype == torch.uint8
    assert torch.equal(changed[1], images[1])
    assert torch.equal(changed[0], images[0].flip(-1))
    assert torch.equal(changed[2], images[2].flip(-1))


@pytest.mark.parametrize(("height", "width"), [(9, 9), (8, 8), (7, 11)])
def test_half_a_turn_is_exact(height: int, width: int) -> None:
    images = torch.randint(0, 256, (2, 3, height, width), dtype=torch.uint8, generator=generator())
    turned = apply(images, Draws(torch.tensor([False, False]), torch.tensor([0.0, math.pi])))
    torch.testing.assert_close(turned[0], images[0].float(), atol=1e-2, rtol=0)
    torch.testing.assert_close(turned[1], images[1].float().flip(-1).flip(-2), atol=1e-2, rtol=0)


def test_a_turn_is_rigid_whatever_the_shape() -> None:
    """A quarter of a turn about the centre: the middle square of an oblong image is that of the turned square."""
    square = torch.rand(1, 1, 5, 5, generator=generator())
    oblong = torch.nn.functional.pad(square, (3, 3, 0, 0))
    turn = Draws(torch.tensor([False]), torch.tensor([math.pi / 2]))
    torch.testing.assert_close(apply(oblong, turn)[..., 3:8], apply(square, turn), atol=1e-5, rtol=0)
    torch.testing.assert_close(apply(square, turn)[0, 0], square[0, 0].rot90(), atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("hflip", "rotation", "expected"),
    [(0.5, 0, (False, True)), (0, 0, (False,)), (1, 0, (True,)), (0.5, 3, None), (0, 0.5, None)],
)
def test_views(hflip: float, rotation: float, expected: tuple[bool, ...] | None) -> None:
    assert views(AugmentConfig(hflip=hflip, rotation=rotation)) == expected
