"""What is known of the people behind the rows: from further keys of the data file, or from a table beside it."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mobilenet_chest.config import DataConfig
from mobilenet_chest.data.dataset import open_file
from mobilenet_chest.data.npz import SPLITS, NpzFile
from mobilenet_chest.errors import DataError, nearest

MOST_GROUPS = 20
"""Values of a column, beyond which a figure of each says nothing."""

MOST_DIGITS = 19
"""Of a row number in a table: one that is longer is none."""

PATIENT = ("patient", "patients")
"""Names under which patients are looked for."""

Values = NDArray[np.str_]


@dataclass(frozen=True, eq=False)
class Columns:
    """Text for each row that predictions may name; empty where nothing is known.

    Attributes:
        groups: The columns asked for, by name, each (n,).
        patients: Whose image each row is, (n,), where that is known.
    """

    groups: dict[str, Values]
    patients: Values | None

    def of(self, rows: NDArray[np.int64]) -> Columns:
        """Of these rows only, in their order."""
        groups = {name: values[rows] for name, values in self.groups.items()}
        return Columns(groups, None if self.patients is None else self.patients[rows])


def read_columns(
    config: DataConfig, split: Literal["val", "test"], names: Sequence[str], table: Path | None = None
) -> Columns:
    """Columns of a split, by the row numbers of predictions. Pixels and labels of test stay closed.

    Args:
        config: The data. Where train and val are divided anew, the columns of val are those of both.
        split: Which rows.
        names: Columns that make groups.
        table: A CSV with the columns ``split`` and ``row`` (from 0, in the file) and further ones, which go before the
            keys ``{split}_{name}`` of the file.

    Raises:
        DataError: The file has no such split; a column is nowhere, or has too many values; the table or a key is not
            such as it must be, or the table has neither patients nor is asked for anything else.
    """
    file = open_file(config)
    if split not in file.splits:
        raise DataError(f"{config.path or config.dataset}: has no {split}_images and {split}_labels to score")
    parts = ("train", "val") if split == "val" and config.divided else (split,)
    lengths = {part: file.row_count(part) for part in parts}
    given = {} if table is None else _read_table(table, lengths)
    groups = {}
    for name in names:
        values = given[name] if name in given else _of_file(file, parts, name)
        if values is None:
            known = sorted({*given, *_names(file, parts)})
            has = f"there are: {', '.join(known) or 'none'}"
            raise DataError(
                f"--groups {name}: no '{parts[0]}_{name}' in {config.path or config.dataset}"
                + (f" and no column '{name}' in {table}" if table is not None else "")
                + f"{nearest(name, known)}; {has}; a CSV with the columns split, row, {name} is taken by --groups-from"
            )
        count = len(np.unique(values))
        if count > MOST_GROUPS:
            raise DataError(
                f"--groups {name}: {count} different values; at most {MOST_GROUPS} make groups that say something: put "
                "them into ranges, in a CSV for --groups-from"
            )
        groups[name] = values
    patients = next((given[name] for name in PATIENT if name in given), None)
    if table is not None and patients is None and not names:
        raise DataError(
            f"--groups-from {table}: its columns are {', '.join(given) or 'none'} besides split and row; name "
            "some with --groups, or give patients in the column patient"
        )
    for name in PATIENT:
        if patients is None:
            patients = _of_file(file, parts, name)
    return Columns(groups, patients)


def read_patients(file: NpzFile, splits: Sequence[str], table: Path | None = None) -> dict[str, Values]:
    """Whose image each row of a split is, text (n,), empty where that is not known; without splits of which nothing is.

    Args:
        file: The data.
        splits: Which rows.
        table: As in :func:`read_columns`, with a column ``patient``.

    Raises:
        DataError: The table or a key is not such as it must be.
    """
    if table is None:
        known = {split: file.patients(split) for split in splits}
        return {split: values.astype(np.str_) for split, values in known.items() if values is not None}
    lengths = {split: file.row_count(split) for split in splits}
    given = _read_table(table, lengths)
    patients = next((given[name] for name in PATIENT if name in given), None)
    if patients is None:
        raise DataError(
            f"--groups-from {table}: its columns are {', '.join(given) or 'none'} besides split and row; patients are "
            "looked for in the column patient"
        )
    parts = np.split(patients, np.cumsum(list(lengths.values()))[:-1])
    return {split: values for split, values in zip(lengths, parts, strict=True) if (values != "").any()}


def _names(file: NpzFile, parts: Sequence[str]) -> set[str]:
    """What the file says of all the parts."""
    names = [{key.removeprefix(f"{part}_") for key in file.keys if key.startswith(f"{part}_")} for part in parts]
    return set.intersection(*names) - {"images", "labels"}


def _of_file(file: NpzFile, parts: Sequence[str], name: str) -> Values | None:
    if name not in _names(file, parts):
        return None
    return np.concatenate([file.column(part, name).astype(np.str_) for part in parts])


def _read_table(path: Path, lengths: dict[str, int]) -> dict[str, Values]:
    """All columns but ``split`` and ``row``, the parts one after the other."""
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
                problem = f"{line['split']} {line['row']} stands there before"
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
    """What is wrong with a line of a table, if anything; rows of splits that are not asked for may be any number."""
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
