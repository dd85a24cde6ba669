"""Which training rows an epoch shows, in which order, and how rows are divided into folds."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mobilenet_chest.errors import DataError

Sampling = Literal["all", "oversample", "balanced"]

FOLD_SEED = 0
"""Seed of the division into folds where ``data.split_seed`` is not set: the same folds for all seeds of a training."""


def epoch_rows(labels: Tensor, sampling: Sampling, batch_size: int, generator: torch.Generator) -> Tensor:
    """Return the row numbers of an epoch, int64, in random order; their count is the same in every epoch.

    Args:
        labels: (n,), 0 or 1, on the CPU.
        sampling: ``all``: every row once. ``oversample``: rows of the smaller class repeated, until both have equally
            many. ``balanced``: n rows, equally many of each class in each batch, plus one where a batch is odd.
        batch_size: Images in a batch.
        generator: Of the order.
    """
    if sampling == "all":
        return torch.randperm(len(labels), generator=generator)
    classes = [(labels == label).nonzero().squeeze(1) for label in (0, 1)]
    if sampling == "oversample":
        most = max(len(rows) for rows in classes)
        rows = torch.cat([_repeated(rows, most, generator) for rows in classes])
        return rows[torch.randperm(len(rows), generator=generator)]
    half = (len(labels) + 1) // 2
    pairs = torch.stack([_repeated(rows, half, generator) for rows in classes], dim=1)
    order = pairs.flatten()[: len(labels)]
    # shuffled within the batches: mixup would otherwise always mix an image with one of the other class
    batches = order.split(batch_size)
    return torch.cat([batch[torch.randperm(len(batch), generator=generator)] for batch in batches])


def _repeated(rows: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Return ``count`` of ``rows`` at random, each equally often, plus or minus one."""
    rounds = -(-count // len(rows))
    shuffled = [rows[torch.randperm(len(rows), generator=generator)] for _ in range(rounds)]
    return torch.cat(shuffled)[:count]


def divide(
    labels: NDArray[np.uint8],
    patients: NDArray[Any] | None,
    folds: int,
    fold: int,
    name: str,
    seed: int = FOLD_SEED,
) -> NDArray[np.bool_]:
    """Return, bool (n,), whether each row is of one fold: stratified by class, all rows of a patient in one fold.

    Args:
        labels: (n,), 0 or 1.
        patients: (n,) numbers or text, where they are known.
        folds: Number of folds.
        fold: Which fold, from 0.
        name: Name of the data, for errors.
        seed: Of the shuffle.

    Raises:
        DataError: There are fewer rows of a class, or fewer patients with one, than folds.
    """
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    for label in (0, 1):
        of_class = labels == label
        units = int(of_class.sum()) if patients is None else len(np.unique(patients[of_class]))
        if units < folds:
            raise DataError(
                f"{name}: data.folds: {folds}, but class {label} has {units} "
                f"{'rows' if patients is None else 'patients'} in train and val; allowed: 2 to {units}"
            )
    splitter = StratifiedKFold if patients is None else StratifiedGroupKFold
    parts = splitter(folds, shuffle=True, random_state=seed).split(np.zeros(len(labels)), labels, patients)
    chosen = np.zeros(len(labels), bool)
    chosen[list(parts)[fold][1]] = True
    return chosen


def hold_out(
    labels: NDArray[np.uint8], patients: NDArray[Any] | None, count: int, seed: int, name: str
) -> NDArray[np.bool_]:
    """Return, bool (n,), whether each row is held out: about ``count``, stratified by class, no patient on both sides.

    Without patients exactly ``count`` rows are held out. With patients, whole patients are taken in random order while
    their rows fit. A patient with rows of both classes counts with the class of most of them (class 1 if equal).

    Args:
        labels: (n,), 0 or 1.
        patients: (n,) numbers, where they are known.
        count: Number of rows.
        seed: Of the shuffle.
        name: Name of the data, for errors.

    Raises:
        DataError: A class would have no row on one of the sides.
    """
    _, unit = np.unique(np.arange(len(labels)) if patients is None else patients, return_inverse=True)
    rows = np.bincount(unit)
    positive = 2 * np.bincount(unit, labels) >= rows
    of_class_1 = round(count * float(labels.mean()))
    chance, taken = np.random.default_rng(seed), np.zeros(len(rows), bool)
    for of_class, room in ((~positive, count - of_class_1), (positive, of_class_1)):
        for patient in chance.permutation(np.flatnonzero(of_class)):
            if rows[patient] <= room:
                taken[patient] = True
                room -= rows[patient]
    chosen = taken[unit]
    if any(len(np.unique(labels[side])) < 2 for side in (chosen, ~chosen)):
        and_patients = "" if patients is None else " and each patient on one"
        raise DataError(
            f"{name}: data.split_seed: {seed}, but {count} of {len(labels)} rows of train and val cannot be held out "
            f"with both classes on both sides{and_patients}; remove it"
        )
    return chosen
