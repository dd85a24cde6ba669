"""Columns of rows, from the data file and from a table, and one line for whatever is wrong with either."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mobilenet_chest.config import DataConfig
from mobilenet_chest.data.columns import Columns, read_columns, small_columns
from mobilenet_chest.errors import DataError

Make = Callable[..., DataConfig]


@pytest.fixture
def made(tmp_path: Path) -> Make:
    """Writes a file with 6, 4 and 5 rows and further keys; returns the data that it is."""

    def make(fields: dict[str, Any] | None = None, **keys: NDArray[Any]) -> DataConfig:
        arrays: dict[str, Any] = {}
        for split, count in (("train", 6), ("val", 4), ("test", 5)):
            arrays[f"{split}_images"] = np.zeros((count, 3, 3), np.uint8)
            arrays[f"{split}_labels"] = np.arange(count)[:, None].astype(np.uint8) % 2
        np.savez(tmp_path / "own.npz", **arrays, **keys)
        return DataConfig(dataset="pneumoniamnist", path=tmp_path / "own.npz", **(fields or {}))

    return make


@pytest.fixture
def table(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        path = tmp_path / "groups.csv"
        path.write_bytes(text.encode("utf-8"))
        return path

    return write


def test_keys_of_the_file(made: Make) -> None:
    config = made(val_sex=np.array(["F", "M", "", "F"]), val_age=np.array([50, 60, 50, 70]), val_patient=np.arange(4))
    columns = read_columns(config, "val", ["sex", "age"])
    assert {name: values.tolist() for name, values in columns.groups.items()} == {
        "sex": ["F", "M", "", "F"], "age": ["50", "60", "50", "70"]
    }  # fmt: skip
    assert columns.patients is not None
    assert columns.patients.tolist() == ["0", "1", "2", "3"]


def test_test_has_keys_of_its_own_and_its_pixels_stay_closed(made: Make) -> None:
    config = made(test_view=np.array(["PA", "AP", "PA", "AP", "LL"]), val_view=np.array(["PA"] * 4))
    assert read_columns(config, "test", ["view"]).groups["view"].tolist() == ["PA", "AP", "PA", "AP", "LL"]
    assert read_columns(config, "val", ["view"]).patients is None


@pytest.mark.parametrize("fields", [{"folds": 2}, {"split_seed": 3}])
def test_rows_of_train_and_val_divided_again_are_counted_through(made: Make, fields: dict[str, Any]) -> None:
    config = made(fields, train_sex=np.array(list("FFFMMM")), val_sex=np.array(list("MFMF")))
    assert read_columns(config, "val", ["sex"]).groups["sex"].tolist() == list("FFFMMMMFMF")


def test_a_table_beside_the_file(made: Make, table: Callable[[str], Path]) -> None:
    """In any order, some rows missing, other splits ignored; its columns go before the file's."""
    config = made(val_sex=np.array(list("XXXX")), val_view=np.array(["PA"] * 4))
    path = table('﻿row,split,sex,patient\r\n3,val,"F, or not",p1\r\n0,val,M,p1\r\n5,train,M,p2\r\n99,test,M,p3\r\n')
    columns = read_columns(config, "val", ["sex", "view"], path)
    assert columns.groups["sex"].tolist() == ["M", "", "", "F, or not"]
    assert columns.groups["view"].tolist() == ["PA"] * 4
    assert columns.patients is not None
    assert columns.patients.tolist() == ["p1", "", "", "p1"]


def test_a_table_for_train_and_val_divided_again(made: Make, table: Callable[[str], Path]) -> None:
    path = table("split,row,sex\nval,1,F\ntrain,1,M\n")
    sexes = read_columns(made({"folds": 2}), "val", ["sex"], path).groups["sex"].tolist()
    assert sexes == ["", "M", "", "", "", "", "", "F", "", ""]


def test_columns_of_some_rows() -> None:
    columns = Columns({"sex": np.array(["F", "M", "X"])}, np.array(["a", "b", "c"]))
    chosen = columns.of(np.array([2, 0]))
    assert chosen.groups["sex"].tolist() == ["X", "F"]
    assert chosen.patients is not None
    assert chosen.patients.tolist() == ["c", "a"]


