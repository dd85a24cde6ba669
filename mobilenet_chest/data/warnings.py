"""What is allowed in data, but is seldom meant: each with the change to try."""

from __future__ import annotations

import logging
import math
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from mobilenet_chest.config import DataConfig
from mobilenet_chest.data.data_file import open_file
from mobilenet_chest.data.dataset import Split, TrainVal
from mobilenet_chest.evaluation.auc import auc

logger = logging.getLogger(__name__)

DEFAULT_SIDE = DataConfig.model_fields["source_size"].default

SAMPLED_ROWS = 2000
"""Rows of a split that are looked at."""

CONSTANT_SHARE = 1 / 3
"""Share of pixels that are the same in all images, above which a part of each image is empty."""

LEVEL = 0.999
"""Of the tests that tell swapped labels from chance."""

DARK = 32
"""Highest value of images below which they were hardly meant as gray levels of 8 bits."""

THUMBNAIL = 16
"""Side in pixels of the images in which classes are compared."""


def data_warnings(config: DataConfig, data: TrainVal) -> list[str]:
    """Return a line for each doubt about the rows of train and val; the test split is not read.

    Args:
        config: The experiment's data.
        data: What was read.
    """
    images = data.train.images[_sample(len(data.train))]
    return [*_stored_size(config), *_empty_pixels(images), *_gray_range(images), *_swapped_labels(data)]


def log_data_warnings(config: DataConfig, data: TrainVal) -> None:
    """Log :func:`data_warnings`."""
    for line in data_warnings(config, data):
        logger.warning("%s", line)


def _stored_size(config: DataConfig) -> list[str]:
    if config.path is None:
        return []
    height, width = open_file(config).image_shape("train")[:2]
    lines = []
    if config.source_size not in (DEFAULT_SIDE, height):
        lines.append(
            f"data.source_size is {config.source_size}, but the images of {config.path} are {height} by {width} "
            "pixels; source_size chooses a download and changes nothing about a file of your own: leave it out"
        )
    if height != width:
        lines.append(
            f"the images are {height} pixels high and {width} wide, and the network sees them as squares: "
            "'mobilenet-chest data import' keeps their shape, with borders"
        )
    return lines


def _empty_pixels(images: Tensor) -> list[str]:
    blank = int((images.flatten(1).amax(1) == images.flatten(1).amin(1)).sum())
    if blank >= CONSTANT_SHARE * len(images):
        return [
            f"{blank} of {len(images)} training images have one value in all pixels; look for damaged images with "
            "'mobilenet-chest data audit'"
        ]
    constant = float((images.amax(0) == images.amin(0)).float().mean())
    if len(images) < 2 or constant < CONSTANT_SHARE:
        return []
    return [
        f"{constant:.0%} of all pixels are the same in every training image; cut off borders that show nothing, or "
        "look for damaged images with 'mobilenet-chest data audit'"
    ]


def _gray_range(images: Tensor) -> list[str]:
    highest = int(images.max())
    if not 0 < highest < DARK:
        return []
    return [
        f"the highest value of all training images is {highest}, and white is 255; were values of 0 to 1 or of few "
        "bits stored as they were? Scale them to 0 to 255 before they become uint8"
    ]


def _swapped_labels(data: TrainVal) -> list[str]:
    """Compare how the difference between the classes' mean images separates them in train and in val."""
    (train, train_labels), (val, val_labels) = _thumbnails(data.train), _thumbnails(data.val)
    half = np.arange(len(train_labels)) % 2 == 0
    groups = (train_labels[half], train_labels[~half], val_labels)
    if any(min(np.bincount(labels, minlength=2)) < 2 for labels in groups):
        return []
    within, sure = _separation(train_labels[~half], train[~half] @ _direction(train[half], train_labels[half]))
    across, turned = _separation(val_labels, -val @ _direction(train, train_labels))
    if not (sure and turned):
        return []
    return [
        f"labels look swapped: what tells {data.classes[1]} from {data.classes[0]} in train (AUC {within:.2f}) "
        f"tells them the wrong way round in val (AUC {1 - across:.2f}); check that the label numbers of both splits "
        "mean the same"
    ]


def _separation(labels: NDArray[np.uint8], scores: NDArray[np.float64]) -> tuple[float, bool]:
    """Return the AUC of scores, and whether it is above what chance gives (Mann and Whitney's test).

    The interval of an AUC near 0 or 1 is wide for few rows, though chance would hardly give such a value.
    """
    value, sick = auc(labels, scores), int(labels.sum())
    healthy = len(labels) - sick
    spread = math.sqrt((sick + healthy + 1) / (12 * sick * healthy))
    return value, value - 0.5 > NormalDist().inv_cdf((1 + LEVEL) / 2) * spread


def _thumbnails(split: Split) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    """Return small gray images float64 (n, THUMBNAIL**2) and labels (n,) of a sample of rows."""
    rows = _sample(len(split))
    small = functional.adaptive_avg_pool2d(split.images[rows].float().mean(1, keepdim=True), THUMBNAIL)
    return small.flatten(1).double().numpy(), split.labels[rows].numpy()


def _direction(images: NDArray[np.float64], labels: NDArray[np.uint8]) -> NDArray[np.float64]:
    difference: NDArray[np.float64] = images[labels == 1].mean(0) - images[labels == 0].mean(0)
    return difference


def _sample(count: int) -> NDArray[np.int64]:
    return np.unique(np.linspace(0, max(0, count - 1), min(count, SAMPLED_ROWS)).astype(np.int64))
