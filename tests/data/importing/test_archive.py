"""Data files written as a stream."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mobilenet_chest.data.importing.archive import write_archive
from mobilenet_chest.data.npz import NpzFile


def write(path: Path) -> None:
    rows = (np.full((4, 4), value, np.uint8) for value in range(3))
    arrays = {"train_labels": np.zeros((3, 1), np.uint8), "note": np.array("two words")}
    write_archive(path, {"train_images": ((3, 4, 4), rows)}, arrays)


def test_numpy_and_the_reader_of_data_files_read_it(tmp_path: Path) -> None:
    write(tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz") as arrays:
        assert arrays["train_images"][:, 0, 0].tolist() == [0, 1, 2]
    file = NpzFile(tmp_path / "a.npz")
    assert file.rows("train", np.array([2]))[0, 3, 3] == 2
    assert file.text("note") == "two words"


def test_the_same_rows_give_the_same_bytes(tmp_path: Path) -> None:
    write(tmp_path / "a.npz")
    write(tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_a_failure_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        write_archive(tmp_path / "a.npz", {"train_images": ((3, 4, 4), (np.zeros(4) / (1 // 0) for _ in range(1)))}, {})
    assert list(tmp_path.iterdir()) == []
