"""The catalogue, the two classes and the row filter."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mobilenet_chest
from mobilenet_chest.data import medmnist as catalogue
from mobilenet_chest.data.download import file_digest
from mobilenet_chest.data.medmnist import DatasetInfo, class_indices, dataset_info, fetch_dataset, select_rows
from mobilenet_chest.errors import DataError

CHEST_LABELS = (
    "atelectasis", "cardiomegaly", "effusion", "infiltration", "mass", "nodule", "pneumonia", "pneumothorax",
    "consolidation", "edema", "emphysema", "fibrosis", "pleural", "hernia",
)  # fmt: skip
PLANAR = (
    "pathmnist", "chestmnist", "dermamnist", "octmnist", "pneumoniamnist", "retinamnist", "breastmnist", "bloodmnist",
    "tissuemnist", "organamnist", "organcmnist", "organsmnist",
)  # fmt: skip
MULTI = DatasetInfo("three", ("a", "b", "c"), 1, "multi-label, binary-class", (28,))
SINGLE = DatasetInfo("three", ("a", "b", "c"), 1, "multi-class", (28,))


# --- datasets ------------------------------------------------------------------------------------------------------


def test_chestmnist() -> None:
    assert dataset_info("chestmnist") == DatasetInfo(
        "chestmnist", CHEST_LABELS, 1, "multi-label, binary-class", (28, 64, 128, 224)
    )


def test_phantom_has_chestmnists_labels() -> None:
    assert dataset_info("phantom") == DatasetInfo("phantom", CHEST_LABELS, 1, "multi-label, binary-class", ())


@pytest.mark.parametrize(
    ("name", "labels", "channels", "task"),
    [
        ("pathmnist", 9, 3, "multi-class"),
        ("dermamnist", 7, 3, "multi-class"),
        ("octmnist", 4, 1, "multi-class"),
        ("pneumoniamnist", 2, 1, "binary-class"),
        ("retinamnist", 5, 3, "ordinal-regression"),
        ("breastmnist", 2, 1, "binary-class"),
        ("bloodmnist", 8, 3, "multi-class"),
        ("tissuemnist", 8, 1, "multi-class"),
        ("organamnist", 11, 1, "multi-class"),
        ("organcmnist", 11, 1, "multi-class"),
        ("organsmnist", 11, 1, "multi-class"),
    ],
)
def test_every_other_2d_set(name: str, labels: int, channels: int, task: str) -> None:
    info = dataset_info(name)
    assert (len(info.label_names), info.channels, info.task) == (labels, channels, task)
    assert info.sizes == (28, 64, 128, 224)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("chestmist", "; did you mean 'chestmnist'?"),
        ("ChestMNIST", "; did you mean 'chestmnist'?"),
        ("fantom", "; did you mean 'phantom'?"),
        ("zzzzzz", ""),
        ("", ""),
    ],
)
def test_unknown_names_list_the_2d_sets(name: str, hint: str) -> None:
    with pytest.raises(DataError) as caught:
        dataset_info(name)
    allowed = ", ".join(f"'{dataset}'" for dataset in (*PLANAR, "phantom"))
    assert str(caught.value) == f"no dataset '{name}'{hint} (choose from: {allowed})"


@pytest.mark.parametrize("name", ["organmnist3d", "nodulemnist3d"])
def test_3d_sets_are_not_offered(name: str) -> None:
    with pytest.raises(DataError, match=f"no dataset '{name}'"):
        dataset_info(name)


def test_importing_the_module_does_not_import_medmnist() -> None:
    code = "import sys, mobilenet_chest.data.medmnist; print('medmnist' in sys.modules)"
    environment = os.environ | {"PYTHONPATH": str(Path(mobilenet_chest.__path__[0]).parent)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout == "False\n"


# --- files ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "size", "file_name", "md5"),
    [
        ("chestmnist", 28, "chestmnist.npz", "02c8a6516a18b556561a56cbdd36c4a8"),
        ("chestmnist", 64, "chestmnist_64.npz", "9de6cd0b934ebb5b7426cfba5efbae16"),
        ("chestmnist", 128, "chestmnist_128.npz", "db107e5590b27930b62dbaf558aebee3"),
        ("chestmnist", 224, "chestmnist_224.npz", "45bd33e6f06c3e8cdb481c74a89152aa"),
        ("pneumoniamnist", 28, "pneumoniamnist.npz", "28209eda62fecd6e6a2d98b1501bb15f"),
    ],
)
def test_address_and_checksum_are_medmnists(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, size: int, file_name: str, md5: str
) -> None:
    asked: list[tuple[str, Path, str | None]] = []

    def record(url: str, target: Path, *, md5: str | None = None) -> Path:
        asked.append((url, target, md5))
        return target

    monkeypatch.setattr(catalogue, "fetch", record)
    assert fetch_dataset(name, size, tmp_path) == tmp_path / file_name
    url = f"https://zenodo.org/records/10519652/files/{file_name}?download=1"
    assert asked == [(url, tmp_path / file_name, md5)]


def test_a_file_that_medmnist_has_downloaded_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stored = tmp_path / "breastmnist_64.npz"
    stored.write_bytes(b"as published")
    entry: dict[str, Any] = catalogue._planar()["breastmnist"]
    monkeypatch.setitem(entry, "MD5_64", file_digest(stored, "md5"))
    assert fetch_dataset("breastmnist", 64, tmp_path) == stored
    monkeypatch.setitem(entry, "MD5_64", "0" * 32)
    with pytest.raises(DataError, match=rf"breastmnist_64\.npz .*{'0' * 32} .*{file_digest(stored, 'md5')}"):
        fetch_dataset("breastmnist", 64, tmp_path)
    assert stored.read_bytes() == b"as published"


def test_sizes_that_are_not_published(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        fetch_dataset("chestmnist", 32, tmp_path)
    assert str(caught.value) == (
        "chestmnist has no images of 32 pixels; set data.source_size to one of: 28, 64, 128, 224"
    )
    with pytest.raises(DataError, match="^phantom "):
        fetch_dataset("phantom", 28, tmp_path)
    assert list(tmp_path.iterdir()) == []


# --- classes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["chestmnist", "phantom"])
@pytest.mark.parametrize("classes", [("cardiomegaly", "pneumothorax"), ("Cardiomegaly", "PNEUMOTHORAX")])
def test_the_pair_of_the_recipe(name: str, classes: tuple[str, str]) -> None:
    assert class_indices(dataset_info(name), classes) == ((1, 7), ("cardiomegaly", "pneumothorax"))


def test_the_order_of_the_classes_is_their_meaning() -> None:
    assert class_indices(dataset_info("chestmnist"), ("pneumothorax", "cardiomegaly")) == (
        (7, 1),
        ("pneumothorax", "cardiomegaly"),
    )
    assert class_indices(dataset_info("pneumoniamnist"), ("Pneumonia", "Normal")) == ((1, 0), ("pneumonia", "normal"))
    assert class_indices(dataset_info("breastmnist"), ("Normal, Benign", "malignant")) == (
        (1, 0),
        ("normal, benign", "malignant"),
    )


@pytest.mark.parametrize(
    ("name", "names"),
    [("pneumoniamnist", ("normal", "pneumonia")), ("breastmnist", ("malignant", "normal, benign"))],
)
def test_binary_sets_need_no_classes(name: str, names: tuple[str, str]) -> None:
    assert class_indices(dataset_info(name), None) == ((0, 1), names)
    assert class_indices(dataset_info(name), names) == ((0, 1), names)


def test_spelling_is_the_catalogues() -> None:
    columns, names = class_indices(dataset_info("tissuemnist"), ("LEUKOCYTES", "podocytes"))
    assert (columns, names) == ((4, 5), ("Leukocytes", "Podocytes"))


def test_many_labels_need_classes() -> None:
    with pytest.raises(DataError) as caught:
        class_indices(dataset_info("octmnist"), None)
    assert str(caught.value) == (
        "octmnist has 4 labels; set data.classes to the two to tell apart [class 0, class 1], from: "
        "'choroidal neovascularization', 'diabetic macular edema', 'drusen', 'normal'"
    )


def test_an_unknown_class() -> None:
    with pytest.raises(DataError) as caught:
        class_indices(dataset_info("chestmnist"), ("cardiomegaly", "Pneumotorax"))
    allowed = ", ".join(f"'{label}'" for label in CHEST_LABELS)
    assert str(caught.value) == (
        f"data.classes: chestmnist has no label 'Pneumotorax'; did you mean 'pneumothorax'? (choose from: {allowed})"
    )


def test_the_same_class_twice() -> None:
    with pytest.raises(DataError) as caught:
        class_indices(dataset_info("pneumoniamnist"), ("normal", "NORMAL"))
    assert str(caught.value) == (
        "data.classes names 'normal' twice; set it to two different labels of pneumoniamnist: 'normal', 'pneumonia'"
    )


# --- rows ----------------------------------------------------------------------------------------------------------


def test_only_single_label_rows_of_the_pair_are_taken() -> None:
    labels = np.array(
        [[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [1, 0, 1], [0, 1, 1], [1, 1, 1], [0, 0, 1]], np.uint8
    )
    rows, target = select_rows(labels, MULTI, (0, 2))
    assert (rows.tolist(), target.tolist()) == ([1, 3, 8], [0, 1, 1])
    assert rows.dtype == np.intp
    assert target.dtype == np.uint8
    rows, target = select_rows(labels, MULTI, (2, 0))
    assert (rows.tolist(), target.tolist()) == ([1, 3, 8], [1, 0, 0])


def test_label_values_of_the_pair_are_taken() -> None:
    labels = np.array([[2], [0], [1], [1], [0], [2]], np.uint8)
    rows, target = select_rows(labels, SINGLE, (2, 0))
    assert (rows.tolist(), target.tolist()) == ([0, 1, 4, 5], [0, 1, 1, 0])
    assert rows.dtype == np.intp
    assert target.dtype == np.uint8


def test_more_labels_than_a_byte_counts() -> None:
    wide = DatasetInfo("wide", tuple(str(label) for label in range(257)), 1, "multi-label, binary-class", ())
    labels = np.ones((1, 257), np.uint8)  # the sum is 1 modulo 256
    assert select_rows(labels, wide, (0, 1))[0].tolist() == []


@pytest.mark.parametrize("info", [MULTI, SINGLE])
def test_no_rows(info: DatasetInfo) -> None:
    rows, target = select_rows(np.zeros((0, 3 if info is MULTI else 1), np.uint8), info, (0, 1))
    assert (rows.shape, target.shape) == ((0,), (0,))


@pytest.mark.parametrize(
    ("info", "labels", "numbers"),
    [
        (MULTI, np.zeros((5, 1), np.uint8), r"\(n, 3\), .*\(5, 1\); .*data\.dataset"),
        (MULTI, np.zeros(3, np.uint8), r"\(n, 3\), .*\(3,\); .*data\.dataset"),
        (SINGLE, np.zeros((5, 14), np.uint8), r"\(n, 1\), .*\(5, 14\); .*data\.dataset"),
        (MULTI, np.full((5, 3), 2, np.uint8), r"0 to 1, .*\b2; .*data\.dataset"),
        (SINGLE, np.full((5, 1), 3, np.uint8), r"0 to 2, .*\b3; .*data\.dataset"),
    ],
)
def test_labels_of_another_dataset(info: DatasetInfo, labels: np.ndarray[Any, Any], numbers: str) -> None:
    with pytest.raises(DataError, match=numbers):
        select_rows(labels, info, (0, 1))


def test_counts_of_the_real_labels() -> None:
    folder = os.environ.get("MOBILENET_CHEST_REAL_DATA")
    if not folder:
        pytest.skip("MOBILENET_CHEST_REAL_DATA is not set to a folder with chestmnist_labels.npz")
    info = dataset_info("chestmnist")
    columns, _ = class_indices(info, ("Cardiomegaly", "Pneumothorax"))
    counts = {}
    with np.load(Path(folder) / "chestmnist_labels.npz") as stored:
        for split in ("train", "val", "test"):
            labels = stored[f"{split}_labels"]
            rows, target = select_rows(labels, info, columns)
            counts[split] = np.bincount(target).tolist()
            assert (labels[rows].sum(axis=1) == 1).all()
            assert (labels[rows, np.where(target == 1, 7, 1)] == 1).all()
    assert counts == {"train": [754, 1552], "val": [97, 208], "test": [243, 439]}
