"""Random changes to batches of training images, as tensor operations on the batch's device."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache as once
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional

from mobilenet_chest import plugins
from mobilenet_chest.config import AugmentConfig
from mobilenet_chest.errors import PluginFailed

WHITE = 255
"""Highest gray value."""

ERASED_AREA, ERASED_ASPECT = (0.02, 0.4), (0.3, 1 / 0.3)
"""Zhong et al., Random Erasing Data Augmentation, 2020, section 4.1."""

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
        numbers: float32 (n, …) for each further change, by its name in :func:`apply`; absent where it is off.
        custom: Augmentations of plugins, each with its strength, which draw for themselves.
    """

    flip: Tensor
    numbers: dict[str, Tensor] = field(default_factory=dict)
    custom: tuple[tuple[str, float], ...] = ()

    def part(self, start: int, end: int) -> Draws:
        """Return the draws of images ``start`` to ``end`` - 1."""
        numbers = {name: drawn[start:end] for name, drawn in self.numbers.items()}
        return Draws(self.flip[start:end], numbers, self.custom)

    def to(self, device: torch.device) -> Draws:
        """Return the draws on another device."""
        numbers = {name: drawn.to(device) for name, drawn in self.numbers.items()}
        return Draws(self.flip.to(device), numbers, self.custom)


def draw(config: AugmentConfig, images: int, generator: torch.Generator) -> Draws:
    """Draw for n images at once; on the CPU, so that the draws are the same on every device.

    ``affine`` (n, 4): angle in radians, shifts right and down as shares of the side, zoom. ``blur`` (n, 2r + 1): the
    weights of the kernel. ``contrast`` (n,): a factor. ``brightness`` (n,): gray values. ``noise`` (n,): a standard
    deviation in gray values. ``erasing`` (n, 4): top, left, bottom, right as shares of the sides.
    """

    def either_way(*shape: int) -> Tensor:
        return torch.rand(images, *shape, generator=generator) * 2 - 1

    flip = torch.rand(images, generator=generator) < config.hflip
    numbers: dict[str, Tensor] = {}
    if config.rotation or config.shift or config.scale:
        largest = torch.tensor([math.radians(config.rotation), config.shift, config.shift, config.scale])
        numbers["affine"] = either_way(4) * largest + torch.tensor([0.0, 0.0, 0.0, 1.0])
    if config.blur:
        radius = math.ceil(3 * config.blur)
        sigma = (torch.rand(images, 1, generator=generator) * config.blur).clamp(min=1e-3)
        weights = (-((torch.arange(-radius, radius + 1) / sigma) ** 2) / 2).exp()
        numbers["blur"] = weights / weights.sum(1, keepdim=True)
    if config.contrast:
        numbers["contrast"] = 1 + either_way() * config.contrast
    if config.brightness:
        numbers["brightness"] = either_way() * config.brightness * WHITE
    if config.noise:
        numbers["noise"] = torch.rand(images, generator=generator) * config.noise * WHITE
    if config.erasing:
        numbers["erasing"] = _rectangles(config.erasing, images, generator)
    return Draws(flip, numbers, tuple(config.custom_on.items()))


def apply(images: Tensor, draws: Draws, policy: Literal["trivial", "rand"] | None = None) -> Tensor:
    """Change images as drawn. Noise and the policy's choices come from torch's global generators.

    Args:
        images: uint8 or float (n, c, h, w), of 0 to 255; uint8 for a policy.
        draws: For these images, on their device.
        policy: TrivialAugment or RandAugment, applied to each image by itself.

    Returns:
        A new tensor of the same shape and device; of the same dtype unless a change makes float32 of it.
    """
    images = torch.where(_each(draws.flip), images.flip(-1), images)
    if policy is not None:
        images = torch.stack([_policy(policy)(image) for image in images])
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
    """Return float images changed by the numbers drawn for each."""
    if "affine" in numbers:
        images = _affine(images, numbers["affine"])
    if "blur" in numbers:
        images = _blur(images, numbers["blur"])
    mean = images.mean((1, 2, 3), keepdim=True)
    if "contrast" in numbers:
        images = mean + (images - mean) * _each(numbers["contrast"])
    if "brightness" in numbers:
        images = images + _each(numbers["brightness"])
    if "noise" in numbers:
        images = images + _each(numbers["noise"]) * torch.randn_like(images)
    images = images.clamp(0, WHITE)
    if "erasing" in numbers:
        images = torch.where(_inside(numbers["erasing"], images), images.mean((1, 2, 3), keepdim=True), images)
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


