"""Random changes to batches of training images, as tensor operations on the batch's device."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache as once
from typing import Any, Literal

import torch
from torch import Tensor

from mobilenet_chest import plugins
from mobilenet_chest.config import AugmentConfig, CropConfig
from mobilenet_chest.data import filters, jpeg
from mobilenet_chest.data.filters import WHITE, each
from mobilenet_chest.data.geometry import inside, warped
from mobilenet_chest.errors import PluginFailed

ERASED_AREA, ERASED_ASPECT = (0.02, 0.4), (0.3, 1 / 0.3)
"""Zhong et al., Random Erasing Data Augmentation, 2020, section 4.1."""

Policy = Literal["trivial", "rand", "scanner"]

SCANNER = AugmentConfig(
    hflip=0, crop=CropConfig(scale=(0.5, 1)), blur=1.5, contrast=0.4, brightness=0.2, noise=0.08, gamma=0.6,
    local_contrast=0.5, sharpness=1.5, resample=0.6, jpeg=20,
)  # fmt: skip
"""The changes of the policy ``scanner``, one of which is drawn for each image: what another scanner, technician or
archive makes of a radiograph, about as far as severity 3 of :mod:`mobilenet_chest.data.corruptions`."""

OPERATIONS: dict[str, tuple[Callable[[int, int, int], Tensor | None], bool]] = {
    "Identity": (lambda bins, height, width: None, False),
    "ShearX": (lambda bins, height, width: torch.linspace(0, 0.3, bins), True),
    "ShearY": (lambda bins, height, width: torch.linspace(0, 0.3, bins), True),
    "TranslateX": (lambda bins, height, width: torch.linspace(0, 0.1 * width, bins), True),
    "TranslateY": (lambda bins, height, width: torch.linspace(0, 0.1 * height, bins), True),
    "Rotate": (lambda bins, height, width: torch.linspace(0, 30, bins), True),
    "Brightness": (lambda bins, height, width: torch.linspace(0, 0.5, bins), True),
    "Contrast": (lambda bins, height, width: torch.linspace(0, 0.5, bins), True),
    "Sharpness": (lambda bins, height, width: torch.linspace(0, 0.9, bins), True),
    "AutoContrast": (lambda bins, height, width: None, False),
    "Equalize": (lambda bins, height, width: None, False),
}
"""The operations of the policies, in torchvision's own form: magnitudes, and whether either sign is drawn.

