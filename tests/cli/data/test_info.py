"""``data info``."""

from __future__ import annotations

from pathlib import Path

from helpers.commands import run


def test_rows_and_labels_of_a_file(folder: Path, chest_file: Path) -> None:
    result = run("data", "info", chest_file)
    assert [line.split(", ")[:2] for line in result.stdout.splitlines()] == [
        ["train: 80 rows", "labels (80"],
        ["val: 40 rows", "labels (40"],
        ["test: 40 rows", "labels (40"],
    ]


def test_one_data_set_and_all_of_them() -> None:
    assert run("data", "info", "phantom").stdout.startswith("phantom: gray, multi-label, binary-class")
    names = [line.partition(":")[0] for line in run("data", "info").stdout.splitlines()]
    assert {"chestmnist", "pneumoniamnist", "phantom"} <= set(names)
