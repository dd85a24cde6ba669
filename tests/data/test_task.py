"""Names of labels, the two classes, and the rows that belong to them, of MedMNIST's files and of one's own."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mobilenet_chest.config import DataConfig
from mobilenet_chest.data.medmnist import DatasetInfo, dataset_info
from mobilenet_chest.data.npz import NpzFile
from mobilenet_chest.data.task import Task, find_task
from mobilenet_chest.errors import DataError

CHEST_LABELS = dataset_info("chestmnist").label_names
MULTI = DatasetInfo("three", ("a", "b", "c"), 1, "multi-label, binary-class", (28,))
SINGLE = DatasetInfo("three", ("a", "b", "c"), 1, "multi-class", (28,))


def task(info: DatasetInfo, *members: tuple[int, ...]) -> Task:
    return Task(info, (members[0], members[1]), ("first", "second"))


def own_file(folder: Path, labels: Any, **more: Any) -> NpzFile:
    """A file with the same labels in train, val and test."""
    values = np.asarray(labels)
    images = np.zeros((len(values), 4, 4), np.uint8)
    arrays = {f"{split}_{key}": value for split in ("train", "val", "test")
              for key, value in (("images", images), ("labels", values))}  # fmt: skip
    np.savez(folder / "hospital.npz", **arrays, **more)
    return NpzFile(folder / "hospital.npz")


def found(folder: Path, labels: Any, data: dict[str, Any] | None = None, **more: Any) -> Task:
    file = own_file(folder, labels, **more)
    return find_task(DataConfig(path=folder / "hospital.npz", **(data or {})), lambda: file)


def of_dataset(name: str, classes: Any) -> Task:
    """The task of a data set of MedMNIST, for which no file is opened."""

    def opened() -> NpzFile:
        raise AssertionError

    return find_task(DataConfig(dataset=name, classes=classes), opened)


# --- MedMNIST's data sets ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["chestmnist", "phantom"])
@pytest.mark.parametrize("classes", [("cardiomegaly", "pneumothorax"), ("Cardiomegaly", "PNEUMOTHORAX")])
def test_the_pair_of_the_recipe(name: str, classes: tuple[str, str]) -> None:
    result = of_dataset(name, classes)
    assert (result.info, result.members) == (dataset_info(name), ((1,), (7,)))
    assert result.classes == ("cardiomegaly", "pneumothorax")


@pytest.mark.parametrize(
    ("name", "given", "members", "names"),
    [
        ("chestmnist", ("pneumothorax", "cardiomegaly"), ((7,), (1,)), ("pneumothorax", "cardiomegaly")),
        ("pneumoniamnist", ("Pneumonia", "Normal"), ((1,), (0,)), ("pneumonia", "normal")),
        ("breastmnist", ("Normal, Benign", "malignant"), ((1,), (0,)), ("normal, benign", "malignant")),
        ("tissuemnist", ("LEUKOCYTES", "podocytes"), ((4,), (5,)), ("Leukocytes", "Podocytes")),
        ("pneumoniamnist", None, ((0,), (1,)), ("normal", "pneumonia")),
        ("breastmnist", None, ((0,), (1,)), ("malignant", "normal, benign")),
        ("octmnist", {"healthy": ["Normal"], "ill": ["drusen", "diabetic macular edema"]}, ((3,), (2, 1)),
         ("healthy", "ill")),
    ],
)  # fmt: skip
def test_classes_of_a_dataset(name: str, given: Any, members: Any, names: tuple[str, str]) -> None:
    """The order of the classes is their meaning, and the spelling is the catalogue's; a group has its own name."""
    result = of_dataset(name, given)
    assert (result.members, result.classes) == (members, names)


def test_many_labels_need_classes() -> None:
    with pytest.raises(DataError) as caught:
        of_dataset("octmnist", None)
    assert str(caught.value) == (
        "octmnist has 4 labels; set data.classes to the two to tell apart [class 0, class 1], from: "
        "'choroidal neovascularization', 'diabetic macular edema', 'drusen', 'normal'"
    )


