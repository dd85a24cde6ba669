"""Further columns of the rows, such as sex, age or patient: from the data file, or from a table beside it."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mobilenet_chest.config import DataConfig
from mobilenet_chest.data.data_file import open_file
from mobilenet_chest.data.npz import SPLITS, NpzFile
from mobilenet_chest.errors import DataError, nearest

MOST_GROUPS = 20
"""Different values of a column at most: metrics of smaller groups say nothing."""

MOST_DIGITS = 19
"""Digits of a row number in a table, fewer than this: 64 bits hold no more."""

PATIENT = ("patient", "patients")
"""Names that the column of patients may have."""

Values = NDArray[np.str_]
"""Text (n,), one value for each row, empty where it is unknown."""


@dataclass(frozen=True, eq=False)
class Columns:
    """Columns of all rows that predictions may name.

    Attributes:
        groups: The columns asked for, by name, each text (n,), empty where a value is unknown.
        patients: Patient of each row, text (n,), where patients are known.
    """

    groups: dict[str, Values]
    patients: Values | None

    def of(self, rows: NDArray[np.int64]) -> Columns:
        """Return the columns of some rows, in their order."""
        groups = {name: values[rows] for name, values in self.groups.items()}
        return Columns(groups, None if self.patients is None else self.patients[rows])


def read_columns(
    config: DataConfig, split: Literal["val", "test"], names: Sequence[str], table: Path | None = None
) -> Columns:
    """Return columns of a split, by the row numbers of predictions. Pixels and labels of test stay unread.

    Args:
        config: The data. Where train and val are divided again, the columns of val are those of both.
        split: Which rows.
        names: Columns that make groups.
        table: A CSV with the columns ``split`` and ``row`` (from 0, in the file) and further ones, which take
            precedence over the keys ``{split}_{name}`` of the file.

    Raises:
        DataError: The file has no such split, a column is missing or has too many values, the table or a key has
            another form than it must have, or the table has nothing that is asked for.
    """
    file = open_file(config)
    if split not in file.splits:
        raise DataError(f"{config.path or config.title}: has no {split}_images and {split}_labels to score")
    parts = ("train", "val") if split == "val" and config.divided else (split,)
    lengths = {part: file.row_count(part) for part in parts}
    in_table = {} if table is None else _read_table(table, lengths)
    groups = {}
    for name in names:
        values = in_table[name] if name in in_table else _of_file(file, parts, name)
        if values is None:
            present = sorted({*in_table, *_names(file, parts)})
            has = f"there are: {', '.join(present) or 'none'}"
            raise DataError(
                f"--groups {name}: no '{parts[0]}_{name}' in {config.path or config.title}"
                + (f" and no column '{name}' in {table}" if table is not None else "")
                + f"{nearest(name, present)}; {has}; or give a CSV with the columns split, row, {name} to --groups-from"
            )
        count = len(np.unique(values))
        if count > MOST_GROUPS:
            raise DataError(
                f"--groups {name}: {count} different values; at most {MOST_GROUPS} are allowed: put them into ranges, "
                "in a CSV for --groups-from"
            )
        groups[name] = values
    patients = next((in_table[name] for name in PATIENT if name in in_table), None)
    if table is not None and patients is None and not names:
        raise DataError(
            f"--groups-from {table}: its columns are {', '.join(in_table) or 'none'} besides split and row; name "
            "some with --groups, or give patients in the column patient"
        )
    for name in PATIENT:
        if patients is None:
            patients = _of_file(file, parts, name)
    return Columns(groups, patients)


def small_columns(config: DataConfig, split: Literal["val", "test"]) -> dict[str, Values]:
    """Return all columns of a file that have 2 to :data:`MOST_GROUPS` different values, but for those of patients.

    Args:
        config: The data.
        split: Which rows, as in :func:`read_columns`.

    Raises:
        DataError: The file cannot be read, or a key has another form than it must have.
    """
    file = open_file(config)
    parts = ("train", "val") if split == "val" and config.divided else (split,)
    columns = {name: _of_file(file, parts, name) for name in sorted(_names(file, parts) - set(PATIENT))}
    return {
        name: values
        for name, values in columns.items()
        if values is not None and 1 < len(np.unique(values)) <= MOST_GROUPS
    }


def read_patients(file: NpzFile, splits: Sequence[str], table: Path | None = None) -> dict[str, Values]:
    """Return the patient of each row, text (n,), for each split in which any patient is known.

    Args:
        file: The data.
        splits: Which rows.
        table: As in :func:`read_columns`, with a column ``patient``.

    Raises:
        DataError: The table or a key has another form than it must have.
    """
    if table is None:
        in_file = {split: file.patients(split) for split in splits}
        return {split: values.astype(np.str_) for split, values in in_file.items() if values is not None}
    lengths = {split: file.row_count(split) for split in splits}
    in_table = _read_table(table, lengths)
    patients = next((in_table[name] for name in PATIENT if name in in_table), None)
    if patients is None:
        raise DataError(
            f"--groups-from {table}: its columns are {', '.join(in_table) or 'none'} besides split and row; give "
            "patients in the column patient"
        )
    parts = np.split(patients, np.cumsum(list(lengths.values()))[:-1])
    return {split: values for split, values in zip(lengths, parts, strict=True) if (values != "").any()}


def _names(file: NpzFile, parts: Sequence[str]) -> set[str]:
    """Return the names of the columns that the file has for all the parts."""
    names = [{key.removeprefix(f"{part}_") for key in file.keys if key.startswith(f"{part}_")} for part in parts]
    return set.intersection(*names) - {"images", "labels"}


def _of_file(file: NpzFile, parts: Sequence[str], name: str) -> Values | None:
    if name not in _names(file, parts):
        return None
    return np.concatenate([file.column(part, name).astype(np.str_) for part in parts])


def _read_table(path: Path, lengths: dict[str, int]) -> dict[str, Values]:
    """Return all columns of a table except ``split`` and ``row``, for the rows of the parts one after the other."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream, strict=True)
            names = list(reader.fieldnames or [])
            lines = [(reader.line_num, line) for line in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise DataError(f"--groups-from {path}: cannot be read as CSV ({reason}); give a file in UTF-8") from error
    if not {"split", "row"} <= set(names) or len(set(names)) < len(names):
        raise DataError(
            f"--groups-from {path}: its columns are {', '.join(names) or 'none'}; needed are split, row, and others, "
            "each once"
        )
    starts = dict(zip(lengths, np.cumsum([0, *lengths.values()]).tolist(), strict=False))
    where: dict[int, dict[str, str]] = {}
    for number, line in lines:
        problem = _problem(line, lengths)
        if problem is None and line["split"] in lengths:
            position = starts[line["split"]] + int(line["row"])
            if position in where:
                problem = f"{line['split']} {line['row']} is in an earlier line, too"
            where[position] = line
        if problem is not None:
            raise DataError(f"--groups-from {path}, line {number}: {problem}")
    if not where:
        raise DataError(f"--groups-from {path}: no row of {' or '.join(lengths)}; the column split says which")
    total = sum(lengths.values())
    return {
        name: np.array([where[n][name] if n in where else "" for n in range(total)], np.str_)
        for name in names
        if name not in ("split", "row")
    }


def _problem(line: dict[Any, Any], lengths: dict[str, int]) -> str | None:
    """Return what is wrong with a line of a table, if anything; rows of splits not asked for may have any number."""
    if None in line or None in line.values():
        return "another number of values than columns"
    split, row = line["split"], line["row"]
    if split not in SPLITS:
        return f"split '{split}'; allowed: {', '.join(SPLITS)}"
    if not (row.isascii() and row.isdigit() and len(row) < MOST_DIGITS):
        return f"row '{row}'; allowed: whole numbers from 0"
    if split in lengths and int(row) >= lengths[split]:
        return f"row {row}, but {split} has {lengths[split]} rows, counted from 0"
    return None