def refusal(call: Callable[[], object]) -> str:
    with pytest.raises(DataError) as caught:
        call()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_column_that_is_nowhere(made: Make, table: Callable[[str], Path]) -> None:
    config = made(val_sex=np.array(list("FMFM")))
    message = refusal(lambda: read_columns(config, "val", ["sexx"]))
    assert message.startswith("--groups sexx: no 'val_sexx' in ")
    assert "did you mean 'sex'?; there are: sex; " in message
    assert message.endswith("--groups-from")
    message = refusal(lambda: read_columns(config, "val", ["age"], table("split,row,view\nval,0,PA\n")))
    assert "and no column 'age' in" in message
    assert "there are: sex, view" in message
    assert "there are: none" in refusal(lambda: read_columns(config, "test", ["sex"]))


def test_images_and_labels_are_no_columns(made: Make) -> None:
    assert "no 'val_labels' in" in refusal(lambda: read_columns(made(), "val", ["labels"]))


def test_the_columns_that_divide_images_into_groups(made: Make) -> None:
    config = made(val_view=np.array(["AP", "PA", "PA", "PA"]), val_one=np.array(["x"] * 4))
    columns = small_columns(config, "val")
    assert columns["view"].tolist() == ["AP", "PA", "PA", "PA"]
    assert not {"one", "patient", "patients"} & set(columns)


def test_too_many_values(made: Make, table: Callable[[str], Path]) -> None:
    config = made({"split_seed": 1})
    lines = "".join(f"{split},{row},{split}{row}\n" for split, n in (("train", 6), ("val", 4)) for row in range(n))
    assert len(read_columns(config, "val", ["age"], table("split,row,age\n" + lines)).groups["age"]) == 10
    big = DataConfig(dataset="pneumoniamnist", path=config.path.with_name("big.npz") if config.path else None)
    assert big.path is not None
    np.savez(big.path, val_images=np.zeros((21, 3, 3), np.uint8), val_labels=np.zeros((21, 1), np.uint8),
             val_age=np.arange(21))  # fmt: skip
    assert "--groups age: 21 different values; at most 20" in refusal(lambda: read_columns(big, "val", ["age"]))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "its columns are none; needed are split, row"),
        ("split,sex\nval,F\n", "its columns are split, sex; needed are split, row"),
        ("split,row,sex,sex\nval,0,F,M\n", "its columns are split, row, sex, sex; needed are"),
        ("split,row,sex\n", "no row of val"),
        ("split,row,sex\ntest,0,F\n", "no row of val"),
        ("split,row,sex\nval,0\n", "line 2: another number of values than columns"),
        ("split,row,sex\nval,0,F\nval,1,M,x\n", "line 3: another number of values than columns"),
        ("split,row,sex\nvalid,0,F\n", "line 2: split 'valid'; allowed: train, val, test"),
        ("split,row,sex\nval,-1,F\n", "line 2: row '-1'; allowed: whole numbers from 0"),
        ("split,row,sex\nval,1.0,F\n", "line 2: row '1.0'; allowed"),
        (f"split,row,sex\nval,{'9' * 5000},F\n", "allowed: whole numbers from 0"),
        ("split,row,sex\nval,4,F\n", "line 2: row 4, but val has 4 rows, counted from 0"),
        ("split,row,sex\nval,1,F\nval,1,M\n", "line 3: val 1 "),
        ('split,row,sex\nval,1,"F\n', "cannot be read as CSV"),
    ],
)
def test_a_table_that_is_none(made: Make, table: Callable[[str], Path], text: str, words: str) -> None:
    config = made()
    message = refusal(lambda: read_columns(config, "val", ["sex"], table(text)))
    assert message.startswith("--groups-from ")
    assert words in message


def test_a_table_that_cannot_be_read(made: Make, tmp_path: Path) -> None:
    config = made()
    assert "No such file" in refusal(lambda: read_columns(config, "val", ["sex"], tmp_path / "no.csv"))
    (tmp_path / "latin.csv").write_bytes("split,row,sex\nval,0,männlich\n".encode("latin-1"))
    assert "give a file in UTF-8" in refusal(lambda: read_columns(config, "val", ["sex"], tmp_path / "latin.csv"))


def test_a_table_that_nothing_is_taken_from(made: Make, table: Callable[[str], Path]) -> None:
    path = table("split,row,view\nval,0,PA\n")
    assert "its columns are view besides split and row" in refusal(lambda: read_columns(made(), "val", [], path))
    patients = read_columns(made(), "val", [], table("split,row,patients\nval,0,7\n")).patients
    assert patients is not None
    assert patients.tolist() == ["7", "", "", ""]


def test_a_key_of_another_length(made: Make) -> None:
    config = made(val_sex=np.array(["F", "M"]))
    assert "'val_sex' has shape (2,)" in refusal(lambda: read_columns(config, "val", ["sex"]))
