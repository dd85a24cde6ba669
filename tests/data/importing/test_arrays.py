"""Imports of arrays: names of keys, labels, patients, columns, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.pictures import noise

from mobilenet_chest.data.importing.entries import ColumnNames
from mobilenet_chest.data.importing.importer import ImportOptions, import_pictures
from mobilenet_chest.data.importing.preparation import Preparation
from mobilenet_chest.data.importing.summary import ImportReport
from mobilenet_chest.data.npz import NpzFile
from mobilenet_chest.errors import DataError

FILMS = np.stack([noise(number, 16, 16) for number in range(40)])
LABELS = np.arange(40) % 2


def imported(tmp_path: Path, options: ImportOptions | None = None, **arrays: Any) -> tuple[ImportReport, NpzFile]:
    """Import arrays; every call writes a file of its own."""
    number = len(list(tmp_path.glob("*.npz")))
    source, out = tmp_path / f"source{number}.npz", tmp_path / f"out{number}.npz"
    np.savez(source, **arrays)
    return import_pictures(source, out, options or ImportOptions(16), workers=1), NpzFile(out)


def split(array: np.ndarray, frame: str) -> dict[str, np.ndarray]:
    return {frame.format("train"): array[:24], frame.format("val"): array[24:32], frame.format("test"): array[32:]}


@pytest.mark.parametrize(("images", "labels"), [
    ("{}_images", "{}_labels"), ("x_{}", "y_{}"), ("{}_imgs", "{}_targets"), ("image_{}", "label_{}"),
])  # fmt: skip
def test_keys_of_splits(tmp_path: Path, images: str, labels: str) -> None:
    report, file = imported(tmp_path, **split(FILMS, images), **split(LABELS, labels))
    assert report.divided == "as the source has them"
    for name, rows in split(FILMS, "{}").items():
        np.testing.assert_array_equal(file.rows(name, np.arange(len(rows))), rows)
        np.testing.assert_array_equal(file.labels(name)[:, 0], split(LABELS, "{}")[name])
    assert file.class_names() == ()  # names are given in the experiment, as for the source


def test_a_file_without_splits_is_divided(tmp_path: Path) -> None:
    report, file = imported(tmp_path, ImportOptions(16, shares=(50, 25, 25)), images=FILMS, labels=LABELS)
    assert {name: sum(counts.values()) for name, counts in report.counts.items()} == {
        "train": 20,
        "val": 10,
        "test": 10,
    }
    assert report.divided.endswith("train 50%, val 25%, test 25%")
    stored = {row.tobytes() for name in file.splits for row in file.rows(name, np.arange(file.row_count(name)))}
    assert stored == {row.tobytes() for row in FILMS}


def test_names_of_classes(tmp_path: Path) -> None:
    texts = np.array(["sick", "healthy"])[LABELS]
    _, file = imported(tmp_path, images=FILMS, labels=texts)
    assert file.class_names() == ("healthy", "sick")
    _, file = imported(tmp_path, images=FILMS, labels=LABELS, class_names=np.array(["sick", "healthy"]))
    assert file.class_names() == ("sick", "healthy")
    _, file = imported(tmp_path, ImportOptions(16, classes=("none", "much")), images=FILMS, labels=LABELS[:, None])
    assert file.class_names() == ("none", "much")
    _, file = imported(tmp_path, images=FILMS, labels=LABELS + 3)
    assert file.class_names() == ("3", "4")


def test_patients_and_columns(tmp_path: Path) -> None:
    more = {"patient": np.arange(40) // 2, "sex": np.where(LABELS, "f", "m"), "ward": np.arange(40), "note": FILMS}
    options = ImportOptions(16, columns=ColumnNames(more=("ward",)))
    report, file = imported(tmp_path, options, images=FILMS, labels=np.arange(40) // 2 % 2, **more)
    assert (set(report.columns), report.left_out) == ({"sex", "ward"}, ["note"])
    assert sum(report.patients.values()) == 20
    assert file.column("train", "ward").dtype == np.int64
    assert not set(np.asarray(file.patients("train")).tolist()) & {str(number) for number in range(20)}


def test_values_of_another_depth(tmp_path: Path) -> None:
    deep = np.rint(FILMS / 255 * 4095).astype(np.uint16)
    deep[0, 0, 0] = 4095
    report, file = imported(tmp_path, **split(deep, "x_{}"), **split(LABELS, "y_{}"))
    assert Preparation.from_json(str(file.text("preparation"))).bits == 12
    np.testing.assert_array_equal(file.rows("val", np.arange(8)), FILMS[24:32])
    assert any("uint16" in sentence for sentence in report.done)
    _, file = imported(tmp_path, images=FILMS / np.float32(255), labels=LABELS)
    assert {row.tobytes() for row in file.rows("test", np.arange(6))} <= {row.tobytes() for row in FILMS}
    _, file = imported(tmp_path, ImportOptions(32), images=FILMS / np.float64(255), labels=LABELS)
    assert file.image_shape("val") == (32, 32)


def test_colour(tmp_path: Path) -> None:
    colour = np.stack([FILMS, FILMS // 2, FILMS // 3], 1).astype(np.float32)
    _, file = imported(tmp_path, **split(colour, "x_{}"), **split(LABELS, "y_{}"))
    np.testing.assert_array_equal(file.rows("val", np.arange(8)), colour[24:32].transpose(0, 2, 3, 1).astype(np.uint8))


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no images": ({"pictures": FILMS}, "pictures.*x_train"),
    "no labels": ({"images": FILMS}, "labels or y"),
    "too few labels": ({"images": FILMS, "labels": LABELS[1:]}, "40 rows"),
    "several labels a row": ({"images": FILMS, "labels": np.ones((40, 3), int)}, "one class for each row"),
    "labels between": ({"images": FILMS, "labels": LABELS / 2}, "one class for each row"),
    "an empty label": ({"images": FILMS, "labels": np.where(LABELS, "a", "")}, "row 0"),
    "a label without a name": ({"images": FILMS, "labels": LABELS + 1, "class_names": np.array(["a", "b"])}, "2 names"),
    "images twice": ({"images": FILMS, "x": FILMS, "labels": LABELS}, "both"),
    "four channels": ({"images": np.stack([FILMS] * 4, -1), "labels": LABELS}, r"\(40, 16, 16, 4\)"),
    "not finite": ({"images": np.where(FILMS > 250, np.nan, FILMS), "labels": LABELS}, "finite"),
    "a pickle": ({"images": FILMS, "labels": np.array([str(label) for label in LABELS], object)}, r"astype\(str\)"),
}


@pytest.mark.parametrize(("arrays", "wants"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused(tmp_path: Path, arrays: dict[str, Any], wants: str) -> None:
    with pytest.raises(DataError, match=wants) as caught:
        imported(tmp_path, **arrays)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out0.npz").exists()


@pytest.mark.parametrize("shares", [(80, 20, 0), (70, 15, 16), (100, -5, 5)])
def test_shares_that_are_none(shares: tuple[int, int, int]) -> None:
    with pytest.raises(DataError, match="add up to 100"):
        ImportOptions(16, shares=shares)
