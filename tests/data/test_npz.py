"""The streaming reader of MedMNIST files: the same rows as numpy's, in less memory, and no damage let through."""

from __future__ import annotations

import io
import os
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.npz_files import arrays, npy_bytes, save_to, with_train
from numpy.typing import NDArray

from mobilenet_chest.data import npz
from mobilenet_chest.data.medmnist import dataset_info
from mobilenet_chest.data.npz import NpzFile
from mobilenet_chest.data.task import Task
from mobilenet_chest.errors import DataError

Save = Callable[..., None]
Arrays = dict[str, NDArray[Any]]


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("shape", [(28, 28), (9, 31), (16, 16, 3)])
def test_rows_equal_numpys(tmp_path: Path, save: Save, shape: tuple[int, ...]) -> None:
    made = arrays(shape=shape)
    path = tmp_path / "set.npz"
    save_to(path, made, save)
    file = NpzFile(path)
    assert file.splits == ("train", "val", "test")
    rng = np.random.default_rng(0)
    with np.load(path) as expected:
        for split in file.splits:
            images = expected[f"{split}_images"]
            every = np.arange(len(images))
            for numbers in (every, every[:0], every[-1:], every[::7], rng.permutation(every)[:20], every[[3, 3, 1]]):
                rows = file.rows(split, numbers)
                assert rows.dtype == np.uint8
                assert rows.shape == (len(numbers), *shape)
                np.testing.assert_array_equal(rows, images[numbers])
            np.testing.assert_array_equal(file.labels(split), expected[f"{split}_labels"])


@pytest.mark.parametrize("chunk_bytes", [1, 784, 785, 784 * 7, 784 * 50, 1 << 20])
def test_rows_do_not_depend_on_the_chunk(monkeypatch: pytest.MonkeyPatch, chunk_bytes: int) -> None:
    made = arrays()
    buffer = io.BytesIO()
    save_to(buffer, made, np.savez_compressed)
    monkeypatch.setattr(npz, "CHUNK_BYTES", chunk_bytes)
    numbers = np.array([49, 0, 6, 7, 8, 14, 48])
    np.testing.assert_array_equal(NpzFile(buffer).rows("train", numbers), made["train_images"][numbers])


def test_a_file_object_is_read_and_left_open(tmp_path: Path) -> None:
    made = arrays()
    path = tmp_path / "set.npz"
    save_to(path, made)
    with path.open("rb") as handle:
        file = NpzFile(handle)
        np.testing.assert_array_equal(file.labels("val"), made["val_labels"])
        np.testing.assert_array_equal(file.rows("val", np.array([2])), made["val_images"][[2]])
        assert not handle.closed
        assert file.name == str(path)


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint8", "<i8", ">i4", "uint64"])
def test_labels_of_any_integer_type_become_uint8(dtype: str) -> None:
    labels = np.array([[0, 1], [1, 1], [1, 0], [0, 0]])
    file = with_train(npy_bytes(np.zeros((4, 5, 5), np.uint8)), npy_bytes(labels.astype(dtype)))
    read = file.labels("train")
    assert read.dtype == np.uint8
    assert read.tolist() == labels.tolist()


def test_flat_labels_become_a_column() -> None:
    file = with_train(npy_bytes(np.zeros((3, 5, 5), np.uint8)), npy_bytes(np.array([4, 255, 0])))
    assert file.labels("train").tolist() == [[4], [255], [0]]


def test_a_split_without_rows_is_read() -> None:
    file = with_train(npy_bytes(np.zeros((0, 5, 5), np.uint8)), npy_bytes(np.zeros((0, 14), np.int64)))
    assert file.labels("train").shape == (0, 14)
    assert file.rows("train", np.array([], np.intp)).shape == (0, 5, 5)


def test_memory_is_the_wanted_rows_and_a_few_chunks(tmp_path: Path) -> None:
    rows = 20_000
    images = np.repeat(np.arange(rows, dtype=np.uint32).astype(np.uint8), 56 * 56).reshape(rows, 56, 56)
    path = tmp_path / "large.npz"
    np.savez_compressed(path, train_images=images, train_labels=np.zeros((rows, 1), np.uint8))
    whole = images.nbytes
    assert whole > 60_000_000
    del images
    numbers = np.arange(0, rows, 40)
    file = NpzFile(path)
    tracemalloc.start()
    try:
        images = file.rows("train", numbers)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    np.testing.assert_array_equal(images, np.broadcast_to(numbers.astype(np.uint8)[:, None, None], images.shape))
    assert images.nbytes == 500 * 56 * 56
    assert peak < images.nbytes + 5 * npz.CHUNK_BYTES


