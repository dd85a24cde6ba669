"""Folds that are the sites of a file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mobilenet_chest.config import Config
from mobilenet_chest.data.dataset import load_sites, load_train_val
from mobilenet_chest.data.division import sites
from mobilenet_chest.data.npz import NpzFile
from mobilenet_chest.errors import DataError

TRAIN, VAL = np.arange(6), np.arange(4)
LABELS = np.array([0, 1, 0, 1, 0, 1, 0, 1, 0, 1], np.uint8)


@pytest.fixture
def file_of(tmp_path: Path) -> Callable[..., NpzFile]:
    """Returns what writes a file of six and four rows with the columns that are given."""

    def make(**columns: Any) -> NpzFile:
        path = tmp_path / "x.npz"
        splits = (("train", LABELS[:6]), ("val", LABELS[6:]))
        arrays = {f"{split}_images": np.zeros((len(labels), 8, 8), np.uint8) for split, labels in splits}
        np.savez(path, **arrays, **{f"{split}_labels": labels[:, None] for split, labels in splits}, **columns)
        return NpzFile(path)

    return make


def test_numbers_are_sorted_as_numbers(file_of: Callable[..., NpzFile]) -> None:
    file = file_of(train_site=np.array([10, 10, 2, 2, 2, 2]), val_site=np.array([10, 10, 2, 2]))
    names, numbers = sites(file, (TRAIN, VAL), LABELS)
    assert names == ("2", "10")
    assert numbers.tolist() == [1, 1, 0, 0, 0, 0, 1, 1, 0, 0]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({}, "has no column train_site and no val_site"),
        ({"train_site": list("AABBAA")}, "has no column val_site,"),
        ({"train_site": list("AAAAAA"), "val_site": list("AAAA")}, "all 10 rows .* one site, A;"),
        ({"train_site": list("AABBAA"), "val_site": [*list("AAA"), ""]}, "1 rows .* have no site"),
        ({"train_site": list("AAABAB"), "val_site": list("AAAA")}, "the 2 rows of site B .* all of class 1;"),
    ],
    ids=["none", "half", "one site", "a gap", "one class"],
)
def test_sites_that_cannot_be_left_out(
    file_of: Callable[..., NpzFile], columns: dict[str, list[str]], message: str
) -> None:
    with pytest.raises(DataError, match=rf"^\S*x\.npz: {message}"):
        sites(file_of(**{name: np.array(values) for name, values in columns.items()}), (TRAIN, VAL), LABELS)


def test_each_site_is_validated_on_by_all_others(chest_file: Path, tmp_path: Path, phantom_config: Any) -> None:
    with np.load(chest_file) as file:
        arrays = dict(file)
    for split in ("train", "val"):
        arrays[f"{split}_site"] = np.array(["A", "B", "C", "B"])[np.arange(len(arrays[f"{split}_labels"])) % 4]
    np.savez(tmp_path / "sites.npz", **arrays)
    path = {"data.path": str(tmp_path / "sites.npz")}
    counts = load_sites(phantom_config(path).data)
    assert list(counts) == ["A", "B", "C"]
    of_row = np.concatenate([arrays["train_site"], arrays["val_site"]])
    for fold, (name, count) in enumerate(counts.items()):
        config: Config = phantom_config(path | {"data.folds": 3, "data.fold": fold, "data.fold_by": "site"})
        data = load_train_val(config.data)
        assert len(data.val) == count
        assert set(of_row[data.val.rows]) == {name}
        assert set(of_row[data.train.rows]) == {*counts} - {name}
    with pytest.raises(DataError, match=r"data\.folds: 2, .*3 sites \(A, B, C\); give data\.folds: 3$"):
        load_train_val(phantom_config(path | {"data.folds": 2, "data.fold_by": "site"}).data)
