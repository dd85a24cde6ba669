"""Random changes as drawn, and the finite set of images that can come of them."""

from __future__ import annotations

import math

import pytest
import torch
from helpers.plugin_files import Make

from mobilenet_chest import plugins
from mobilenet_chest.config import AugmentConfig
from mobilenet_chest.data.augment import OPERATIONS, SCANNER, Draws, apply, draw, endless, mix, views


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(5)


def unflipped(images: int, **numbers: torch.Tensor) -> Draws:
    return Draws(torch.zeros(images, dtype=torch.bool), numbers)


def affine(*rows: list[float]) -> Draws:
    return unflipped(len(rows), affine=torch.tensor(rows))


def test_draws() -> None:
    drawn = draw(AugmentConfig(hflip=0.25, rotation=10), 4000, generator())
    assert 0.22 < drawn.flip.float().mean() < 0.28
    angle = drawn.numbers["affine"][:, 0]
    assert angle.abs().max() <= math.radians(10)
    assert angle.min() < math.radians(-9.9)
    assert angle.max() > math.radians(9.9)
    assert torch.equal(drawn.numbers["affine"][:, 1:], torch.tensor([[0.0, 0.0, 1.0]]).expand(4000, 3))
    part = drawn.part(3, 5)
    assert torch.equal(part.flip, drawn.flip[3:5])
    assert torch.equal(part.numbers["affine"], drawn.numbers["affine"][3:5])
    again = draw(AugmentConfig(hflip=0.25), 4000, generator())
    assert torch.equal(drawn.flip, again.flip)
    assert again.numbers == {}


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
    turned = apply(images, affine([0, 0, 0, 1], [math.pi, 0, 0, 1]))
    torch.testing.assert_close(turned[0], images[0].float(), atol=1e-2, rtol=0)
    torch.testing.assert_close(turned[1], images[1].float().flip(-1).flip(-2), atol=1e-2, rtol=0)


def test_a_turn_is_rigid_whatever_the_shape() -> None:
    """A quarter of a turn about the centre: the middle square of an oblong image is that of the turned square."""
    square = torch.rand(1, 1, 5, 5, generator=generator())
    oblong = torch.nn.functional.pad(square, (3, 3, 0, 0))
    turn = affine([math.pi / 2, 0, 0, 1])
    torch.testing.assert_close(apply(oblong, turn)[..., 3:8], apply(square, turn), atol=1e-5, rtol=0)
    torch.testing.assert_close(apply(square, turn)[0, 0], square[0, 0].rot90(), atol=1e-5, rtol=0)


def test_a_shift_moves_pixels() -> None:
    images = torch.randint(0, 256, (1, 1, 6, 10), dtype=torch.uint8, generator=generator())
    moved = apply(images, affine([0, 0.2, -0.5, 1]))  # two columns right, three rows up
    torch.testing.assert_close(moved[0, 0, :3, 2:], images[0, 0, 3:, :8].float(), atol=1e-2, rtol=0)
    torch.testing.assert_close(moved[0, 0, :3, :2], images[0, 0, 3:, :1].float().expand(3, 2), atol=1e-2, rtol=0)


def test_a_shift_is_not_turned() -> None:
    """First the turn about the centre, then the shift along the picture's own axes."""
    image = torch.randint(0, 256, (1, 1, 8, 8), dtype=torch.uint8, generator=generator())
    both = apply(image, affine([math.pi / 2, 0.25, 0, 1]))
    turned = apply(image, affine([math.pi / 2, 0, 0, 1]))
    torch.testing.assert_close(both[..., 2:], turned[..., :6], atol=1e-2, rtol=0)


def test_zoom_enlarges_about_the_centre() -> None:
    image = torch.zeros(1, 1, 8, 8)
    image[..., 2:6, 2:6] = 200
    assert (apply(image, affine([0, 0, 0, 2])) >= 100).sum() == 64
    assert (apply(image, affine([0, 0, 0, 0.5])) >= 100).sum() == 4


