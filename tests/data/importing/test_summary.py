"""Counts, duplicates and suspicions of a report."""

from __future__ import annotations

from collections import Counter

import numpy as np

from mobilenet_chest.data.importing.entries import Skipped
from mobilenet_chest.data.importing.preparation import Preparation
from mobilenet_chest.data.importing.shards import Record
from mobilenet_chest.data.importing.summary import (
    class_counts,
    counted,
    duplicates,
    patient_counts,
    reasons,
    skipped_table,
    suspicions,
    what_was_done,
)

LABELS = np.array([0, 1, 0, 1])
SPLITS = ["train", "train", "val", "test"]


def record(pixels: str = "a", **values: object) -> Record:
    return Record("", 20, 16, "PNG L", 8, 255, pixels=pixels, **values)  # type: ignore[arg-type]


def test_counts() -> None:
    assert class_counts(LABELS, SPLITS, ("no", "yes"))["train"] == {"no": 1, "yes": 1}
    assert class_counts(LABELS, SPLITS, ("no", "yes"))["test"] == {"no": 0, "yes": 1}
    assert patient_counts(["p", "p", None, "q"], SPLITS) == {"train": 1, "val": 0, "test": 1}
    assert patient_counts([None] * 4, SPLITS) == {}
    assert (counted(1, "file"), counted(2, "file")) == ("1 file", "2 files")


def test_duplicates() -> None:
    records = [record("a"), record("a"), record("b"), record("a")]
    found = duplicates(records, LABELS, SPLITS, ["w", "x", "y", "z"])
    assert (found.groups, found.rows, found.two_classes, found.two_splits) == (1, 3, 1, 1)
    assert found.examples == [("w", "x")]


def test_skipped_files() -> None:
    skipped = [Skipped("a,b.png", "empty"), Skipped("c", "empty"), Skipped("d", "other")]
    assert reasons(skipped) == {"empty": 2, "other": 1}
    assert skipped_table(skipped) == 'file,reason\n"a,b.png",empty\nc,empty\nd,other\n'


def test_what_was_done_names_the_fit_and_the_channels() -> None:
    records = [record(channels=3), record()]
    boxed = what_was_done(Preparation(16, channels=3), records, "")
    assert "letterbox" in boxed[0]
    assert boxed[1].startswith("1 gray picture stored as colour")
    stretched = what_was_done(Preparation(16, "stretch"), records, "depth")
    assert "stretch" in stretched[0]
    same = what_was_done(Preparation(20), [Record("", 20, 20, "PNG L", 8, 255)], "")
    assert same == ["none of 1 pictures resized, as all are 20 × 20"]
    assert stretched[1:] == ["depth", "1 colour picture made gray (ITU-R 601)"]


def test_suspicions() -> None:
    none = duplicates([], LABELS[:0], [], [])
    records = [record(channels=3), *[record(constant=True)] * 4]
    notes = Counter({"window of the file": 2, "range of its stored bits": 1})
    found = suspicions(Preparation(64, channels=3), records, notes, none)
    assert [sentence.split(" ")[0] for sentence in found] == ["5", "4", "only", "DICOM"]
    assert suspicions(Preparation(16), [record()], Counter(), none) == []
