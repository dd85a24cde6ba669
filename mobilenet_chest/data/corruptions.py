"""What another scanner, technician or archive makes of a radiograph: corruptions of images in five severities.

The copy of a row depends on the row's image and number, on the corruption and its severity, and on nothing else: not on
the other rows, their order or the device. One half of the families may choose epochs, trials, soups and thresholds; the
other half is held out, and only reported.

Where :data:`CORRUPTIONS` says MedMNIST-C (Di Salvo et al., MedMNIST-C, 2024), the values are those of its X-ray sets.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from mobilenet_chest.data import filters, jpeg
from mobilenet_chest.data.filters import WHITE, each
from mobilenet_chest.data.geometry import inside, warped

SEVERITIES = (1, 2, 3, 4, 5)

VERSION = 1
"""Part of the digests of stressed sets; raised when a copy changes."""

LETTER_L = ("10000", "10000", "10000", "10000", "10000", "10000", "11111")
"""The marker of the left side, as it lies on a cassette."""

Change = Callable[[Tensor, "Level", "Dice"], Tensor]
"""Float images (n, c, h, w) of 0 to 255 -> the same, changed; values may leave that range."""

Level = float | tuple[float, float]
"""How strong a corruption is: its parameter at one severity, or the parameter's value for either direction."""


class Dice(NamedTuple):
    """The random numbers of rows, which depend on corruption, severity and row number alone.

    Attributes:
        shares: float32 (n, 4), uniform in [0, 1).
        seeds: Of a generator of each row.
    """

    shares: Tensor
    seeds: list[int]

    @classmethod
    def of(cls, name: str, severity: int, rows: NDArray[np.int64]) -> Dice:
        """Return the numbers of rows under a corruption at a severity."""
        digests = [hashlib.sha256(f"{name} {severity} {row}".encode()).digest() for row in rows.tolist()]
        words = np.frombuffer(b"".join(digests), "<u4").reshape(-1, 8)
        shares = torch.from_numpy((words[:, :4] / 2**32).astype(np.float32)).clamp(max=1 - 2**-24)
        return cls(shares, (words[:, 4].astype(np.int64) + 1).tolist())

    def either(self, level: Level) -> Tensor:
        """Return for each row one of the two values of a parameter, (n,)."""
        assert isinstance(level, tuple)
        return torch.where(self.shares[:, 0] < 0.5, level[0], level[1])

    def fields(self, images: Tensor, kind: Callable[[torch.Generator], Tensor]) -> Tensor:
        """Return a field of random numbers for each image, drawn by the row's own generator on the CPU."""
        drawn = [kind(torch.Generator().manual_seed(seed)) for seed in self.seeds]
        return torch.stack(drawn).to(images.device)


class Corruption(NamedTuple):
    """One thing that may happen to an image.

    Attributes:
        family: What it belongs to; a family is held out as a whole.
        change: The function.
        levels: Its parameter at severities 1 to 5.
        source: The physics, or where the values are from.
        of_stored: Whether the parameter is a share of the pixels that the file had, which resizing has not added to.
    """

    family: str
    change: Change
    levels: tuple[Level, Level, Level, Level, Level]
    source: str
    of_stored: bool = False


def corrupted(
    images: Tensor, rows: NDArray[np.int64], name: str, severity: int, stored: int | None = None
) -> Tensor:  # fmt: skip
    """Return images as a corruption makes them, uint8 (n, c, h, w), on their device.

    Args:
        images: uint8 (n, c, h, w).
        rows: Their row numbers, (n,).
        name: One of :data:`CORRUPTIONS`.
        severity: 1 to 5.
        stored: Side in pixels of the images in their file; as it is by default.
    """
    corruption, dice = CORRUPTIONS[name], Dice.of(name, severity, rows)
    level = corruption.levels[severity - 1]
    if corruption.of_stored and stored is not None:
        level = float(level) * min(1, stored / images.shape[-1])  # type: ignore[arg-type]
    changed = corruption.change(images.float(), level, dice._replace(shares=dice.shares.to(images.device)))
    return changed.round().clamp(0, WHITE).byte()


def _strength(level: Level, images: Tensor) -> Tensor:
    return torch.full((len(images),), float(level), device=images.device)  # type: ignore[arg-type]


def _exposure(images: Tensor, level: Level, dice: Dice) -> Tensor:
    return images * each(dice.either(level))


def _gamma(images: Tensor, level: Level, dice: Dice) -> Tensor:
    return filters.gamma(images, dice.either(level))


def _contrast(images: Tensor, level: Level, dice: Dice) -> Tensor:
    mean = images.mean((1, 2, 3), keepdim=True)
    return mean + (images - mean) * each(dice.either(level))