def test_blur_is_a_gaussian() -> None:
    """Of one bright pixel: the product of two kernels, no light lost; the smallest sigma changes nothing."""
    drawn = draw(AugmentConfig(blur=1.5), 500, generator()).numbers["blur"]
    assert drawn.shape == (500, 11)
    torch.testing.assert_close(drawn.sum(1), torch.ones(500))
    spread = (drawn * torch.arange(-5, 6) ** 2).sum(1).sqrt()
    assert spread.max() == pytest.approx(1.5, abs=0.02)
    point = torch.zeros(2, 1, 21, 21)
    point[..., 10, 10] = 200
    delta = torch.eye(11)[5]
    blurred = apply(point, unflipped(2, blur=torch.stack([drawn[0], delta])))
    torch.testing.assert_close(blurred[0, 0, 5:16, 5:16], 200 * drawn[0].outer(drawn[0]))
    torch.testing.assert_close(blurred[1], point[1])


def test_contrast_keeps_the_mean_and_brightness_the_contrast() -> None:
    images = torch.randint(100, 150, (2, 1, 8, 8), dtype=torch.uint8, generator=generator())
    before = images.float()
    mean = before.mean((1, 2, 3), keepdim=True)
    changed = apply(images, unflipped(2, contrast=torch.tensor([0.5, 1.5])))
    torch.testing.assert_close(changed, mean + (before - mean) * torch.tensor([0.5, 1.5])[:, None, None, None])
    brighter = apply(images, unflipped(2, brightness=torch.tensor([20.0, -200.0])))
    torch.testing.assert_close(brighter[0], before[0] + 20)
    assert torch.equal(brighter[1], torch.zeros(1, 8, 8))


def test_how_far_changes_go() -> None:
    config = AugmentConfig(shift=0.1, scale=0.2, brightness=0.3, contrast=0.4, noise=0.05)
    numbers = draw(config, 4000, generator()).numbers
    _, right, down, zoom = numbers["affine"].unbind(1)
    for found, low, high in (
        (right, -0.1, 0.1), (down, -0.1, 0.1), (zoom, 0.8, 1.2), (numbers["brightness"], -76.5, 76.5),
        (numbers["contrast"], 0.6, 1.4), (numbers["noise"], 0, 12.75),
    ):  # fmt: skip
        assert found.min() == pytest.approx(low, abs=0.01 * (high - low))
        assert found.max() == pytest.approx(high, abs=0.01 * (high - low))


def test_noise_has_its_standard_deviation() -> None:
    torch.manual_seed(1)
    gray = torch.full((2, 1, 100, 100), 128, dtype=torch.uint8)
    changed = apply(gray, unflipped(2, noise=torch.tensor([0.0, 10.0])))
    assert torch.equal(changed[0], gray[0].float())
    assert changed[1].mean().item() == pytest.approx(128, abs=0.5)
    assert changed[1].std().item() == pytest.approx(10, abs=0.3)


def test_erasing_takes_rectangles_of_the_papers_sizes() -> None:
    drawn = draw(AugmentConfig(erasing=0.25), 8000, generator()).numbers["erasing"]
    top, left, bottom, right = drawn.unbind(1)
    area = (bottom - top) * (right - left)
    erased = area > 0
    assert erased.float().mean().item() == pytest.approx(0.25, abs=0.015)
    assert area[erased].min().item() == pytest.approx(0.02, abs=0.005)
    assert area.max() <= 0.4 + 1e-6
    assert drawn.min() >= 0
    assert drawn.max() <= 1 + 1e-6
    images = torch.randint(0, 256, (2, 1, 8, 8), dtype=torch.uint8, generator=generator())
    changed = apply(images, unflipped(2, erasing=torch.tensor([[0.25, 0.5, 0.75, 1.0], [0.3, 0.3, 0.3, 0.3]])))
    mask = torch.zeros(8, 8, dtype=torch.bool)
    mask[2:6, 4:8] = True
    torch.testing.assert_close(changed[0, 0][mask], images[0].float().mean().expand(16))
    assert torch.equal(changed[0, 0][~mask], images[0, 0].float()[~mask])
    assert torch.equal(changed[1], images[1].float())