# --- real labels ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real() -> Path:
    folder = os.environ.get("MOBILENET_CHEST_REAL_DATA")
    if not folder:
        pytest.skip("MOBILENET_CHEST_REAL_DATA is not set to a folder with chestmnist_labels.npz")
    return Path(folder)


def test_a_full_size_file_with_the_real_labels(real: Path, tmp_path: Path) -> None:
    path = tmp_path / "chestmnist.npz"
    expected_counts = {"train": [754, 1552], "val": [97, 208], "test": [243, 439]}
    with np.load(real / "chestmnist_labels.npz") as stored:
        labels = {split: stored[f"{split}_labels"] for split in npz.SPLITS}
    assert [len(labels[split]) for split in npz.SPLITS] == [78_468, 11_219, 22_433]
    # Every pixel of row r is (13 r + r // 256) mod 256, so that neighbours, and rows 256 apart, differ.
    value = {split: (np.arange(len(rows)) * 13 + np.arange(len(rows)) // 256).astype(np.uint8)
             for split, rows in labels.items()}  # fmt: skip
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for split, rows in labels.items():
            images = np.repeat(value[split], 28 * 28).reshape(len(rows), 28, 28)
            archive.writestr(f"{split}_images.npy", npy_bytes(images))
            archive.writestr(f"{split}_labels.npy", npy_bytes(rows))
    task = Task(dataset_info("chestmnist"), ((1,), (7,)), ("cardiomegaly", "pneumothorax"))
    file = NpzFile(path)
    for split in file.splits:
        rows, target = task.select(file.labels(split))
        assert np.bincount(target).tolist() == expected_counts[split]
        images = file.rows(split, rows)
        assert images.shape == (sum(expected_counts[split]), 28, 28)
        np.testing.assert_array_equal(images, np.broadcast_to(value[split][rows][:, None, None], images.shape))


@pytest.mark.parametrize(
    ("name", "shape", "counts"),
    [("pneumoniamnist_28.npz", (28, 28), [4708, 524, 624]), ("chestmnist_real_small_64.npz", (64, 64), [56, 33, 54])],
)
def test_real_files_equal_numpys(real: Path, name: str, shape: tuple[int, int], counts: list[int]) -> None:
    if not (real / name).exists():
        pytest.skip(f"the folder of MOBILENET_CHEST_REAL_DATA has no {name}")
    file = NpzFile(real / name)
    with np.load(real / name) as expected:
        for split, count in zip(npz.SPLITS, counts, strict=True):
            numbers = np.arange(0, count, 3)
            images = file.rows(split, numbers)
            assert images.shape == (len(numbers), *shape)
            np.testing.assert_array_equal(images, expected[f"{split}_images"][numbers])
            np.testing.assert_array_equal(file.labels(split), expected[f"{split}_labels"])


class TestText:
    def test_one_text(self, tmp_path: Path) -> None:
        np.savez(tmp_path / "a.npz", note=np.array('{"a": "é"}'), big=np.array("x", dtype=">U3"))
        file = NpzFile(tmp_path / "a.npz")
        assert file.text("note") == '{"a": "é"}'
        assert file.text("big") == "x"
        assert file.text("none") is None

    @pytest.mark.parametrize(
        "value",
        [np.array(["a"]), np.array(3), np.array(b"a"), np.array("x" * (1 << 18) + "x")],
        ids=["list", "number", "bytes", "too long"],
    )
    def test_anything_else_is_refused(self, tmp_path: Path, value: NDArray[Any]) -> None:
        np.savez(tmp_path / "a.npz", note=value)
        with pytest.raises(DataError, match="'note'"):
            NpzFile(tmp_path / "a.npz").text("note")

    def test_numbers_that_are_no_characters(self, tmp_path: Path) -> None:
        np.savez(tmp_path / "a.npz", note=np.array("abcd"))
        with zipfile.ZipFile(tmp_path / "a.npz") as archive:
            member = archive.read("note.npy")
        with zipfile.ZipFile(tmp_path / "b.npz", "w") as archive:
            archive.writestr("note.npy", member[:-4] + b"\xff\xff\xff\xff")
        with pytest.raises(DataError, match="no characters"):
            NpzFile(tmp_path / "b.npz").text("note")