def _window(images: Tensor, level: Level, dice: Dice) -> Tensor:
    width = WHITE * each(_strength(level, images))
    centre = WHITE * each(0.4 + 0.2 * dice.shares[:, 0])
    return WHITE * ((images - centre) / width + 0.5)


def _quantum_noise(images: Tensor, level: Level, dice: Dice) -> Tensor:
    photons = images / WHITE * float(level)  # type: ignore[arg-type]
    places = iter(photons.cpu())
    return WHITE / float(level) * dice.fields(images, lambda drawn: torch.poisson(next(places), drawn))  # type: ignore[arg-type]


def _electronic_noise(images: Tensor, level: Level, dice: Dice) -> Tensor:
    shape = images.shape[1:]
    noise = dice.fields(images, lambda drawn: torch.randn(shape, generator=drawn))
    return images + WHITE * float(level) * noise  # type: ignore[arg-type]


def _blur(images: Tensor, level: Level, dice: Dice) -> Tensor:
    sigma = float(level) * images.shape[-1]  # type: ignore[arg-type]
    weights = filters.gaussian(torch.full((1, 1), sigma, device=images.device), math.ceil(3 * sigma))
    return filters.blurred(images, weights.expand(len(images), -1))


def _motion(images: Tensor, level: Level, dice: Dice) -> Tensor:
    """Return the mean of the image at seven places along a line of the given length."""
    angle = math.pi * dice.shares[:, 0]
    still = torch.zeros(len(images), device=images.device)
    steps = torch.linspace(-0.5, 0.5, 7).tolist()
    shifted = [
        warped(images, torch.stack([still, far * angle.cos(), far * angle.sin(), still + 1], dim=1))
        for far in (float(level) * step for step in steps)  # type: ignore[arg-type]
    ]
    return torch.stack(shifted).mean(0)


def _resolution(images: Tensor, level: Level, dice: Dice) -> Tensor:
    return filters.resampled(images, _strength(level, images))


def _jpeg(images: Tensor, level: Level, dice: Dice) -> Tensor:
    return jpeg.compressed(images, _strength(level, images))


def _crop(images: Tensor, level: Level, dice: Dice) -> Tensor:
    side = _strength(level, images)
    centre = (dice.shares[:, :2] * 2 - 1) * (1 - side)[:, None]
    return warped(images, crop=torch.cat([centre, side[:, None], side[:, None]], dim=1))


def _zoom_out(images: Tensor, level: Level, dice: Dice) -> Tensor:
    """Return the whole image smaller on black, as of a larger detector."""
    side = _strength(level, images)
    free = (1 - side)[:, None]
    corner = dice.shares[:, :2] * free
    edges = torch.cat([corner, corner + side[:, None]], dim=1)  # top, left, bottom, right
    middle = corner + side[:, None] / 2
    # the crop that is larger than the image: where its middle lies, seen from the small image
    centre = (0.5 - middle.flip(1)) * 2 / side[:, None]
    shown = warped(images, crop=torch.cat([centre, (1 / side)[:, None].expand(-1, 2)], dim=1))
    return torch.where(inside(edges, images), shown, 0)


def _rotation(images: Tensor, level: Level, dice: Dice) -> Tensor:
    angle = torch.deg2rad(dice.either(level))
    nothing = torch.zeros_like(angle)
    return warped(images, torch.stack([angle, nothing, nothing, nothing + 1], dim=1))


def _shift(images: Tensor, level: Level, dice: Dice) -> Tensor:
    angle, far = 2 * math.pi * dice.shares[:, 0], float(level)  # type: ignore[arg-type]
    nothing = torch.zeros_like(angle)
    return warped(images, torch.stack([nothing, far * angle.cos(), far * angle.sin(), nothing + 1], dim=1))


def _collimation(images: Tensor, level: Level, dice: Dice) -> Tensor:
    """Return images with black borders; each side's is between half of the level and all of it."""
    width = float(level) * (0.5 + 0.5 * dice.shares)  # type: ignore[arg-type]
    edges = torch.cat([width[:, :2], 1 - width[:, 2:]], dim=1)
    return torch.where(inside(edges, images), images, 0)


def _marker(images: Tensor, level: Level, dice: Dice) -> Tensor:
    """Return images with a white letter of the given height near an upper corner."""
    letter = torch.tensor([[float(dot) for dot in line] for line in LETTER_L], device=images.device)[None, None]
    height = max(2, round(float(level) * images.shape[-2]))  # type: ignore[arg-type]
    letter = functional.interpolate(letter, (height, max(2, round(height * 5 / 7))), mode="area")[0, 0]
    tall, wide = letter.shape
    marked = images.clone()
    for image, (side, across, down) in zip(marked, dice.shares[:, :3].tolist(), strict=True):
        left = round(0.03 * image.shape[-1] + across * 0.12 * image.shape[-1])
        left = left if side < 0.5 else image.shape[-1] - left - wide
        top = round(0.03 * image.shape[-2] + down * 0.12 * image.shape[-2])
        image[:, top : top + tall, left : left + wide].mul_(1 - letter).add_(WHITE * letter)
    return marked