def test_an_unknown_class() -> None:
    with pytest.raises(DataError) as caught:
        of_dataset("chestmnist", ("cardiomegaly", "Pneumotorax"))
    allowed = ", ".join(f"'{label}'" for label in CHEST_LABELS)
    assert str(caught.value) == (
        f"data.classes: chestmnist has no label 'Pneumotorax'; did you mean 'pneumothorax'? (choose from: {allowed})"
    )


def test_a_label_in_two_groups() -> None:
    with pytest.raises(DataError, match="'drusen' twice.*'normal'"):
        of_dataset("octmnist", {"a": ["normal", "drusen"], "b": ["DRUSEN"]})


# --- a file of one's own -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "labels",
    [[0, 1, 1, 0], [[0], [1], [1], [0]], np.array([False, True, True, False]), np.array([0, 1, 1, 0], np.int64)],
)
def test_names_of_labels_0_and_1(tmp_path: Path, labels: Any) -> None:
    result = found(tmp_path, labels, {"classes": ["healthy", "sick"]})
    assert (result.classes, result.members, result.info.name) == (("healthy", "sick"), ((0,), (1,)), "hospital")
    rows, targets = result.select(NpzFile(tmp_path / "hospital.npz").labels("train"))
    assert (rows.tolist(), targets.tolist()) == ([0, 1, 2, 3], [0, 1, 1, 0])


def test_a_name_of_the_data(tmp_path: Path) -> None:
    assert found(tmp_path, [0, 1], {"classes": ["a", "b"], "name": "our cohort"}).info.name == "our cohort"


@pytest.mark.parametrize(
    ("given", "members", "classes"),
    [
        (None, ((0,), (1,)), ("healthy", "sick")),
        (["Sick", "Healthy"], ((1,), (0,)), ("sick", "healthy")),
    ],
)
def test_names_in_the_file(tmp_path: Path, given: Any, members: Any, classes: tuple[str, str]) -> None:
    result = found(tmp_path, [1, 0, 1], {"classes": given}, class_names=np.array(["healthy", "sick"]))
    assert (result.members, result.classes) == (members, classes)


def test_text_labels_are_their_own_names(tmp_path: Path) -> None:
    result = found(tmp_path, np.array([["sick"], ["healthy"], ["sick"]]))
    assert (result.classes, result.members) == (("healthy", "sick"), ((0,), (1,)))
    assert result.select(NpzFile(tmp_path / "hospital.npz").labels("val"))[1].tolist() == [1, 0, 1]


def test_two_of_several_labels(tmp_path: Path) -> None:
    names = np.array(["normal", "bacterial", "viral"])
    labels = [0, 1, 2, 1, 0]
    pair = found(tmp_path, labels, {"classes": ["normal", "viral"]}, class_names=names)
    assert pair.select(np.array(labels, np.uint8)[:, None])[0].tolist() == [0, 2, 4]
    groups = {"normal": ["normal"], "pneumonia": ["bacterial", "viral"]}
    grouped = found(tmp_path, labels, {"classes": groups}, class_names=names)
    rows, targets = grouped.select(np.array(labels, np.uint8)[:, None])
    assert (grouped.classes, rows.tolist(), targets.tolist()) == (
        ("normal", "pneumonia"), [0, 1, 2, 3, 4], [0, 1, 1, 1, 0]
    )  # fmt: skip


@pytest.mark.parametrize("classes", [[0, 3], {"low": [0, 1], "high": [2, 3]}])
def test_labels_without_names_are_numbers(tmp_path: Path, classes: Any) -> None:
    result = found(tmp_path, [0, 1, 2, 3], {"classes": classes})
    assert result.classes == (("0", "3") if isinstance(classes, list) else ("low", "high"))
    assert result.members == (((0,), (3,)) if isinstance(classes, list) else ((0, 1), (2, 3)))


def test_chestmnists_layout_is_known_by_its_width(tmp_path: Path) -> None:
    labels = np.eye(14, dtype=np.uint8)
    result = found(tmp_path, labels, {"classes": ["cardiomegaly", "pneumothorax"]})
    assert (result.info, result.members) == (dataset_info("chestmnist"), ((1,), (7,)))


