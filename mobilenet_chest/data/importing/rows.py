"""The pictures of a source that can be used, with their labels and patients."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mobilenet_chest.data.importing import shards
from mobilenet_chest.data.importing.entries import Entry, Source
from mobilenet_chest.data.importing.shards import Record
from mobilenet_chest.errors import DataError


@dataclass(frozen=True)
class Rows:
    """The pictures that can be used, one place each; ``numbers`` are their places among all files."""

    numbers: list[int]
    entries: list[Entry]
    records: list[Record]
    labels: NDArray[np.int64]
    patients: list[str | None]


def usable_rows(found: Source, records: Sequence[Record], classes: tuple[str, ...], key: bytes) -> Rows:
    """Return the rows of files that could be read.

    A patient becomes a digest, salted with the contents of all files: who has the data file alone cannot try names.

    Args:
        found: The source.
        records: Of all its files.
        classes: Names in the order of their labels.
        key: Under which the digests of patients in ``records`` were made.

    Raises:
        DataError: No file could be read.
    """
    label_of = {name: label for label, name in enumerate(classes)}
    numbers = [number for number, record in enumerate(records) if not record.reason]
    if not numbers:
        first = next(entry.name for entry in found.entries)
        raise DataError(f"none of {len(records)} files can be read; the first, {first}: {records[0].reason}")
    entries, good = [found.entries[number] for number in numbers], [records[number] for number in numbers]
    labels = np.array([label_of[entry.label] for entry in entries], np.int64)
    salt = hashlib.sha256("".join(record.file for record in good).encode()).digest()
    patients: list[str | None] = []
    for entry, record in zip(entries, good, strict=True):
        named = record.patient if entry.patient is None else shards.patient_digest(entry.patient, key)
        patients.append(None if named is None else shards.patient_digest(named, salt))
    return Rows(numbers, entries, good, labels, patients)


def units(rows: Rows) -> NDArray[np.int64]:
    """Return, int64 (n,), a number for each group of rows that one split must hold: of a patient, or equal pictures."""
    parent = list(range(len(rows.entries)))

    def root(row: int) -> int:
        while parent[row] != row:
            parent[row] = parent[parent[row]]
            row = parent[row]
        return row

    first: dict[str, int] = {}
    for row, (patient, record) in enumerate(zip(rows.patients, rows.records, strict=True)):
        for mark in (f"pixels {record.pixels}", *([] if patient is None else [f"patient {patient}"])):
            one, other = root(first.setdefault(mark, row)), root(row)
            parent[max(one, other)] = min(one, other)
    return np.array([root(row) for row in range(len(parent))], np.int64)