def _inversion(images: Tensor, level: Level, dice: Dice) -> Tensor:
    return torch.where(each(dice.shares[:, 0]) < float(level), WHITE - images, images)  # type: ignore[arg-type]


UP_DOWN = ((1.1, 0.9), (1.2, 0.8), (1.3, 0.7), (1.4, 0.6), (1.5, 0.5))

CORRUPTIONS = {
    "exposure": Corruption("exposure", _exposure, UP_DOWN,
        "Gray values times a factor, up or down: dose, and the scale of the display. MedMNIST-C, brightness."),
    "gamma": Corruption("exposure", _gamma, ((1.1, 0.9), (1.2, 0.8), (1.3, 0.7), (1.4, 0.6), (1.6, 0.4)),
        "Exponent of gray values: the characteristic curve of film and display. MedMNIST-C, gamma correction."),
    "quantum_noise": Corruption("noise", _quantum_noise, (300, 200, 150, 100, 80),
        "Poisson noise of so many photons at white: low dose. MedMNIST-C (PneumoniaMNIST), shot noise."),
    "electronic_noise": Corruption("noise", _electronic_noise, (0.04, 0.05, 0.06, 0.07, 0.08),
        "Gaussian noise of this standard deviation; 1 is white. MedMNIST-C (PneumoniaMNIST), Gaussian noise."),
    "resolution": Corruption("resolution", _resolution, (0.8, 0.7, 0.6, 0.5, 0.4),
        "Reduced to this share of the stored sides, and enlarged: a coarser detector or archive. MedMNIST-C, pixelate.",
        of_stored=True),
    "crop": Corruption("field", _crop, (0.95, 0.9, 0.85, 0.8, 0.75),
        "A part of this share of the sides, anywhere, enlarged: a tighter field of view."),
    "zoom_out": Corruption("field", _zoom_out, (0.95, 0.9, 0.85, 0.8, 0.75),
        "The image at this share of its size on black, anywhere: a larger detector, or padding to a square."),
    "collimation": Corruption("overlay", _collimation, (0.04, 0.08, 0.12, 0.16, 0.2),
        "Black borders of up to this share of the side: the collimator's blades, which stop the beam."),
    "marker": Corruption("overlay", _marker, (0.1, 0.13, 0.16, 0.19, 0.22),
        "A white letter L of this height near an upper corner: lead markers and burned-in text."),
    "contrast": Corruption("contrast", _contrast, ((1.1, 0.9), (1.2, 0.8), (1.3, 0.7), (1.4, 0.6), (1.6, 0.4)),
        "Distance from the image's mean times a factor: tube voltage and scatter. MedMNIST-C, contrast."),
    "window": Corruption("contrast", _window, (0.9, 0.8, 0.7, 0.6, 0.5),
        "A window of this share of the gray values, its centre at 40% to 60%: another display preset, which cuts off."),
    "blur": Corruption("blur", _blur, (0.01, 0.0125, 0.015, 0.02, 0.025),
        "Gaussian blur, standard deviation as a share of the side: focal spot, detector. MedMNIST-C has 0.4% to 1%."),
    "motion": Corruption("blur", _motion, (0.02, 0.03, 0.04, 0.06, 0.08),
        "Mean over a movement of this share of the side: breath and heart during a long exposure."),
    "jpeg": Corruption("compression", _jpeg, (50, 30, 15, 10, 7),
        "JPEG of this quality: lossy archives and teaching files. MedMNIST-C, JPEG compression."),
    "rotation": Corruption("placement", _rotation, ((3, -3), (6, -6), (9, -9), (12, -12), (15, -15)),
        "Turned by so many degrees, either way: a patient who leans."),
    "shift": Corruption("placement", _shift, (0.02, 0.04, 0.06, 0.08, 0.1),
        "Moved by this share of the side in any direction: a patient off the centre."),
    "inversion": Corruption("lookup", _inversion, (0.1, 0.2, 0.3, 0.4, 0.5),
        "This share of the rows with black and white exchanged: MONOCHROME1 read as MONOCHROME2."),
}  # fmt: skip
"""All corruptions, by name."""

CHOOSING = ("exposure", "noise", "resolution", "field", "overlay")
"""Families that may choose."""

HELD_OUT = ("contrast", "blur", "compression", "placement", "lookup")
"""Families that choose nothing: what they show was not selected for."""


def members(family: str) -> list[str]:
    """Return the names of a family's corruptions."""
    return [name for name, corruption in CORRUPTIONS.items() if corruption.family == family]
