"""Tables of files: CSV and Parquet."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Iterable
from pathlib import Path

from mobilenet_chest.data.importing.entries import (
    GROUP_COLUMNS,
    RESERVED,
    SPLIT_NAMES,
    ColumnNames,
    Entry,
    Skipped,
    Source,
)
from mobilenet_chest.data.importing.links import link_problem
from mobilenet_chest.data.npz import SPLITS
from mobilenet_chest.errors import DataError, nearest

_WHOLE = re.compile(r"-?\d+\.0")


def of_table(table: Path, names: ColumnNames, with_labels: bool) -> Source:
    """Return the pictures that a table names.

    Args:
        table: ``.csv`` or ``.parquet``.
        names: Of its columns.
        with_labels: Whether it must have a column of labels.

    Raises:
        DataError: It cannot be read, lacks a column, or names a split that is none.
    """
    rows = _with_whole_numbers(_read_table(table))
    present = list(rows[0]) if rows else []
    needed = [names.file, *([names.label] if with_labels else [])]
    given = {"patient": names.patient, "split": names.split}
    asked = [name for role, name in given.items() if name != role] if with_labels else []
    for name in (*needed, *asked, *(names.more if with_labels else ())):
        if name not in present:
            has = ", ".join(present) or "nothing"
            option = next((f"; name it with --{role}-column" for role in ("file", "label") if name == role), "")
            raise DataError(f"{table}: has no column '{name}'{nearest(name, present)}; it has: {has}{option}")
    used = {names.file, names.label, names.patient, names.split}
    more = tuple(name for name in present if name not in used and (name in names.more or name in GROUP_COLUMNS))
    keys = list(map(column_key, more))
    for name, key in zip(more, keys, strict=True):
        if key in RESERVED or keys.count(key) > 1:
            raise DataError(f"{table}: the column '{name}' would be the key '{key}', which is taken; rename the column")
    root, inside = table.parent, _common_folder(table.parent, [row[names.file] for row in rows])
    entries, skipped = [], []
    for number, row in enumerate(rows, start=2):
        where = f"{table.name} line {number}"
        file = root / row[names.file]
        if not row[names.file] or (with_labels and not row[names.label]):
            skipped.append(Skipped(where, "no file" if not row[names.file] else "no label"))
        elif file.is_symlink() and (reason := link_problem(file, inside)):
            skipped.append(Skipped(row[names.file], reason))
        elif with_labels:
            split = _split(row.get(names.split), where)
            values = tuple(row[name] for name in more)
            entries.append(
                Entry(str(file), row[names.file], row[names.label], split, row.get(names.patient) or None, values)
            )
        else:
            entries.append(Entry(str(file), row[names.file]))
    left_out = tuple(name for name in present if name not in {*used, *more})
    return Source(entries, skipped, tuple(keys), left_out)


def _read_table(table: Path) -> list[dict[str, str]]:
    """Return the rows of a table as text."""
    if table.suffix.lower() == ".parquet":
        import pandas as pd

        try:
            frame = pd.read_parquet(table)
        except Exception as error:  # pyarrow raises errors of many kinds on damaged files
            raise DataError(f"{table}: cannot be read as Parquet ({str(error).splitlines()[0]})") from error
        text = frame.astype("string").fillna("").astype(str)
        return [dict(zip(map(str, text.columns), row, strict=True)) for row in text.itertuples(index=False, name=None)]
    try:
        contents = table.read_text(encoding="utf-8-sig")
        head = contents.partition("\n")[0]
        delimiter = max(",;\t", key=head.count)
        reader = csv.DictReader(io.StringIO(contents, newline=""), delimiter=delimiter, restval="", restkey="")
        rows = [{str(key).strip(): str(value).strip() for key, value in row.items() if key} for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{table}: cannot be read as CSV ({error}); save it as CSV in UTF-8") from error
    if not rows:
        raise DataError(f"{table}: has no rows below its line of column names")
    return rows


def _with_whole_numbers(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """Return rows in which 1.0 is 1: so pandas writes a column of whole numbers of which some are missing."""
    whole = [name for name in (rows[0] if rows else ())
             if all(_WHOLE.fullmatch(row[name]) for row in rows if row[name])]  # fmt: skip
    return [row | {name: row[name].removesuffix(".0") for name in whole} for row in rows]


def _split(value: str | None, where: str) -> str | None:
    if value is None or value == "":
        return None
    if value.lower() not in SPLIT_NAMES:
        raise DataError(f"{where}: split '{value}' is not one of {', '.join(SPLITS)}; correct the table")
    return SPLIT_NAMES[value.lower()]


def _common_folder(folder: Path, names: Iterable[str]) -> Path:
    """Return the folder that holds all files of a table: it names them, so they may be beside it, but links may not."""
    parents = {os.path.dirname(os.path.abspath(folder / name)) for name in names if name}  # noqa: PTH100, PTH120
    try:
        return Path(os.path.commonpath(parents)).resolve() if parents else folder.resolve()
    except ValueError:  # files on several drives
        return folder.resolve()


def column_key(name: str) -> str:
    """Return a column's name as a key of the data file has it: letters, digits and underscores."""
    return re.sub(r"\W+", "_", name).strip("_").lower() or "column"