@pytest.mark.parametrize(
    ("labels", "classes", "more", "wants"),
    [
        ([0, 1], None, {}, "data.classes=[healthy, sick]"),
        ([0, 1], {"a": [0], "b": [1]}, {}, "labels 0 and 1"),
        ([0, 1, 2], ["healthy", "sick"], {}, "'0', '1', '2'"),
        ([0, 1, 2], None, {}, "'0', '1', '2'"),
        (np.zeros((4, 3), np.uint8), ["a", "b"], {}, "3 columns"),
        ([0, 1], ["ill", "well"], {"class_names": np.array(["healthy", "sick"])}, "no label 'ill'"),
        ([0, 1], None, {"class_names": np.array(["same", "Same"])}, "class_names"),
        ([0, 1], None, {"class_names": np.array([1, 2])}, "class_names"),
    ],
)
def test_what_names_do_not_fit(tmp_path: Path, labels: Any, classes: Any, more: dict[str, Any], wants: str) -> None:
    with pytest.raises(DataError) as caught:
        found(tmp_path, labels, {"classes": classes}, **more)
    assert wants in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_text_label_of_the_test_split_alone(tmp_path: Path) -> None:
    """The test split is not read for names, and so its labels must be those of the others."""
    file = own_file(tmp_path, np.array(["a", "b"]))
    with np.load(tmp_path / "hospital.npz") as stored:
        arrays = dict(stored) | {"test_labels": np.array(["a", "c"])}
    np.savez(tmp_path / "hospital.npz", **arrays)
    assert file.class_names() == ("a", "b")
    with pytest.raises(DataError, match="test_labels.*'c'"):
        file.labels("test")


# --- rows ----------------------------------------------------------------------------------------------------------


def test_only_single_label_rows_of_the_pair_are_taken() -> None:
    labels = np.array(
        [[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [1, 0, 1], [0, 1, 1], [1, 1, 1], [0, 0, 1]], np.uint8
    )
    rows, target = task(MULTI, (0,), (2,)).select(labels)
    assert (rows.tolist(), target.tolist()) == ([1, 3, 8], [0, 1, 1])
    assert rows.dtype == np.intp
    assert target.dtype == np.uint8
    rows, target = task(MULTI, (2,), (0,)).select(labels)
    assert (rows.tolist(), target.tolist()) == ([1, 3, 8], [1, 0, 0])
    assert task(MULTI, (0, 1), (2,)).select(labels)[0].tolist() == [1, 2, 3, 8]


def test_label_values_of_the_pair_are_taken() -> None:
    labels = np.array([[2], [0], [1], [1], [0], [2]], np.uint8)
    rows, target = task(SINGLE, (2,), (0,)).select(labels)
    assert (rows.tolist(), target.tolist()) == ([0, 1, 4, 5], [0, 1, 1, 0])
    assert rows.dtype == np.intp
    assert target.dtype == np.uint8


def test_more_labels_than_a_byte_counts() -> None:
    wide = DatasetInfo("wide", tuple(str(label) for label in range(257)), 1, "multi-label, binary-class", ())
    labels = np.ones((1, 257), np.uint8)  # the sum is 1 modulo 256
    assert task(wide, (0,), (1,)).select(labels)[0].tolist() == []


@pytest.mark.parametrize("info", [MULTI, SINGLE])
def test_no_rows(info: DatasetInfo) -> None:
    rows, target = task(info, (0,), (1,)).select(np.zeros((0, 3 if info is MULTI else 1), np.uint8))
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
        task(info, (0,), (1,)).select(labels)


def test_counts_of_the_real_labels() -> None:
    folder = os.environ.get("MOBILENET_CHEST_REAL_DATA")
    if not folder:
        pytest.skip("MOBILENET_CHEST_REAL_DATA is not set to a folder with chestmnist_labels.npz")
    of_chest = task(dataset_info("chestmnist"), (1,), (7,))
    counts = {}
    with np.load(Path(folder) / "chestmnist_labels.npz") as stored:
        for split in ("train", "val", "test"):
            labels = stored[f"{split}_labels"]
            rows, target = of_chest.select(labels)
            counts[split] = np.bincount(target).tolist()
            assert (labels[rows].sum(axis=1) == 1).all()
            assert (labels[rows, np.where(target == 1, 7, 1)] == 1).all()
    assert counts == {"train": [754, 1552], "val": [97, 208], "test": [243, 439]}
