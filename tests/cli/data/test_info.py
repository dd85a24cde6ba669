"""``data info``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from helpers.commands import run


def table(text: str) -> tuple[list[str], list[list[str]]]:
    """Return headings and rows of the one table in a text."""
    heading, *rows = (line.replace("┃", "│") for line in text.splitlines() if line[0] in "│┃")
    return cells(heading), list(map(cells, rows))


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("│").split("│")]


def test_rows_and_labels_of_a_file(folder: Path, chest_file: Path) -> None:
    result = run("data", "info", chest_file)
    heading, rows = table(result.stdout)
    assert heading == ["label", "train", "val", "test"]
    with np.load(chest_file) as arrays:
        sums = [arrays[f"{split}_labels"].sum(axis=0) for split in ("train", "val", "test")]
    assert rows[0] == ["(rows)", "80", "40", "40"]
    assert rows[1:] == [[str(label), *map(str, counts)] for label, counts in enumerate(zip(*sums, strict=True))]


def test_rows_of_each_class_of_a_file_of_ones_own(folder: Path) -> None:
    images, labels = np.zeros((3, 16, 16), np.uint8), np.array([[0], [1], [1]], np.uint8)
    arrays = {"train_images": images, "train_labels": labels, "val_images": images, "val_labels": 0 * labels}
    np.savez(folder / "own.npz", **arrays, class_names=np.array(["healthy", "sick [1]"]))
    heading, rows = table(run("data", "info", "own.npz").stdout)
    assert heading == ["class", "train", "val"]
    assert rows == [["(rows)", "3", "3"], ["healthy", "1", "3"], ["sick [1]", "2", "0"]]


def test_one_data_set_and_all_of_them() -> None:
    text = run("data", "info", "phantom").stdout
    assert text.startswith("phantom: gray, multi-label, binary-class")
    assert table(text)[1][1] == ["1", "cardiomegaly"]
    by_name = {name: fields for name, *fields in table(run("data", "info").stdout)[1]}
    assert {"chestmnist", "pneumoniamnist", "phantom"} <= set(by_name)
    assert by_name["pneumoniamnist"] == ["gray", "binary-class", "28, 64, 128, 224", "2"]
