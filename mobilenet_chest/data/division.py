"""How train and val are divided again: at random, into folds, or by the sites where the images were made."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mobilenet_chest.config import DataConfig
from mobilenet_chest.data.npz import NpzFile
from mobilenet_chest.data.sampling import FOLD_SEED, divide, hold_out
from mobilenet_chest.errors import DataError

SITE = "site"
"""The column that says where an image was made: ``train_site``, ``val_site`` and ``test_site``."""

Rows = tuple[NDArray[np.int64], NDArray[np.int64]]
"""Row numbers of train and of val in the file."""


def held_out(file: NpzFile, config: DataConfig, rows: Rows, labels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return, bool (n,), which of the n rows of train and val, in this order, are validated on.

    Args:
        file: The file.
        config: ``folds``, ``fold``, ``fold_by`` and ``split_seed``.
        rows: Those of the two classes.
        labels: Their classes, uint8 (n,).

    Raises:
        DataError: The rows cannot be divided so.
    """
    if config.fold_by == "site":
        names, numbers = sites(file, rows, labels)
        if len(names) != config.folds:
            raise DataError(
                f"{file.name}: data.folds: {config.folds}, but data.fold_by: site, and train and val are of "
                f"{len(names)} sites ({', '.join(names)}); give data.folds: {len(names)}"
            )
        return np.asarray(numbers == config.fold)
    patients = _patients(file, rows)
    if config.folds is not None:
        seed = FOLD_SEED if config.split_seed is None else config.split_seed
        return divide(labels, patients, config.folds, config.fold, file.name, seed)
    assert config.split_seed is not None
    return hold_out(labels, patients, len(rows[1]), config.split_seed, file.name)


def sites(file: NpzFile, rows: Rows, labels: NDArray[np.uint8]) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """Return the names of the sites, sorted, and the place of each row's site among them, int64 (n,).

    Args:
        file: The file, with the columns ``train_site`` and ``val_site``.
        rows: As for :func:`held_out`.
        labels: As for :func:`held_out`.

    Raises:
        DataError: A column is missing or has no value for a row, there is one site only, or a site has one class only.
    """
    splits = ("train", "val")
    if missing := [f"{split}_{SITE}" for split in splits if f"{split}_{SITE}" not in file.keys]:
        raise DataError(
            f"{file.name}: has no column {' and no '.join(missing)}, so no site can be left out; 'mobilenet-chest data "
            "import' takes them from the column site of a table"
        )
    columns = [file.column(split, SITE)[of_split] for split, of_split in zip(splits, rows, strict=True)]
    if columns[0].dtype.kind != columns[1].dtype.kind:  # numbers in one, texts in the other
        columns = [column.astype(np.str_) for column in columns]
    found, numbers = np.unique(np.concatenate(columns), return_inverse=True)
    names = tuple(str(name) for name in found)
    if "" in names:
        raise DataError(
            f"{file.name}: {int((numbers == names.index('')).sum())} rows of train and val have no site; give each a "
            "site in the table that is imported, if need be one called unknown"
        )
    if len(names) < 2:
        raise DataError(
            f"{file.name}: all {len(numbers)} rows of train and val are of one site, {names[0]}; to leave one out, "
            "there must be two or more: use study.resampling: kfold"
        )
    for number, name in enumerate(names):
        of_site = labels[numbers == number]
        if of_site.min() == of_site.max():
            raise DataError(
                f"{file.name}: the {len(of_site)} rows of site {name} in train and val are all of class "
                f"{of_site[0]}; each site needs rows of both classes: join it with another site, or leave it out"
            )
    return names, numbers.astype(np.int64)


def _patients(file: NpzFile, rows: Rows) -> NDArray[Any] | None:
    of_train, of_val = file.patients("train"), file.patients("val")
    if of_train is not None and of_val is not None:
        return np.concatenate([of_train[rows[0]], of_val[rows[1]]])
    if of_train is not None or of_val is not None:
        raise DataError(
            f"{file.name}: only one of 'train_patient' and 'val_patient' is there; to divide the rows again, the file "
            "must have both, or neither"
        )
    return None
