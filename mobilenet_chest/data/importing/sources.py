"""Find the pictures of a folder tree or a table, each with what is known about it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from mobilenet_chest.data.importing import pictures
from mobilenet_chest.data.importing.arrays import ArrayFile
from mobilenet_chest.data.importing.entries import SPLIT_NAMES, ColumnNames, Entry, Skipped, Source
from mobilenet_chest.data.importing.links import link_problem
from mobilenet_chest.data.importing.tables import of_table
from mobilenet_chest.errors import DataError

DICOM_SUFFIXES = (".dcm", ".dicom", ".dic")
TABLES = (".csv", ".parquet")

_MAGIC = (128, b"DICM")
"""Offset and first bytes of a DICOM file."""


def labelled(source: Path, names: ColumnNames) -> Source:
    """Return the pictures of a folder ``split/class/*`` or ``class/*``, of a table, or of a ``.npz``, with labels.

    Raises:
        DataError: It is no such folder or table, or holds no pictures.
    """
    if source.is_dir():
        found = _of_folder(source)
    elif source.is_file() and source.suffix.lower() in TABLES:
        found = of_table(source, names, with_labels=True)
    elif source.is_file() and source.suffix.lower() == ".npz":
        found = ArrayFile(source).source(names)
    elif source.exists():
        raise DataError(f"{source}: not a folder, .csv, .parquet or .npz; give the pictures' folder, table or arrays")
    else:
        raise DataError(f"{source}: no such file or folder")
    if not found.entries:
        why = Counter(file.reason for file in found.skipped).most_common(1)
        seen = f"; {len(found.skipped)} files were skipped, most of them for: {why[0][0]}" if why else ""
        raise DataError(f"{source}: holds no pictures in folders split/class or class{seen}")
    if found.pictures is None and all(entry.label.isascii() and entry.label.isdigit() for entry in found.entries):
        return replace(found, numbered=True)
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
        found = of_table(source, names, with_labels=False)
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
        if path.is_symlink() and (reason := link_problem(path, inside)):
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
