"""Images that occur more than once: with the same pixels, or with nearly the same."""

from __future__ import annotations

import hashlib

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

NEAR = 0.99
"""Correlation of two thumbnails from which they count as one image.

Measured (experiments/results/data.md): the 17 million pairs of different PneumoniaMNIST images reach 0.975 at most, the
10,153 of 143 NIH radiographs 0.983, while each of those images keeps 0.992 with itself after a change of contrast or
gamma, and 0.997 after JPEG at quality 75."""

THUMBNAIL = 28
"""Side in pixels; the smallest at which MedMNIST stores images."""

DIMENSIONS = 64

BLOCK = 4096
"""Images in a tile of the comparison of all with all: 64 MiB of correlations at once."""

MOST_PAIRS = 100_000
"""The search ends there: a file of which so much is alike needs another look, not a longer list."""


def fingerprint(image: NDArray[np.uint8]) -> bytes:
    """The same for the same pixels, and for none but them (BLAKE2b, 128 bits)."""
    return hashlib.blake2b(np.ascontiguousarray(image).data, digest_size=16).digest()


def not_duplicated(
    images: NDArray[np.uint8], labels: NDArray[np.uint8], elsewhere: NDArray[np.uint8]
) -> NDArray[np.bool_]:
    """Which images (n, …) are not in ``elsewhere`` (m, …), nor earlier in ``images`` with the same label (n,)."""
    taken = {fingerprint(image) for image in elsewhere}
    seen: set[tuple[bytes, int]] = set()
    kept = np.zeros(len(images), bool)
    for row, (image, label) in enumerate(zip(images, labels.tolist(), strict=True)):
        key = fingerprint(image), label
        kept[row] = key[0] not in taken and key not in seen
        seen.add(key)
    return kept


def equal_groups(fingerprints: list[bytes]) -> list[list[int]]:
    """Positions of what occurs twice or more: a list for each, ascending, in the order of their first."""
    where: dict[bytes, list[int]] = {}
    for position, key in enumerate(fingerprints):
        where.setdefault(key, []).append(position)
    return [positions for positions in where.values() if len(positions) > 1]


def thumbnails(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Images (n, h, w) or (n, h, w, 3) as gray values (n, 784): the means of areas of a grid of 28 by 28."""
    pixels = torch.from_numpy(images.copy()).float()
    gray = pixels if pixels.ndim == 3 else pixels.mean(3)
    small = functional.adaptive_avg_pool2d(gray[:, None], THUMBNAIL)
    return small.flatten(1).round().byte().numpy()


def near_pairs(thumbs: NDArray[np.uint8], least: float = NEAR) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Pairs of images whose correlation (Pearson's, of gray values) is ``least`` or more; none is missed.

    All are compared with all in the first ``DIMENSIONS`` principal components, one more standing for the length of the
    rest: by Cauchy and Schwarz that bounds the correlation from above, and only pairs whose bound is high enough are
    compared in full. Memory is about 1.1 kB an image and 64 MiB.

    Args:
        thumbs: (n, 784), no image of a single gray value among them.
        least: 0 to 1.

    Returns:
        Positions (m, 2), the smaller first, ascending, and correlations (m,); the first ``MOST_PAIRS`` found, if there
        are more.
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
        rest = np.sqrt(np.clip(1 - (inside**2).sum(1, keepdims=True), 0, None))
        bounds[start : start + BLOCK] = np.hstack([inside, rest])
    found: list[NDArray[np.int64]] = []
    correlations: list[NDArray[np.float32]] = []
    count = 0
    for i in range(0, len(thumbs), BLOCK):
        for j in range(i, len(thumbs), BLOCK):
            # a little below, for the rounding of float32
            possible = bounds[i : i + BLOCK] @ bounds[j : j + BLOCK].T >= least - 1e-4
            if not possible.any():  # most tiles; to ask is faster than to look for where
                continue
            first, second = np.nonzero(possible)
            pairs = np.stack([first + i, second + j], axis=1)
            pairs = pairs[pairs[:, 0] < pairs[:, 1]]
            for start in range(0, len(pairs), BLOCK):
                part = pairs[start : start + BLOCK]
                values = (_standardised(thumbs[part[:, 0]]) * _standardised(thumbs[part[:, 1]])).sum(1)
                near = values >= least
                found.append(part[near])
                correlations.append(values[near])
                count += int(near.sum())
                if count >= MOST_PAIRS:
                    return np.concatenate(found)[:MOST_PAIRS], np.concatenate(correlations)[:MOST_PAIRS]
    if not found:
        return np.empty((0, 2), np.int64), np.empty(0, np.float32)
    pairs, values = np.concatenate(found), np.concatenate(correlations)
    order = np.lexsort((pairs[:, 1], pairs[:, 0]))
    return pairs[order], values[order]


def _standardised(thumbs: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Mean 0 and length 1, so that products are correlations."""
    values = thumbs.astype(np.float32)
    values -= values.mean(1, keepdims=True)
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    return values
