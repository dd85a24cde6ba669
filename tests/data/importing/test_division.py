"""Splits by patient and class."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from mobilenet_chest.data.importing.division import check_classes, check_patients, divide
from mobilenet_chest.errors import DataError


def test_shares_and_strata_without_patients() -> None:
    labels = np.array([0] * 60 + [1] * 40)
    splits, how = divide(labels, [None] * 100, np.arange(100), seed=3)
    assert Counter(zip(splits, labels.tolist(), strict=True)) == {
        ("train", 0): 42, ("val", 0): 9, ("test", 0): 9, ("train", 1): 28, ("val", 1): 6, ("test", 1): 6,
    }  # fmt: skip
    assert "seed 3" in how
    assert divide(labels, [None] * 100, np.arange(100), seed=3)[0] == splits
    assert divide(labels, [None] * 100, np.arange(100), seed=4)[0] != splits


def test_a_unit_is_in_one_split() -> None:
    chance = np.random.default_rng(0)
    units = chance.integers(0, 60, 300)
    labels = chance.integers(0, 3, 300)
    splits, _ = divide(labels, [None] * 300, units, seed=0)
    of_unit: dict[int, set[str]] = {}
    for unit, split in zip(units.tolist(), splits, strict=True):
        of_unit.setdefault(unit, set()).add(split)
    assert max(map(len, of_unit.values())) == 1
    counts = Counter(splits)
    assert abs(counts["train"] - 210) <= 15
    assert min(counts["val"], counts["test"]) >= 30


def test_splits_of_the_source_are_kept() -> None:
    given = ["test", "train", "val", "train"]
    assert divide(np.array([0, 1, 0, 1]), given, np.arange(4), 0) == (given, "as the source has them")


def test_a_missing_split_is_taken_from_train() -> None:
    labels = np.tile([0, 1], 100)
    given = ["train"] * 160 + ["test"] * 40
    splits, how = divide(labels, given, np.arange(200), 0)
    assert splits[160:] == ["test"] * 40
    assert Counter(splits) == {"train": 130, "val": 30, "test": 40}
    assert "val taken from its train rows" in how


def test_refusals() -> None:
    labels = np.array([0, 1, 0, 1])
    with pytest.raises(DataError, match="2 of 4 rows"):
        divide(labels, ["train", "val", None, None], np.arange(4), 0)
    with pytest.raises(DataError, match="no train"):
        divide(labels, ["val", "test", "val", "test"], np.arange(4), 0)
    with pytest.raises(DataError, match="too few"):
        divide(np.zeros(100, np.int64), ["train"] * 10 + ["test"] * 90, np.arange(100), 0)


def test_a_patient_in_two_splits_is_refused_by_the_names_of_files() -> None:
    with pytest.raises(DataError, match=r"splits: 1, .*a\.png \(train\) and c\.png \(val\)") as caught:
        check_patients(["Doe", None, "Doe"], ["train", "val", "val"], ["a.png", "b.png", "c.png"])
    assert "Doe" not in str(caught.value)
    check_patients([None, None], ["train", "val"], ["a", "b"])


def test_a_split_without_a_class_is_refused() -> None:
    splits = ["train", "train", "val", "val", "test"]
    with pytest.raises(DataError, match="test.*'sick'"):
        check_classes(np.array([0, 1, 0, 1, 0]), splits, ("healthy", "sick"))
