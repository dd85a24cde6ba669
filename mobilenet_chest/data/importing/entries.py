"""The pictures of a source, each with what is known about it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from mobilenet_chest.data.importing.pictures import Decoded

SPLIT_NAMES = {"train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val",
               "dev": "val", "test": "test", "testing": "test"}  # fmt: skip
"""How folders and tables name the splits; case does not matter."""

GROUP_COLUMNS = ("sex", "age", "view", "site")
"""Columns of a table that are taken without being asked for; all others may name a person."""

RESERVED = ("images", "labels", "patient", "patients")
"""Keys of a split that no further column may have."""

Picture = tuple[Decoded, bytes]
"""A decoded picture, and the SHA-256 of the bytes that it was decoded from."""


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
        columns: Further columns.
        left_out: Columns that are not taken.
        classes: Names in the order of their labels, where the source says it.
        numbered: Whether the labels are numbers that the source has no names for.
        pictures: Yields the pictures of the entries, in their order, where these are no files.
        done: What is known of all pictures, a sentence each.
    """

    entries: list[Entry]
    skipped: list[Skipped]
    columns: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    numbered: bool = False
    pictures: Callable[[], Iterator[Picture]] | None = None
    done: tuple[str, ...] = ()
