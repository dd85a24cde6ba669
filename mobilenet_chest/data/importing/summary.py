"""What an import did: rows, sizes, duplicates, pixels, and the files that it left out."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mobilenet_chest.data.importing.entries import Skipped
from mobilenet_chest.data.importing.preparation import Preparation
from mobilenet_chest.data.importing.shards import Record
from mobilenet_chest.data.npz import SPLITS
from mobilenet_chest.files import write_whole

SUSPICIOUS = 1 / 3
"""Share of constant pictures from which on the source itself is in doubt."""

WINDOWS = ("window of the file", "VOI LUT of the file", "range of its stored bits", "window of its percentiles")
"""Notes on how the gray range of a DICOM file was found."""


@dataclass(frozen=True)
class Duplicates:
    """Groups of pictures that are equal pixel for pixel.

    Attributes:
        groups: Number of groups.
        rows: Rows that are in one.
        two_classes: Groups with rows of two classes.
        two_splits: Groups with rows in two splits.
        examples: Two names of each of some groups.
    """

    groups: int
    rows: int
    two_classes: int
    two_splits: int
    examples: list[tuple[str, str]]


@dataclass(frozen=True)
class ImportReport:
    """The report.

    Attributes:
        source: As it was given.
        out: The data file.
        written: False for a dry run.
        rows: Number of rows.
        counts: Rows by split and class.
        patients: Number of patients by split; empty where none is known.
        divided: How rows came into their splits.
        sizes: Files by ``width × height``, the most frequent first.
        modes: Files by how they store pixels.
        notes: Files by what a reader should know about them.
        duplicates: Equal pictures.
        done: What was done to pixels, a sentence each.
        warnings: What may be wrong though it is allowed, a sentence each.
        columns: Columns of the table in the data file.
        left_out: Columns that are not.
        skipped: Files that are left out.
    """

    source: str
    out: str
    written: bool
    rows: int
    counts: dict[str, dict[str, int]]
    patients: dict[str, int]
    divided: str
    sizes: dict[str, int]
    modes: dict[str, int]
    notes: dict[str, int]
    duplicates: Duplicates
    done: list[str]
    warnings: list[str]
    columns: list[str]
    left_out: list[str]
    skipped: list[Skipped]

    @property
    def skipped_file(self) -> Path:
        """Where the files left out are listed, beside the data file."""
        return Path(self.out).with_name(Path(self.out).stem + "-skipped.csv")

    def write_skipped(self) -> None:
        """Write the CSV of the files left out, with the columns file and reason, where there are any.

        Raises:
            OSError: It cannot be written.
        """
        if self.skipped:
            write_whole(self.skipped_file, skipped_table(self.skipped))

    def as_dict(self) -> dict[str, Any]:
        """Return all of it as JSON has it."""
        return asdict(self)


def skipped_table(skipped: Sequence[Skipped]) -> str:
    """Return a CSV of skipped files: file, reason."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["file", "reason"])
    writer.writerows([file.name, file.reason] for file in skipped)
    return text.getvalue()


def counted(count: int, noun: str) -> str:
    """Return a number with its noun: ``1 file``, ``2 files``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def reasons(skipped: Sequence[Skipped]) -> dict[str, int]:
    """Return how many files were skipped for each reason, the most frequent first."""
    return dict(Counter(file.reason for file in skipped).most_common())


def class_counts(labels: NDArray[np.int64], splits: Sequence[str], classes: Sequence[str]) -> dict[str, dict[str, int]]:
    """Return the rows of each class, by split."""
    counts = Counter(zip(splits, labels.tolist(), strict=True))
    return {split: {name: counts[split, label] for label, name in enumerate(classes)} for split in SPLITS}


def patient_counts(patients: Sequence[str | None], splits: Sequence[str]) -> dict[str, int]:
    """Return how many patients each split has; empty where no patient is known."""
    known = {(split, patient) for split, patient in zip(splits, patients, strict=True) if patient is not None}
    by_split = Counter(split for split, _ in known)
    return {split: by_split[split] for split in SPLITS} if known else {}


def duplicates(
    records: Sequence[Record], labels: NDArray[np.int64], splits: Sequence[str], names: Sequence[str]
) -> Duplicates:  # fmt: skip
    """Return the pictures that are equal pixel for pixel."""
    rows_of: dict[str, list[int]] = {}
    for row, record in enumerate(records):
        rows_of.setdefault(record.pixels, []).append(row)
    groups = [rows for rows in rows_of.values() if len(rows) > 1]
    return Duplicates(
        len(groups),
        sum(map(len, groups)),
        sum(len({int(labels[row]) for row in rows}) > 1 for rows in groups),
        sum(len({splits[row] for row in rows}) > 1 for rows in groups),
        [(names[rows[0]], names[rows[1]]) for rows in groups[:5]],
    )


def what_was_done(preparation: Preparation, records: Sequence[Record], depth_found: str) -> list[str]:
    """Return what was done to pixels, a sentence each."""
    size = preparation.size
    shape = {
        "letterbox": "shape kept, the rest of the square black (letterbox)",
        "stretch": "stretched to a square, so shapes change (stretch)",
    }[preparation.fit]
    resized = sum((record.height, record.width) != (size, size) for record in records)
    done = [f"{resized} of {len(records)} pictures resized to {size} × {size}, bicubic with antialiasing; {shape}"]
    if not resized:
        done = [f"none of {len(records)} pictures resized, as all are {size} × {size}"]
    done += [depth_found] if depth_found else []
    colours = sum(record.channels == 3 for record in records)
    if preparation.channels == 1 and colours:
        done.append(f"{counted(colours, 'colour picture')} made gray (ITU-R 601)")
    if preparation.channels == 3 and colours < len(records):
        why = f", as {colours} of colour are" if colours else ""
        done.append(f"{counted(len(records) - colours, 'gray picture')} stored as colour{why}")
    return done


def suspicions(
    preparation: Preparation, records: Sequence[Record], notes: Counter[str], twice: Duplicates
) -> list[str]:
    """Return what is allowed and may be a mistake all the same, a sentence each."""
    count = len(records)
    smaller = sum(max(record.height, record.width) < preparation.size for record in records)
    constant = sum(record.constant for record in records)
    colours = sum(record.channels == 3 for record in records)
    windows = [note for note in WINDOWS if notes[note]]
    found = []
    if smaller:
        found.append(f"{smaller} of {count} pictures are smaller than {preparation.size} pixels and were enlarged")
    if constant >= SUSPICIOUS * count:
        found.append(f"{constant} of {count} pictures have one value in all pixels")
    if 0 < colours < SUSPICIOUS * count and preparation.channels == 3:
        found.append(f"only {colours} of {count} pictures are colour; --colour gray stores all as gray")
    if len(windows) > 1:
        found.append("DICOM files differ in how their gray range was found; --window gives one for all")
    if twice.two_classes:
        found.append(f"{counted(twice.two_classes, 'group')} of equal pictures in two classes")
    if twice.two_splits:
        found.append(f"{counted(twice.two_splits, 'group')} of equal pictures in two splits")
    return found
