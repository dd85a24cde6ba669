"""``data phantom``."""

from __future__ import annotations

from pathlib import Path

from helpers.commands import assert_refused, run

from mobilenet_chest.data.npz import NpzFile


def test_a_file_with_three_splits(folder: Path) -> None:
    made = run("data", "phantom", "--out", "small.npz", "--size", "16")
    assert (made.exit_code, made.stdout) == (0, "small.npz\n")
    file = NpzFile(folder / "small.npz")
    assert {split: len(file.labels(split)) for split in file.splits} == {"train": 1200, "val": 320, "test": 400}


def test_a_name_or_a_folder_that_cannot_be(folder: Path) -> None:
    assert_refused(folder, "data", "phantom", "--out", "small.txt", wants="--out small.txt")
    assert_refused(folder, "data", "phantom", "--size", "16", "--out", "none/small.npz", wants="--out none/small.npz")