@pytest.mark.parametrize("policy", ["trivial", "rand"])
def test_policies_change_each_image_in_its_own_way(policy: str) -> None:
    torch.manual_seed(3)
    image = torch.randint(0, 256, (1, 1, 16, 16), dtype=torch.uint8, generator=generator())
    changed = apply(image.expand(40, -1, -1, -1), unflipped(40), policy)  # type: ignore[arg-type]
    assert (changed.dtype, changed.shape) == (torch.uint8, (40, 1, 16, 16))
    assert len({tuple(each.flatten().tolist()) for each in changed}) > 20
    # no inversion: bright pixels stay the bright ones, unless they were moved
    assert {"Color", "Invert", "Solarize", "Posterize"}.isdisjoint(OPERATIONS)


@pytest.mark.parametrize(
    ("fields", "name", "low", "high"),
    [
        ({"gamma": 1.0}, "gamma", 0.5, 2.0),
        ({"local_contrast": 0.3}, "local_contrast", 0.7, 1.3),
        ({"sharpness": 1.5}, "sharpness", 0.0, 1.5),
        ({"resample": 0.6}, "resample", 0.4, 1.0),
        ({"jpeg": 30}, "jpeg", 30, 100),
    ],
)
def test_changes_of_pixels_keep_place_and_are_drawn_by_the_seed(
    fields: dict[str, float], name: str, low: float, high: float
) -> None:
    """A bright spot stays where it was, in each image's own strength; the same seed gives the same images."""
    drawn = draw(AugmentConfig(hflip=0, **fields), 2000, generator())  # type: ignore[arg-type]
    numbers = drawn.numbers[name]
    assert numbers.min().item() == pytest.approx(low, abs=0.02 * (high - low))
    assert numbers.max().item() == pytest.approx(high, abs=0.02 * (high - low))
    image = 60 + 20 * torch.rand(1, 1, 24, 24, generator=generator())
    image[..., 4:10, 12:18] = 200
    images = image.byte().expand(40, -1, -1, -1)
    changed = apply(images, drawn.part(0, 40))
    again = draw(AugmentConfig(hflip=0, **fields), 2000, generator())  # type: ignore[arg-type]
    assert torch.equal(apply(images, again.part(0, 40)), changed)
    assert (changed.dtype, changed.shape) == (torch.float32, (40, 1, 24, 24))
    assert 0 <= changed.min() <= changed.max() <= 255
    assert len({tuple(each.flatten().tolist()) for each in changed}) > 10  # of a side of 24, 15 shares are whole pixels
    inside, outside = changed[..., 5:9, 13:17].mean((1, 2, 3)), changed[..., 14:, :].mean((1, 2, 3))
    assert (inside > outside + 60).all()


def test_crops_have_the_asked_areas_and_lie_in_the_image() -> None:
    drawn = draw(AugmentConfig(hflip=0, crop={"scale": [0.3, 0.9], "ratio": [0.5, 2]}), 4000, generator())  # type: ignore[arg-type]
    x, y, width, height = drawn.numbers["crop"].unbind(1)
    area, free = width * height, (width < 1) & (height < 1)
    assert area.min().item() == pytest.approx(0.3, abs=0.01)
    assert area.max() <= 0.9 + 1e-6
    ratio = (width / height)[free]
    assert ratio.min() >= 0.5 - 1e-6
    assert ratio.max() <= 2 + 1e-6
    assert (x.abs() + width).max() <= 1 + 1e-6
    assert (y.abs() + height).max() <= 1 + 1e-6
    images = torch.zeros(8, 1, 12, 12, dtype=torch.uint8)
    images[..., 6:] = 200  # what is right stays right
    changed = apply(images, drawn.part(0, 8))
    assert (changed[..., 0].mean((1, 2)) <= changed[..., -1].mean((1, 2))).all()
    assert endless(AugmentConfig(crop={})) == ["crop"]  # type: ignore[arg-type]


