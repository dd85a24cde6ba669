"""Frozen features: the outputs of the frozen blocks for every view of every image, computed once and cached.

With fixed weights and BatchNorm statistics, the frozen blocks give the same output for an image in every epoch. With
mirroring as the only random change, each image has two views. So the learning part trains on stored outputs, and
neither epochs nor trials pay for the frozen blocks.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from mobilenet_chest import cache, plugins
from mobilenet_chest.config import AugmentConfig
from mobilenet_chest.config.formats import listed
from mobilenet_chest.data.augment import Draws, Policy, apply, endless, views
from mobilenet_chest.data.dataset import Split, TrainVal, resize
from mobilenet_chest.models.classifier import Classifier

FEATURE_BATCH = 64
"""Images in a forward pass of the frozen blocks."""

LARGEST_SHARE = 0.25
"""Share of the cache's size that the outputs of one split may take; larger ones are computed in every epoch."""

_FILE = "outputs.bin"
"""Raw values, written chunk by chunk: safetensors would need all outputs in memory at once."""


@dataclass(frozen=True, eq=False)
class Inputs:
    """Inputs of the learning part of a network, for training and validation, on the training device.

    Attributes:
        block: First block of the learning part; the number of blocks for the head alone, 0 for the whole network.
        train: uint8 images (n, c, h, w) for block 0. Otherwise outputs of the frozen blocks, (views · n, features) or
            (views · n, h', w', c'), one view of all images after the other.
        val: The same of the validation split, without mirroring.
        views: Views that ``train`` holds, mirrored (True) or not; ``None`` for images.
        why: Why the frozen blocks, if there are any, are computed in every epoch.
    """

    block: int
    train: Tensor
    val: Tensor
    views: tuple[bool, ...] | None = None
    why: str | None = None

    def batch(self, rows: Tensor, draws: Draws, policy: Policy | None = None) -> Tensor:
        """Return inputs for some training rows, changed as drawn, and by a policy where the inputs are images.

        Args:
            rows: int64 (b,), on the training device.
            draws: Random changes of these rows. Of stored outputs only ``flip`` is used: it chooses the view.
            policy: As in :func:`~mobilenet_chest.data.augment.apply`.
        """
        if self.views is None:
            return apply(self.train[rows], draws, policy)
        if self.views == (False, True):
            # the outputs of all images come first, those of all mirror images after them
            rows = rows + draws.flip * (len(self.train) // 2)
        return as_fed(self.train.index_select(0, rows))


def learning_part(model: nn.Module, block: int) -> Callable[[Tensor], Tensor]:
    """Return the function from :class:`Inputs` of a block to logits (b,)."""
    return model if block == 0 else partial(cast(Classifier, model).from_block, block)


def as_fed(stored: Tensor) -> Tensor:
    """Return stored maps (n, h, w, c) as (n, c, h, w) in channels_last; return images and vectors as they are."""
    return stored.permute(0, 3, 1, 2) if stored.ndim == 4 and stored.dtype != torch.uint8 else stored


def prepare_inputs(
    model: Classifier, data: TrainVal, augment: AugmentConfig, size: int, device: torch.device, precision: torch.dtype
) -> Inputs:
    """Return the inputs of the learning part of ``model``: stored outputs of its frozen blocks, or images.

    Stored outputs need a cache, no more than two views of an image, and outputs that fit the cache.

    Args:
        model: On ``device``, its leading blocks frozen.
        data: The splits at full size.
        augment: Random changes of training images.
        size: Side in pixels of the training images. Validation images keep their size.
        device: Where to hold the inputs.
        precision: Type of the frozen blocks' arithmetic for training images; for validation it is float32.

    Raises:
        CacheError: The cache cannot be written.
    """
    train = data.train.images if size == data.train.images.shape[-1] else resize(data.train.images.to(device), size)
    images = Inputs(0, train.to(device), data.val.images.to(device))
    if model.frozen == 0:
        return images
    finite, why = views(augment), None
    if cache.folder() is None:
        why = "the cache is off"
    elif finite is None:
        names = [f"augment.{name}" for name in endless(augment)]
        why = f"{listed(names)} {'gives' if len(names) == 1 else 'give'} more than a few views of an image"
    elif (needed := _bytes(model, train, len(finite))) > cache.limit() * LARGEST_SHARE:
        why = f"its outputs take {needed / 1e9:.1f} GB, more than {LARGEST_SHARE:.0%} of the cache"
    if finite is None or why is not None:
        return Inputs(images.block, images.train, images.val, why=why)
    stored_train = frozen_outputs(model, data.train, images.train, finite, precision)
    # validated in float32 whatever the training's precision, as predictions are made
    stored_val = frozen_outputs(model, data.val, images.val, (False,), torch.float32)
    return Inputs(model.frozen, stored_train.to(device), stored_val.to(device), views=finite)


@torch.inference_mode()
def _bytes(model: Classifier, images: Tensor, count: int) -> int:
    """Return the bytes of the outputs for ``count`` views of all images."""
    model.eval()
    output = model.up_to(model.frozen, images[:1].to(next(model.parameters()).device))
    return len(images) * count * math.prod(output.shape[1:]) * output.element_size()


def frozen_outputs(
    model: Classifier, split: Split, images: Tensor, finite: tuple[bool, ...], precision: torch.dtype
) -> Tensor:
    """Return the outputs of the frozen blocks, (views · n, …) on the CPU, memory-mapped from the cache."""
    parts = {
        "architecture": model.architecture,
        "plugin": getattr(plugins.owner("model", model.architecture), "sha256", None),
        "gray_repeated": model.repeat,
        "frozen": state_digest(model.frozen_state()),
        "blocks": model.frozen,
        "data": split.digest,
        "sizes": [images.shape[-1], split.images.shape[-1]],
        "mean": model.mean.flatten().tolist(),
        "std": model.std.flatten().tolist(),
        "views": finite,
        "precision": str(precision),
        "device": images.device.type,
        "torch": torch.__version__,
        "code": cache.source_digest("models", "data/dataset.py", "training/features.py"),
    }
    about = f"{len(split)} images, {images.shape[-1]} pixels, {len(finite)} views, {model.frozen} frozen blocks"

    def make(folder: Path) -> dict[str, Any]:
        model.eval()
        shape: list[int] = [0]
        dtype = ""

        def chunks() -> Iterator[memoryview]:
            nonlocal shape, dtype
            for mirrored in finite:
                for chunk in images.split(FEATURE_BATCH):
                    with torch.inference_mode(), _autocast(images.device, precision):
                        output = model.up_to(model.frozen, chunk.flip(-1) if mirrored else chunk)
                    output = (output.permute(0, 2, 3, 1) if output.ndim == 4 else output).contiguous().cpu()
                    shape = [shape[0] + len(output), *output.shape[1:]]
                    dtype = str(output.dtype).removeprefix("torch.")
                    yield output.flatten().view(torch.uint8).numpy().data

        cache.write(folder / _FILE, chunks())
        return {"shape": shape, "dtype": dtype}

    def load(folder: Path, known: dict[str, Any]) -> Tensor:
        shape = known["shape"]
        mapped = torch.from_file(
            str(folder / _FILE), shared=False, size=math.prod(shape), dtype=getattr(torch, known["dtype"])
        )
        return mapped.reshape(shape)

    return cache.cached("features", about, parts, make, load)[0]


def _autocast(device: torch.device, precision: torch.dtype) -> torch.autocast:
    return torch.autocast(device.type, precision, enabled=precision != torch.float32)


def state_digest(state: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 (hex) of named tensors: names, shapes, types and values."""
    digest = hashlib.sha256()
    for name, value in state.items():
        digest.update(f"{name} {tuple(value.shape)} {value.dtype}".encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()
