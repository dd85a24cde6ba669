"""Which training rows an epoch shows, and in which order; and the division of rows into folds."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mobilenet_chest.errors import DataError

Sampling = Literal["all", "oversample", "balanced"]

FOLD_SEED = 0
"""Of the shuffle before rows are divided, without ``data.split_seed``: the same folds for all seeds of a training."""


def epoch_rows(labels: Tensor, sampling: Sampling, batch_size: int, generator: torch.Generator) -> Tensor:
    """Row numbers of an epoch in random order; how many is the same in every epoch.

    Args:
        labels: (n,), 0 or 1, on the CPU.
        sampling: ``all``: every row once. ``oversample``: rows of the smaller class again, until both have as many.
            ``balanced``: n rows, as many of each class in each batch, give or take one where a batch is odd.
        batch_size: Images in a batch.
        generator: Chance.
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
    # shuffled within the batches: alternating classes would meet each other only in mixup
    batches = order.split(batch_size)
    return torch.cat([batch[torch.randperm(len(batch), generator=generator)] for batch in batches])


def _repeated(rows: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """``count`` of ``rows`` at random, each as often as the others, give or take one."""
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
    """Whether each row is of one fold: stratified by class, and with all rows of a patient in the same fold.

    Args:
        labels: (n,), 0 or 1.
        patients: (n,) numbers or text, where they are known.
        folds: How many.
        fold: Which, from 0.
        name: Of the data, for errors.
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
    kind = StratifiedKFold if patients is None else StratifiedGroupKFold
    parts = kind(folds, shuffle=True, random_state=seed).split(np.zeros(len(labels)), labels, patients)
    chosen = np.zeros(len(labels), bool)
    chosen[list(parts)[fold][1]] = True
    return chosen


def hold_out(
    labels: NDArray[np.uint8], patients: NDArray[Any] | None, count: int, seed: int, name: str
) -> NDArray[np.bool_]:
    """Whether each row is one of about ``count`` that are held out: stratified by class, no patient on both sides.

    Without patients it is ``count`` rows exactly. With them, as many as whole patients fill, taken in random order; one
    with rows of both classes counts with the class that it has more of (class 1 where it has as many).

    Args:
        labels: (n,), 0 or 1.
        patients: (n,) numbers, where they are known.
        count: How many rows.
        seed: Of the shuffle.
        name: Of the data, for errors.

    Raises:
        DataError: A class would have no row on one of the sides.
    """
    _, unit = np.unique(np.arange(len(labels)) if patients is None else patients, return_inverse=True)
    rows = np.bincount(unit)
    positive = 2 * np.bincount(unit, labels) >= rows
    of_class_1 = round(count * float(labels.mean()))
    chance, taken = np.random.default_rng(seed), np.zeros(len(rows), bool)
    for of_class, room in ((~positive, count - of_class_1), (positive, of_class_1)):
        for one in chance.permutation(np.flatnonzero(of_class)):
            if rows[one] <= room:
                taken[one] = True
                room -= rows[one]
    chosen = taken[unit]
    if any(len(np.unique(labels[side])) < 2 for side in (chosen, ~chosen)):
        raise DataError(
            f"{name}: data.split_seed: {seed}, but of {len(labels)} rows in train and val no {count} can be held out "
            f"with both classes on both sides{'' if patients is None else ' and every patient on one'}; leave it out"
        )
    return chosen