def test_the_policy_scanner_makes_one_change_of_each_image() -> None:
    drawn = draw(AugmentConfig(hflip=0, policy="scanner"), 1100, generator())
    assert drawn.chosen is not None
    assert set(drawn.scanner) == set(endless(SCANNER))
    assert torch.bincount(drawn.chosen, minlength=11).min() > 60  # ten changes, and none
    image = torch.randint(0, 256, (1, 1, 16, 16), dtype=torch.uint8, generator=generator()).expand(1100, -1, -1, -1)
    part = drawn.part(100, 140).to(torch.device("cpu"))
    torch.manual_seed(1)
    changed = apply(image[:40], part, "scanner")
    assert part.chosen is not None
    for row, number in enumerate(part.chosen.tolist()):
        name = [*drawn.scanner, None][number]
        if name is None:
            assert torch.equal(changed[row], image[0].float())
        elif name != "noise":
            alone = apply(image[:1], unflipped(1, **{name: drawn.scanner[name][100 + row : 101 + row]}))
            torch.testing.assert_close(changed[row], alone[0], atol=1e-3, rtol=0)


def test_mixup_mixes_labels_as_images() -> None:
    """An image's gray value stands for its label here."""
    torch.manual_seed(4)
    labels = torch.tensor([0.0, 1.0, 1.0, 0.0, 1.0])
    images = (labels * 200).byte()[:, None, None, None].expand(5, 1, 4, 4)
    mixed, shares = mix(images, labels, AugmentConfig(mixup=1.0))
    torch.testing.assert_close(mixed.mean((1, 2, 3)) / 200, shares)
    assert shares.dtype == torch.float32
    assert ((shares > 0) & (shares < 1)).any()


def test_cutmix_mixes_labels_by_area() -> None:
    torch.manual_seed(5)
    labels = torch.tensor([0.0, 1.0] * 8)
    images = (labels * 200).byte()[:, None, None, None].expand(16, 1, 16, 16)
    for _ in range(10):
        mixed, shares = mix(images, labels, AugmentConfig(cutmix=1.0))
        assert set(mixed.unique().tolist()) <= {0.0, 200.0}
        torch.testing.assert_close(mixed.mean((1, 2, 3)) / 200, shares)


def test_both_mixtures_take_turns() -> None:
    torch.manual_seed(6)
    labels = torch.tensor([0.0, 1.0] * 4)
    images = (labels * 200).byte()[:, None, None, None].expand(8, 1, 16, 16)
    mixed = [mix(images, labels, AugmentConfig(mixup=1.0, cutmix=1.0))[0] for _ in range(20)]
    assert {bool(((one > 0) & (one < 200)).any()) for one in mixed} == {True, False}


@pytest.mark.parametrize(
    ("hflip", "rotation", "expected"),
    [(0.5, 0, (False, True)), (0, 0, (False,)), (1, 0, (True,)), (0.5, 3, None), (0, 0.5, None)],
)
def test_views(hflip: float, rotation: float, expected: tuple[bool, ...] | None) -> None:
    assert views(AugmentConfig(hflip=hflip, rotation=rotation)) == expected


def test_a_plugin_s_augmentation_comes_last_and_draws_from_the_global_generator(with_plugin: Make) -> None:
    config = with_plugin({"augment": {"custom": {"gamma": 0.5}, "brightness": 0.1, "hflip": 0}})
    plugins.activate(config.plugins)
    images = torch.full((6, 1, 4, 4), 100, dtype=torch.uint8)
    drawn = draw(config.augment, 6, torch.Generator().manual_seed(1))
    plain = apply(images, Draws(drawn.flip, drawn.numbers))
    torch.manual_seed(2)
    changed = apply(images, drawn.part(0, 6).to(torch.device("cpu")))
    torch.manual_seed(2)
    power = 1 + (torch.rand(6, 1, 1, 1) * 2 - 1) * 0.5
    assert torch.allclose(changed, 255 * (plain / 255) ** power)
    assert changed.dtype == torch.float32
    assert endless(config.augment) == ["brightness", "custom.gamma"]
    assert views(config.augment) is None
    off = with_plugin({"augment": {"custom": {"gamma": 0}}}).augment
    assert endless(off) == []
    assert apply(images, draw(off, 6, torch.Generator())).dtype == torch.uint8