Saturation is left out, since gray images have none. So are inversion, solarisation and posterisation, which change
what a gray value means. Shifts and angles are those of a badly placed patient, not of photographs."""


@dataclass(frozen=True, eq=False)
class Draws:
    """The random numbers drawn for n images.

    Attributes:
        flip: bool (n,), whether to mirror.
        numbers: float32 (n, …) for each further change, by its name in :func:`draw`; absent where it is off.
        custom: Augmentations of plugins, each with its strength, which draw for themselves.
        scanner: As ``numbers``, for the policy ``scanner``, of which each image gets one change.
        chosen: int64 (n,), which change of ``scanner`` that is; one more than there are: none. Stays on the CPU.
    """

    flip: Tensor
    numbers: dict[str, Tensor] = field(default_factory=dict)
    custom: tuple[tuple[str, float], ...] = ()
    scanner: dict[str, Tensor] = field(default_factory=dict)
    chosen: Tensor | None = None

    def part(self, start: int, end: int) -> Draws:
        """Return the draws of images ``start`` to ``end`` - 1."""
        chosen = None if self.chosen is None else self.chosen[start:end]
        return self._each(lambda drawn: drawn[start:end], chosen)

    def to(self, device: torch.device) -> Draws:
        """Return the draws on another device."""
        return self._each(lambda drawn: drawn.to(device), self.chosen)

    def _each(self, change: Callable[[Tensor], Tensor], chosen: Tensor | None) -> Draws:
        numbers, scanner = (
            {name: change(drawn) for name, drawn in changes.items()} for changes in (self.numbers, self.scanner)
        )
        return Draws(change(self.flip), numbers, self.custom, scanner, chosen)


def draw(config: AugmentConfig, images: int, generator: torch.Generator) -> Draws:
    """Draw for n images at once; on the CPU, so that the draws are the same on every device.

    ``affine`` (n, 4) and ``crop`` (n, 4): as :func:`~mobilenet_chest.data.geometry.warped` takes them. ``blur``
    (n, 2r + 1): the weights of the kernel. ``gamma`` (n,): an exponent. ``local_contrast`` and ``contrast`` (n,):
    factors. ``sharpness`` (n,): a strength. ``brightness`` (n,): gray values. ``noise`` (n,): a standard deviation in
    gray values. ``resample`` (n,): a share of the sides. ``jpeg`` (n,): a quality. ``erasing`` (n, 4): top, left,
    bottom, right as shares of the sides.
    """
    flip = torch.rand(images, generator=generator) < config.hflip
    numbers = _numbers(config, images, generator)
    custom = tuple(config.custom_on.items())
    if config.policy != "scanner":
        return Draws(flip, numbers, custom)
    scanner = _numbers(SCANNER, images, generator)
    chosen = torch.randint(len(scanner) + 1, (images,), generator=generator)
    return Draws(flip, numbers, custom, scanner, chosen)


def _numbers(config: AugmentConfig, images: int, generator: torch.Generator) -> dict[str, Tensor]:
    """Return the draws of all changes that are on; the changes of later versions are drawn last."""

    def share(*shape: int) -> Tensor:
        return torch.rand(images, *shape, generator=generator)

    def either_way(*shape: int) -> Tensor:
        return share(*shape) * 2 - 1

    numbers: dict[str, Tensor] = {}
    if config.rotation or config.shift or config.scale:
        largest = torch.tensor([math.radians(config.rotation), config.shift, config.shift, config.scale])
        numbers["affine"] = either_way(4) * largest + torch.tensor([0.0, 0.0, 0.0, 1.0])
    if config.blur:
        numbers["blur"] = filters.gaussian(share(1) * config.blur, math.ceil(3 * config.blur))
    if config.contrast:
        numbers["contrast"] = 1 + either_way() * config.contrast
    if config.brightness:
        numbers["brightness"] = either_way() * config.brightness * WHITE
    if config.noise:
        numbers["noise"] = share() * config.noise * WHITE
    if config.erasing:
        numbers["erasing"] = _rectangles(config.erasing, images, generator)
    if config.crop is not None:
        numbers["crop"] = _crops(config.crop, share(4))
    if config.gamma:
        numbers["gamma"] = (either_way() * math.log1p(config.gamma)).exp()
    if config.local_contrast:
        numbers["local_contrast"] = 1 + either_way() * config.local_contrast
    if config.sharpness:
        numbers["sharpness"] = share() * config.sharpness
    if config.resample:
        numbers["resample"] = 1 - share() * config.resample
    if config.jpeg:
        numbers["jpeg"] = config.jpeg + share() * (100 - config.jpeg)
    return numbers


def apply(images: Tensor, draws: Draws, policy: Policy | None = None) -> Tensor:
    """Change images as drawn. Noise and torchvision's policies' choices come from torch's global generators.

    Args:
        images: uint8 or float (n, c, h, w), of 0 to 255; uint8 for a policy.
        draws: For these images, on their device.
        policy: TrivialAugment or RandAugment, applied to each image by itself; ``scanner`` is in the draws.

    Returns:
        A new tensor of the same shape and device; of the same dtype unless a change makes float32 of it.
    """
    images = torch.where(each(draws.flip), images.flip(-1), images)
    if policy == "trivial" or policy == "rand":
        images = torch.stack([_policy(policy)(image) for image in images])
    if draws.chosen is not None:
        images = _one_change(images.float(), draws.scanner, draws.chosen)
    if draws.numbers:
        images = _change(images.float(), draws.numbers)
    return apply_custom(images.float(), draws.custom) if draws.custom else images


def apply_custom(images: Tensor, custom: Sequence[tuple[str, float]]) -> Tensor:
    """Change images by the augmentations of plugins, one after the other.

    Args:
        images: float32 (n, c, h, w), of 0 to 255.
        custom: Names and strengths.

    Raises:
        PluginFailed: A function raises, or returns anything but images of the same shape.
    """
    for name, strength in custom:
        changed = plugins.call("augmentation", name, images.clone(), strength)
        problem = None
        if not isinstance(changed, Tensor) or changed.shape != images.shape:
            form = f"shape {tuple(changed.shape)}" if isinstance(changed, Tensor) else type(changed).__name__
            problem = f"returned {form}; return a tensor of the images' shape {tuple(images.shape)}"
        elif changed.device != images.device:
            problem = f"returned a tensor on {changed.device}; return it on the images' device {images.device}"
        if problem is not None:
            owner = plugins.owner("augmentation", name)
            raise PluginFailed(f"plugin {owner.path if owner else ''}: augmentation '{name}' {problem}")
        images = changed.float().clamp(0, WHITE)
    return images


def _change(images: Tensor, numbers: dict[str, Tensor]) -> Tensor:
    """Return float images changed by the numbers drawn for each: in the order of patient, detector and archive."""
    if "affine" in numbers or "crop" in numbers:
        images = warped(images, numbers.get("affine"), numbers.get("crop"))
    if "blur" in numbers:
        images = filters.blurred(images, numbers["blur"])
    if "gamma" in numbers:
        images = filters.gamma(images, numbers["gamma"])
    if "local_contrast" in numbers:
        images = filters.local_contrast(images, numbers["local_contrast"])
    if "sharpness" in numbers:
        images = filters.sharpened(images, numbers["sharpness"])
    mean = images.mean((1, 2, 3), keepdim=True)
    if "contrast" in numbers:
        images = mean + (images - mean) * each(numbers["contrast"])
    if "brightness" in numbers:
        images = images + each(numbers["brightness"])
    if "noise" in numbers:
        images = images + each(numbers["noise"]) * torch.randn_like(images)
    images = images.clamp(0, WHITE)
    if "resample" in numbers:
        images = filters.resampled(images, numbers["resample"])
    if "jpeg" in numbers:
        images = jpeg.compressed(images, numbers["jpeg"])
    if "erasing" in numbers:
        images = torch.where(inside(numbers["erasing"], images), images.mean((1, 2, 3), keepdim=True), images)
    return images


def _one_change(images: Tensor, scanner: dict[str, Tensor], chosen: Tensor) -> Tensor:
    """Return float images, each changed by the one change that was chosen for it."""
    images = images.clone()
    for number, (name, drawn) in enumerate(scanner.items()):
        rows = (chosen == number).nonzero()[:, 0].to(images.device)  # found on the CPU: nothing waits for the device
        if len(rows):
            images[rows] = _change(images[rows], {name: drawn[rows]})
    return images


def mix(images: Tensor, labels: Tensor, config: AugmentConfig) -> tuple[Tensor, Tensor]:
    """Mix each image of a batch with another: mixup (Zhang et al., 2018) or cutmix (Yun et al., 2019).

    Where both are on, one is drawn for the batch. Random numbers come from torch's global generator.

    Args:
        images: (n, c, h, w).
        labels: float32 (n,), 0 or 1.
        config: With ``mixup`` or ``cutmix`` above 0.

    Returns:
        Images float32 (n, c, h, w), and labels float32 (n,), shares of class 1.
    """
    from torchvision.transforms import v2

    ways = [
        way(alpha=alpha, num_classes=2)
        for way, alpha in ((v2.MixUp, config.mixup), (v2.CutMix, config.cutmix))
        if alpha > 0
    ]
    chosen = ways[int(torch.randint(len(ways), ()))]
    mixed, shares = chosen(images.float(), labels.long())
    return mixed, shares[:, 1]


def views(config: AugmentConfig) -> tuple[bool, ...] | None:
    """Return the views of an image that can be drawn, mirrored (True) or not; ``None`` where they are more than two."""
    if endless(config):
        return None
    return tuple(mirrored for mirrored, chance in ((False, 1 - config.hflip), (True, config.hflip)) if chance > 0)


def endless(config: AugmentConfig) -> list[str]:
    """Return the names of the changes that are on and have more than two outcomes."""
    names = [name for name, value in config.model_dump(exclude={"hflip", "custom"}).items() if value]
    return names + [f"custom.{name}" for name in config.custom_on]


def _crops(config: CropConfig, drawn: Tensor) -> Tensor:
    """Return (n, 4): centre, width and height of a crop, from four shares drawn for each image."""
    size, shape, x, y = drawn.unbind(1)
    area = config.scale[0] + size * (config.scale[1] - config.scale[0])
    low, high = (math.log(ratio) for ratio in config.ratio)
    ratio = (low + shape * (high - low)).exp()
    # a crop of nearly the whole image cannot have any ratio: it is as wide, or as high, as the image
    width, height = (area * ratio).sqrt().clamp(max=1), (area / ratio).sqrt().clamp(max=1)
    return torch.stack([(2 * x - 1) * (1 - width), (2 * y - 1) * (1 - height), width, height], dim=1)


def _rectangles(chance: float, images: int, generator: torch.Generator) -> Tensor:
    """Return (n, 4): top, left, bottom, right, of area 0 where nothing is erased."""
    erase, size, shape, top, left = torch.rand(5, images, generator=generator)
    area = (ERASED_AREA[0] + size * (ERASED_AREA[1] - ERASED_AREA[0])) * (erase < chance)
    low, high = (math.log(aspect) for aspect in ERASED_ASPECT)
    aspect = (low + shape * (high - low)).exp()
    height, width = (area * aspect).sqrt().clamp(max=1), (area / aspect).sqrt().clamp(max=1)
    top, left = top * (1 - height), left * (1 - width)
    return torch.stack([top, left, top + height, left + width], dim=1)


@once
def _policy(name: Literal["trivial", "rand"]) -> Callable[[Tensor], Tensor]:
    from torchvision.transforms import v2

    kind = {"trivial": v2.TrivialAugmentWide, "rand": v2.RandAugment}[name]
    policy: Any = kind(interpolation=v2.InterpolationMode.BILINEAR)
    policy._AUGMENTATION_SPACE = OPERATIONS
    return policy  # type: ignore[no-any-return]
