"""The frozen part of a network, computed once: its outputs for every view of every image, kept in the cache.

With weights and BatchNorm statistics fixed, what the frozen blocks give for an image is the same in every epoch, and
with mirroring as the only random change there are two views of each image. So the learning part trains on stored
outputs, and neither epochs nor trials pay for the frozen blocks.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from mobilenet_chest import cache
from mobilenet_chest.config import AugmentConfig
from mobilenet_chest.data.augment import Draws, apply, endless, views
from mobilenet_chest.data.dataset import Split, TrainVal, resize
from mobilenet_chest.models.classifier import Classifier

FEATURE_BATCH = 64

LARGEST_SHARE = 0.25
"""Of the cache's size, for the outputs of one split: more are computed anew in every epoch."""

_FILE = "outputs.bin"


@dataclass(frozen=True, eq=False)
class Inputs:
    """What the learning part of a network trains and is validated on, on the training device.

    Attributes:
        block: First block of that part, or the number of blocks for the head alone; 0 for the network as a whole.
        train: uint8 images (n, c, h, w) for block 0; else outputs of the frozen blocks, (views · n, features) or
            (views · n, h', w', c'), all images of one view after the other.
        val: The validation split likewise, as it is.
        views: Which of its views ``train`` holds; ``None`` for images.
        why: Why the frozen part, if there is one, is computed again and again.
    """

    block: int
    train: Tensor
    val: Tensor
    views: tuple[bool, ...] | None = None
    why: str | None = None

    def batch(self, rows: Tensor, draws: Draws, policy: Literal["trivial", "rand"] | None = None) -> Tensor:
        """What to feed for some training rows, changed as drawn, and by a policy where the inputs are images."""
        if self.views is None:
            return apply(self.train[rows], draws, policy)
        if self.views == (False, True):
            rows = rows + draws.flip * (len(self.train) // 2)
        return as_fed(self.train.index_select(0, rows))


def learning_part(model: nn.Module, block: int) -> Callable[[Tensor], Tensor]:
    """What maps :class:`Inputs` of a block to logits."""
    return model if block == 0 else partial(cast(Classifier, model).from_block, block)


def as_fed(stored: Tensor) -> Tensor:
    """Stored outputs (n, h, w, c) as the (n, c, h, w) they stand for, in channels_last; anything else as it is."""
    return stored.permute(0, 3, 1, 2) if stored.ndim == 4 and stored.dtype != torch.uint8 else stored


def prepare_inputs(
    model: Classifier, data: TrainVal, augment: AugmentConfig, size: int, device: torch.device, precision: torch.dtype
) -> Inputs:
    """Inputs of the part of ``model`` that learns, from the cache where its frozen part allows.

    Args:
        model: On ``device``, its leading blocks frozen.
        data: The splits at full size.
        augment: Random changes of training images.
        size: Side in pixels of the training images; validation images keep theirs.
        device: Where to hold the inputs.
        precision: Type of the frozen part's arithmetic in training.

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
        why = f"augment.{' and '.join(endless(augment))} gives more than a few views of an image"
    elif (needed := _bytes(model, train, len(finite))) > cache.limit() * LARGEST_SHARE:
        why = f"its outputs take {needed / 1e9:.1f} GB, more than {LARGEST_SHARE:.0%} of the cache"
    if finite is None or why is not None:
        return Inputs(images.block, images.train, images.val, why=why)
    stored_train = _outputs(model, data.train, images.train, finite, precision)
    # validation is in float32 whatever the training's precision
    stored_val = _outputs(model, data.val, images.val, (False,), torch.float32)
    return Inputs(model.frozen, stored_train.to(device), stored_val.to(device), views=finite)


@torch.inference_mode()
def _bytes(model: Classifier, images: Tensor, count: int) -> int:
    model.eval()
    one = model.up_to(model.frozen, images[:1].to(next(model.parameters()).device))
    return len(images) * count * math.prod(one.shape[1:]) * one.element_size()


def _outputs(
    model: Classifier, split: Split, images: Tensor, finite: tuple[bool, ...], precision: torch.dtype
) -> Tensor:
    """(views · n, …) on the CPU, memory-mapped from the cache."""
    parts = {
        "architecture": model.architecture,
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
                        found = model.up_to(model.frozen, chunk.flip(-1) if mirrored else chunk)
                    found = (found.permute(0, 2, 3, 1) if found.ndim == 4 else found).contiguous().cpu()
                    shape, dtype = [shape[0] + len(found), *found.shape[1:]], str(found.dtype).removeprefix("torch.")
                    yield found.flatten().view(torch.uint8).numpy().data

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
    """SHA-256 (hex) of named tensors."""
    digest = hashlib.sha256()
    for name, value in state.items():
        digest.update(f"{name} {tuple(value.shape)} {value.dtype}".encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()