def _each(values: Tensor) -> Tensor:
    """Return (n,) as (n, 1, 1, 1)."""
    return values[:, None, None, None]


def _affine(images: Tensor, drawn: Tensor) -> Tensor:
    """Rotate, shift and zoom about the centre, bilinear; pixels from outside repeat the border."""
    angle, right, down, zoom = drawn.unbind(1)
    height, width = images.shape[-2:]
    cos, sin = angle.cos() / zoom, angle.sin() / zoom
    # the grid says where each pixel of the result comes from, in units of half a side: so the shift is undone before
    # the turn, and the turn is rigid only with the ratio of the sides in it
    rows = [
        [cos, -sin * height / width, -2 * (cos * right - sin * height / width * down)],
        [sin * width / height, cos, -2 * (sin * width / height * right + cos * down)],
    ]
    theta = torch.stack([torch.stack(row, dim=1) for row in rows], dim=1)
    grid = functional.affine_grid(theta, list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)


def _blur(images: Tensor, weights: Tensor) -> Tensor:
    """Blur each image with its own kernel, along one axis and then the other; the border is repeated."""
    count, channels = images.shape[:2]
    radius = weights.shape[1] // 2
    kernels = weights.repeat_interleave(channels, dim=0)[:, None, None, :]
    flat = images.reshape(1, count * channels, *images.shape[-2:])
    for pad, kernel in (((radius, radius, 0, 0), kernels), ((0, 0, radius, radius), kernels.transpose(2, 3))):
        flat = functional.conv2d(functional.pad(flat, pad, mode="replicate"), kernel, groups=count * channels)
    return flat.reshape(images.shape)


def _rectangles(chance: float, images: int, generator: torch.Generator) -> Tensor:
    """Return (n, 4): top, left, bottom, right, of area 0 where nothing is erased."""
    erase, size, shape, top, left = torch.rand(5, images, generator=generator)
    area = (ERASED_AREA[0] + size * (ERASED_AREA[1] - ERASED_AREA[0])) * (erase < chance)
    low, high = (math.log(aspect) for aspect in ERASED_ASPECT)
    aspect = (low + shape * (high - low)).exp()
    height, width = (area * aspect).sqrt().clamp(max=1), (area / aspect).sqrt().clamp(max=1)
    top, left = top * (1 - height), left * (1 - width)
    return torch.stack([top, left, top + height, left + width], dim=1)


def _inside(rectangles: Tensor, images: Tensor) -> Tensor:
    """Return bool (n, 1, h, w): pixels whose centres lie in the image's rectangle."""
    height, width = images.shape[-2:]
    y = ((torch.arange(height, device=images.device) + 0.5) / height)[:, None]
    x = (torch.arange(width, device=images.device) + 0.5) / width
    top, left, bottom, right = (edge[:, None, None] for edge in rectangles.unbind(1))
    return ((y >= top) & (y < bottom) & (x >= left) & (x < right))[:, None]


@once
def _policy(name: Literal["trivial", "rand"]) -> Callable[[Tensor], Tensor]:
    from torchvision.transforms import v2

    kind = {"trivial": v2.TrivialAugmentWide, "rand": v2.RandAugment}[name]
    policy: Any = kind(interpolation=v2.InterpolationMode.BILINEAR)
    policy._AUGMENTATION_SPACE = OPERATIONS
    return policy  # type: ignore[no-any-return]
