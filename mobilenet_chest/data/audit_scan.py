"""One pass over the images of a split: what an audit keeps of each image, small enough to hold for all of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mobilenet_chest.data.duplicates import fingerprint, thumbnails
from mobilenet_chest.data.npz import NpzFile

BLANK_RANGE = 8
"""Gray values between the darkest and the brightest pixel; an image with fewer shows nothing."""

SATURATED_SHARE = 0.5
"""Share of values at 0 or 255 from which an image counts as damaged."""

CUT_SHARE = 0.25
"""Share of the height, at the bottom, that a decoder fills with one gray value where a file ends early.

The limits are far from real images. The worst of 5,856 PneumoniaMNIST images and of 143 NIH radiographs have 31% and
23% of their values at 0 or 255, a range of 44, and 14% and 6% of their heights, at the bottom, of one value."""

WHITE = 255


@dataclass(frozen=True, eq=False)
class Scan:
    """What an audit keeps of n images.

    Attributes:
        fingerprints: 16 bytes each, different for different pixels.
        thumbs: uint8 (n, 784).
        brightness: float64 (n,), mean gray value, 0 to 255.
        contrast: float64 (n,), standard deviation of gray values.
        damage: What is wrong with an image, by its position: ``blank``, ``cut off`` or ``saturated``.
    """

    fingerprints: list[bytes]
    thumbs: NDArray[np.uint8]
    brightness: NDArray[np.float64]
    contrast: NDArray[np.float64]
    damage: dict[int, str]


def scan_split(file: NpzFile, split: str, rows: NDArray[np.intp]) -> Scan:
    """Scan some rows, in ascending order, a few MiB at a time.

    Raises:
        DataError: As :meth:`NpzFile.rows`.
    """
    fingerprints: list[bytes] = []
    thumbs, brightness, contrast = [np.empty((0, 784), np.uint8)], [np.empty(0)], [np.empty(0)]
    damage: dict[int, str] = {}
    for start, chunk in file.chunks(split):
        low, high = np.searchsorted(rows, (start, start + len(chunk)))
        if low == high:
            continue
        images = chunk[rows[low:high] - start]
        damage |= {len(fingerprints) + position: what for position, what in _damaged(images).items()}
        fingerprints += [fingerprint(image) for image in images]
        thumbs.append(thumbnails(images))
        axes = tuple(range(1, images.ndim))
        brightness.append(images.mean(axes))
        contrast.append(images.std(axes))
    return Scan(fingerprints, np.concatenate(thumbs), np.concatenate(brightness), np.concatenate(contrast), damage)


def _damaged(images: NDArray[np.uint8]) -> dict[int, str]:
    """Return what is wrong with the damaged images, by their positions."""
    flat = images.reshape(len(images), -1)
    height = images.shape[1]
    rows = max(1, round(CUT_SHARE * height))
    blank = flat.max(1).astype(np.int16) - flat.min(1) < BLANK_RANGE
    cut = _of_one_value(images[:, height - rows :]) & ~_of_one_value(images[:, :rows])
    saturated = ((flat == 0) | (flat == WHITE)).mean(1) >= SATURATED_SHARE
    # the first that applies: a black image is saturated, too
    names = {"blank": blank, "cut off": cut, "saturated": saturated}
    damage: dict[int, str] = {}
    for name, which in names.items():
        damage = {int(position): name for position in np.flatnonzero(which)} | damage
    return dict(sorted(damage.items()))


def _of_one_value(images: NDArray[np.uint8]) -> NDArray[np.bool_]:
    flat = images.reshape(len(images), -1)
    same: NDArray[np.bool_] = flat.max(1) == flat.min(1)
    return same
