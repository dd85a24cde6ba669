"""Find the pictures of a folder tree or a table, each with what is known about it."""

from __future__ import annotations

import csv
import io
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mobilenet_chest.data.importing import pictures
from mobilenet_chest.data.npz import SPLITS
from mobilenet_chest.errors import DataError, nearest

SPLIT_NAMES = {"train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val",
               "dev": "val", "test": "test", "testing": "test"}  # fmt: skip
"""How folders and tables name the splits; case does not matter."""

DICOM_SUFFIXES = (".dcm", ".dicom", ".dic")
TABLES = (".csv", ".parquet")

GROUP_COLUMNS = ("sex", "age", "view")
"""Columns of a table that are taken without being asked for; all others may name a person."""

RESERVED = ("images", "labels", "patient", "patients")
"""Keys of a split that no further column may have."""

_MAGIC = (128, b"DICM")
"""Offset and first bytes of a DICOM file."""


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file that is left out, and the reason."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Entry:
    """A picture to import.

    Attributes:
        path: Where it is.
        name: Its path below the source, for people.
        label: Its class.
        split: Its split, where the source says it.
        patient: Whose picture it is, where a table says it.
        columns: Values of :attr:`Source.columns`.
    """

    path: str
    name: str
    label: str = ""
    split: str | None = None
    patient: str | None = None
    columns: tuple[str, ...] = ()


@dataclass(frozen=True)
class ColumnNames:
    """Names of a table's columns; a default that is absent counts as unknown, a name that was given must exist."""

    file: str = "file"
    label: str = "label"
    patient: str = "patient"
    split: str = "split"
    more: tuple[str, ...] = ()


@dataclass(frozen=True)
class Source:
    """What was found.

    Attributes:
        entries: The pictures, in the order of the table or of their names.
        skipped: Other files, with reasons.
        columns: Further columns of a table.
        left_out: Columns of a table that are not taken.
    """

    entries: list[Entry]
    skipped: list[Skipped]
    columns: tuple[str, ...] = ()
    left_out: tuple[str, ...] = field(default=())


def labelled(source: Path, names: ColumnNames) -> Source:
    """Return the pictures of a folder ``split/class/*`` or ``class/*``, or of a CSV or Parquet table, with labels.

    Raises:
        DataError: It is no such folder or table, or holds no pictures.
    """
    if source.is_dir():
        found = _of_folder(source)
    elif source.is_file() and source.suffix.lower() in TABLES:
        found = _of_table(source, names, with_labels=True)
    elif source.exists():
        raise DataError(f"{source}: not a folder, .csv or .parquet; give the folder of the pictures or their table")
    else:
        raise DataError(f"{source}: no such file or folder")
    if not found.entries:
        why = Counter(file.reason for file in found.skipped).most_common(1)
        seen = f"; {len(found.skipped)} files were skipped, most of them for: {why[0][0]}" if why else ""
        raise DataError(f"{source}: holds no pictures in folders split/class or class{seen}")
    return found


def unlabelled(source: Path, names: ColumnNames) -> Source:
    """Return the pictures of a file, of a folder with all its subfolders, or of a table.

    Raises:
        DataError: It is none of these, or holds no pictures.
    """
    if source.is_dir():
        files, skipped = walk(source)
        found = Source([Entry(str(source / name), name) for name in files], skipped)
    elif source.is_file() and source.suffix.lower() in TABLES:
        found = _of_table(source, names, with_labels=False)
    elif source.is_file() and (source.suffix.lower() in pictures.SUFFIXES or is_dicom(source)):
        return Source([Entry(str(source), source.name)], [])
    elif source.exists():
        kinds = ", ".join((*pictures.SUFFIXES, *DICOM_SUFFIXES, *TABLES))
        raise DataError(f"{source}: not .npz, .npy, {kinds} or a folder of pictures")
    else:
        raise DataError(f"{source}: no such file or folder")
    if not found.entries:
        kinds = ", ".join((*pictures.SUFFIXES, *DICOM_SUFFIXES))
        raise DataError(f"{source}: no picture in this folder or below it; it can hold {kinds}")
    return found


