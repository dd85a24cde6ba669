"""Duplicates: images that occur more than once, with the same pixels or nearly the same."""

from __future__ import annotations

import hashlib

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

NEAR = 0.99
"""Correlation of two thumbnails from which they count as the same image.

Measured (experiments/results/data.md): the 17 million pairs of different PneumoniaMNIST images reach 0.975 at most, and
the 10,153 pairs of 143 NIH radiographs 0.983. Each of those images still has 0.992 with itself after a change of
contrast or gamma, and 0.997 after JPEG at quality 75."""

THUMBNAIL = 28
"""Side in pixels; the smallest at which MedMNIST stores images."""

DIMENSIONS = 64
"""Principal components in which all thumbnails are compared with all."""

BLOCK = 4096
"""Images on each side of a tile of the comparison: 64 MiB of correlations at once."""

MOST_PAIRS = 100_000
"""The search for near pairs ends here: a longer list would say nothing more about such a file."""


def fingerprint(image: NDArray[np.uint8]) -> bytes:
    """Return the BLAKE2b digest (16 bytes) of an image's pixels."""
    return hashlib.blake2b(np.ascontiguousarray(image).data, digest_size=16).digest()


def not_duplicated(
    images: NDArray[np.uint8], labels: NDArray[np.uint8], elsewhere: NDArray[np.uint8]
) -> NDArray[np.bool_]:
    """Return, bool (n,), which images are neither in ``elsewhere`` nor earlier in ``images`` with the same label.

    Args:
        images: (n, …).
        labels: (n,).
        elsewhere: (m, …).
    """
    taken = {fingerprint(image) for image in elsewhere}
    seen: set[tuple[bytes, int]] = set()
    kept = np.zeros(len(images), bool)
    for row, (image, label) in enumerate(zip(images, labels.tolist(), strict=True)):
        key = fingerprint(image), label
        kept[row] = key[0] not in taken and key not in seen
        seen.add(key)
    return kept


def equal_groups(fingerprints: list[bytes]) -> list[list[int]]:
    """Return the ascending positions of each fingerprint that occurs twice or more, in the order of their first."""
    where: dict[bytes, list[int]] = {}
    for position, key in enumerate(fingerprints):
        where.setdefault(key, []).append(position)
    return [positions for positions in where.values() if len(positions) > 1]


def thumbnails(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return uint8 (n, 784): gray images (n, h, w) or colour images (n, h, w, 3), averaged over a grid of 28 by 28."""
    pixels = torch.from_numpy(images.copy()).float()
    gray = pixels if pixels.ndim == 3 else pixels.mean(3)
    small = functional.adaptive_avg_pool2d(gray[:, None], THUMBNAIL)
    return small.flatten(1).round().byte().numpy()


def near_pairs(thumbs: NDArray[np.uint8], least: float = NEAR) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return all pairs of images whose Pearson correlation of gray values is ``least`` or more.

    All are compared with all in the first ``DIMENSIONS`` principal components, and in one more number: the length of
    what these leave out. By the Cauchy-Schwarz inequality that bounds the correlation from above, so only pairs with a
    high bound are compared in full. Memory is about 1.1 kB an image and 64 MiB.

    Args:
        thumbs: uint8 (n, 784), without images of a single gray value.
        least: 0 to 1.

    Returns:
        Positions int64 (m, 2), the smaller first, ascending, and correlations float32 (m,). Where there are more than
        ``MOST_PAIRS``, the first that the search meets.
    """
    if len(thumbs) < 2:
        return np.empty((0, 2), np.int64), np.empty(0, np.float32)
    second_moments = np.zeros((thumbs.shape[1], thumbs.shape[1]))
    for start in range(0, len(thumbs), BLOCK):
        block = _standardised(thumbs[start : start + BLOCK])
        second_moments += block.T @ block
    basis = np.linalg.eigh(second_moments)[1][:, -DIMENSIONS:].astype(np.float32)
    bounds = np.empty((len(thumbs), DIMENSIONS + 1), np.float32)
    for start in range(0, len(thumbs), BLOCK):
        inside = _standardised(thumbs[start : start + BLOCK]) @ basis
        outside = np.sqrt(np.clip(1 - (inside**2).sum(1, keepdims=True), 0, None))
        bounds[start : start + BLOCK] = np.hstack([inside, outside])
    near_positions: list[NDArray[np.int64]] = []
    correlations: list[NDArray[np.float32]] = []
    count = 0
    for i in range(0, len(thumbs), BLOCK):
        for j in range(i, len(thumbs), BLOCK):
            # a little below ``least``, for the rounding of float32
            possible = bounds[i : i + BLOCK] @ bounds[j : j + BLOCK].T >= least - 1e-4
            if not possible.any():  # true of most tiles, and faster than np.nonzero
                continue
            first, second = np.nonzero(possible)
            pairs = np.stack([first + i, second + j], axis=1)
            pairs = pairs[pairs[:, 0] < pairs[:, 1]]
            for start in range(0, len(pairs), BLOCK):
                part = pairs[start : start + BLOCK]
                values = (_standardised(thumbs[part[:, 0]]) * _standardised(thumbs[part[:, 1]])).sum(1)
                near = values >= least
                near_positions.append(part[near])
                correlations.append(values[near])
                count += int(near.sum())
                if count >= MOST_PAIRS:
                    return np.concatenate(near_positions)[:MOST_PAIRS], np.concatenate(correlations)[:MOST_PAIRS]
    if not near_positions:
        return np.empty((0, 2), np.int64), np.empty(0, np.float32)
    pairs, values = np.concatenate(near_positions), np.concatenate(correlations)
    order = np.lexsort((pairs[:, 1], pairs[:, 0]))
    return pairs[order], values[order]


def _standardised(thumbs: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the thumbnails with mean 0 and length 1, so that inner products are correlations."""
    values = thumbs.astype(np.float32)
    values -= values.mean(1, keepdims=True)
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    return values
