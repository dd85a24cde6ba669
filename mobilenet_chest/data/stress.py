"""Stressed copies of a split: for each row and family one copy, by one of its corruptions at one severity."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mobilenet_chest.data.corruptions import SEVERITIES, VERSION, corrupted, members
from mobilenet_chest.data.dataset import Split


def stressed(split: Split, families: Sequence[str]) -> Split:
    """Return the copies as a split of families · n rows: all rows under the first family, then under the next.

    Which corruption of the family a row gets, and at which severity, depends on the row's number alone.

    Args:
        split: The clean rows.
        families: Of :mod:`mobilenet_chest.data.corruptions`.
    """
    images = torch.cat([_of_family(split, family) for family in families])
    digest = hashlib.sha256(f"{split.digest} stress {VERSION} {' '.join(families)}".encode()).hexdigest()
    patients = None if split.patients is None else np.tile(split.patients, len(families))
    return Split(images, split.labels.repeat(len(families)), np.tile(split.rows, len(families)), digest, patients)


def cells(family: str, rows: NDArray[np.int64]) -> list[tuple[str, int, NDArray[np.intp]]]:
    """Return each corruption and severity of a family with the positions of the rows that get it."""
    kinds = [(name, severity) for name in members(family) for severity in SEVERITIES]
    digests = [hashlib.sha256(f"{family} {row}".encode()).digest()[:4] for row in rows.tolist()]
    kind = np.frombuffer(b"".join(digests), "<u4") % len(kinds)
    return [(*each, np.flatnonzero(kind == number)) for number, each in enumerate(kinds)]


def _of_family(split: Split, family: str) -> Tensor:
    images = split.images.clone()
    for name, severity, places in cells(family, split.rows):
        if len(places):
            chosen = torch.from_numpy(places)
            images[chosen] = corrupted(split.images[chosen], split.rows[places], name, severity, split.stored)
    return images