def is_dicom(path: Path) -> bool:
    """Return whether a file is DICOM, by its name or, where the name has no ending, by its first bytes."""
    suffix = path.suffix.lower()
    # many archives name films by number or by UID, whose last part looks like an ending
    if suffix in DICOM_SUFFIXES or not (suffix == "" or suffix[1:].isdigit()):
        return suffix in DICOM_SUFFIXES
    try:
        with path.open("rb") as file:
            file.seek(_MAGIC[0])
            return file.read(len(_MAGIC[1])) == _MAGIC[1]
    except OSError:
        return False


def walk(root: Path) -> tuple[list[str], list[Skipped]]:
    """Return the pictures below a folder, as sorted paths relative to it, and the files that are none.

    Hidden files are passed over. A symbolic link is followed only to a file below the folder.
    """
    found: list[str] = []
    skipped: list[Skipped] = []
    inside = root.resolve()
    for path in _files(root, skipped, root):
        name = path.relative_to(root).as_posix()
        if path.is_symlink() and (reason := _link_problem(path, inside)):
            skipped.append(Skipped(name, reason))
        elif not path.is_file():
            skipped.append(Skipped(name, "not a regular file"))
        elif path.suffix.lower() in pictures.SUFFIXES or is_dicom(path):
            found.append(name)
        else:
            skipped.append(Skipped(name, f"not a picture ({path.suffix or 'no ending'})"))
    return sorted(found), sorted(skipped, key=lambda file: file.name)


def _files(folder: Path, skipped: list[Skipped], root: Path) -> Iterator[Path]:
    """Yield all but hidden files below a folder, and symbolic links, which are not entered."""
    try:
        inside = sorted(os.scandir(folder), key=lambda item: item.name)
    except OSError as error:
        skipped.append(Skipped(folder.relative_to(root).as_posix(), f"cannot be listed ({error.strerror})"))
        return
    for item in inside:
        if item.name.startswith("."):
            continue
        if item.is_dir(follow_symlinks=False):
            yield from _files(Path(item.path), skipped, root)
        else:
            yield Path(item.path)


def _link_problem(link: Path, inside: Path) -> str | None:
    try:
        target = link.resolve(strict=True)
    except (OSError, RuntimeError):
        return "a symbolic link to nothing"
    if not target.is_relative_to(inside):
        return "a symbolic link out of the folder"
    return "a symbolic link to a folder" if target.is_dir() else None


def _of_folder(root: Path) -> Source:
    files, skipped = walk(root)
    tops = sorted({name.split("/")[0] for name in files if "/" in name})
    named = [top for top in tops if top.lower() in SPLIT_NAMES]
    if named and len(named) != len(tops):
        others = ", ".join(top for top in tops if top not in named)
        raise DataError(f"{root}: has the splits {', '.join(named)} beside other folders ({others}); move one of them")
    if len(tops) == 1 and not named:
        below = sorted({name.split("/")[1] for name in files if name.count("/") > 1})
        if any(folder.lower() in SPLIT_NAMES for folder in below) or len(below) > 1:
            raise DataError(f"{root}: all pictures are in '{tops[0]}'; did you mean {root / tops[0]}?")
    depth = 2 if named else 1
    entries = []
    for name in files:
        parts = name.split("/")
        if len(parts) <= depth:
            skipped.append(Skipped(name, "not in the folder of a class"))
            continue
        split = SPLIT_NAMES[parts[0].lower()] if named else None
        entries.append(Entry(str(root / name), name, parts[depth - 1], split))
    return Source(entries, skipped)


def _of_table(table: Path, names: ColumnNames, with_labels: bool) -> Source:
    rows = _read_table(table)
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
    keys = list(map(_key, more))
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
        elif file.is_symlink() and (reason := _link_problem(file, inside)):
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


def _key(name: str) -> str:
    """Return a column's name as a key of the data file has it: letters, digits and underscores."""
    return re.sub(r"\W+", "_", name).strip("_").lower() or "column"
