"""Corruptions: a copy depends on its row alone, severities rise, and families are in two halves."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance

from mobilenet_chest.data.corruptions import CHOOSING, CORRUPTIONS, HELD_OUT, SEVERITIES, Dice, corrupted, members
from mobilenet_chest.data.phantom import generate

ROWS = np.array([3, 8, 20, 21])


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    """Return four synthetic radiographs, uint8 (4, 1, 32, 32)."""
    return torch.from_numpy(generate(32, {"train": 4, "val": 1, "test": 1})["train_images"])[:, None]


def test_every_family_is_in_one_half() -> None:
    families = {corruption.family for corruption in CORRUPTIONS.values()}
    assert families == {*CHOOSING, *HELD_OUT}
    assert len(CHOOSING) == len(HELD_OUT) == 5
    assert set(CHOOSING).isdisjoint(HELD_OUT)
    assert sum(len(members(family)) for family in families) == len(CORRUPTIONS)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_copy_depends_on_its_row_alone(images: torch.Tensor, name: str) -> None:
    together = corrupted(images, ROWS, name, 3)
    assert (together.dtype, together.shape) == (torch.uint8, images.shape)
    torch.manual_seed(99)
    turned = corrupted(images.flip(0), ROWS[::-1].copy(), name, 3).flip(0)
    alone = torch.cat([corrupted(images[k : k + 1], ROWS[k : k + 1], name, 3) for k in range(4)])
    # sums in another order may round a pixel the other way
    for other in (turned, alone):
        difference = (other.int() - together.int()).abs()
        assert difference.max() <= 1
        assert (difference > 0).float().mean() < 0.01
    assert torch.equal(corrupted(images, ROWS, name, 3), together)


@pytest.mark.parametrize("name", sorted(set(CORRUPTIONS) - {"inversion"}))
def test_severities_rise(images: torch.Tensor, name: str) -> None:
    """The mean change over 40 rows, so that what a row draws does not count."""
    many, rows = images.repeat(10, 1, 1, 1), np.arange(40)
    changes = [(corrupted(many, rows, name, s).float() - many.float()).abs().mean().item() for s in SEVERITIES]
    assert 0 < changes[0] < changes[2] < changes[4]


def test_inversion_exchanges_black_and_white_of_a_share_of_the_rows(images: torch.Tensor) -> None:
    many, rows = images[:1].expand(400, -1, -1, -1), np.arange(400)
    for severity, share in ((1, 0.1), (5, 0.5)):
        copies = corrupted(many, rows, "inversion", severity)
        inverted = (copies == 255 - many).flatten(1).all(1)
        assert torch.equal(copies[~inverted], many[~inverted])
        assert inverted.float().mean().item() == pytest.approx(share, abs=0.06)


@pytest.mark.parametrize(
    ("name", "enhance"), [("exposure", ImageEnhance.Brightness), ("contrast", ImageEnhance.Contrast)]
)
def test_tone_as_medmnist_c_has_it(images: torch.Tensor, name: str, enhance: type) -> None:
    """MedMNIST-C takes Pillow's enhancers, which cut fractions off where copies are rounded."""
    for severity in (1, 5):
        copies, level = corrupted(images, ROWS, name, severity), CORRUPTIONS[name].levels[severity - 1]
        factors = Dice.of(name, severity, ROWS).either(level)
        for image, copy, factor in zip(images, copies, factors.tolist(), strict=True):
            theirs = np.asarray(enhance(Image.fromarray(image[0].numpy())).enhance(factor), np.int64)
            assert np.abs(copy[0].numpy() - theirs).max() <= 1


def test_noise_has_the_deviation_of_its_level() -> None:
    gray = torch.full((40, 1, 32, 32), 128, dtype=torch.uint8)
    electronic = corrupted(gray, np.arange(40), "electronic_noise", 5).float()
    assert electronic.std().item() == pytest.approx(0.08 * 255, rel=0.03)
    quantum = corrupted(gray, np.arange(40), "quantum_noise", 5).float()
    # a Poisson variable's variance is its mean, here of 80 · 128 / 255 photons
    assert quantum.std().item() == pytest.approx(255 * (80 * 128 / 255) ** 0.5 / 80, rel=0.03)
    assert quantum.mean().item() == pytest.approx(128, abs=0.5)
    assert len({tuple(copy.flatten().tolist()) for copy in electronic}) == 40


def test_borders_are_black_and_the_rest_stays(images: torch.Tensor) -> None:
    bright = images.clamp(min=20)
    copies = corrupted(bright, ROWS, "collimation", 5)
    assert torch.equal(copies[copies > 0], bright[copies > 0])
    assert (copies[:, :, [0, -1]] == 0).all()
    assert (copies[..., 7:-7, 7:-7] > 0).all()
    smaller = corrupted(torch.full_like(images, 200), ROWS, "zoom_out", 5)
    assert (smaller == 200).float().mean().item() == pytest.approx(0.75**2, abs=0.03)


def test_a_marker_is_white_and_small(images: torch.Tensor) -> None:
    dark = images.clamp(max=150)
    copies = corrupted(dark, ROWS, "marker", 5)
    changed = copies != dark
    assert (copies == 255).flatten(1).any(1).all()
    assert changed.float().mean() < 0.05
    assert not changed[..., 16:, :].any()


def test_resolution_is_a_share_of_the_stored_pixels(images: torch.Tensor) -> None:
    """Of an image that was enlarged four times, a share of the enlarged sides would lose nothing."""
    enlarged = torch.nn.functional.interpolate(images.float(), scale_factor=4, mode="bilinear").byte()
    as_stored, as_enlarged = (corrupted(enlarged, ROWS, "resolution", 5, stored).float() for stored in (32, None))
    changes = [(copies - enlarged.float()).abs().mean().item() for copies in (as_stored, as_enlarged)]
    assert changes[0] > 2 * changes[1]
