"""What an audit finds is there, in the splits and rows that it names, and it finds nothing in data that are fit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mobilenet_chest.config import DataConfig
from mobilenet_chest.data import phantom
from mobilenet_chest.data.audit import Audit, audit
from mobilenet_chest.data.audit_findings import Image, Shared
from mobilenet_chest.errors import DataError

Arrays = dict[str, NDArray[Any]]


@pytest.fixture(scope="module")
def fit() -> Arrays:
    """200, 100 and 100 different radiographs of 32 pixels, a third of them of class 0, in PneumoniaMNIST's layout."""
    made = phantom.generate(32, {"train": 200, "val": 100, "test": 100})
    return made | {
        f"{split}_labels": (np.arange(count) % 3 > 0)[:, None].astype(np.uint8)
        for split, count in (("train", 200), ("val", 100), ("test", 100))
    }


@pytest.fixture
def spoiled(fit: Arrays) -> Arrays:
    """A copy to be changed."""
    return {key: values.copy() for key, values in fit.items()}


def audited(tmp_path: Path, arrays: Arrays, test: bool = True, table: Path | None = None, **fields: Any) -> Audit:
    path = tmp_path / "own.npz"
    np.savez(path, **arrays)  # type: ignore[arg-type]
    return audit(DataConfig(dataset="pneumoniamnist", path=path, **fields), test, table)


def texts(result: Audit, severity: str) -> list[str]:
    return [finding.text for finding in result.findings if finding.severity == severity]


def test_data_that_are_fit(tmp_path: Path, fit: Arrays) -> None:
    result = audited(tmp_path, fit)
    assert (result.exact, result.near, result.damaged, result.shared) == ([], [], [], None)
    assert result.counts == {
        "train": {"normal": 67, "pneumonia": 133},
        "val": {"normal": 34, "pneumonia": 66},
        "test": {"normal": 34, "pneumonia": 66},
    }
    assert len(result.shifts) == 9
    assert [finding.severity for finding in result.findings] == ["note"]
    assert result.brightness["val"] == pytest.approx(fit["val_images"].mean())
    assert result.contrast["val"] == pytest.approx(fit["val_images"].std((1, 2)).mean())


def test_exact_copies(tmp_path: Path, spoiled: Arrays) -> None:
    spoiled["train_images"][[4, 10]] = spoiled["val_images"][7]
    spoiled["train_labels"][[4, 10]] = spoiled["val_labels"][7]
    spoiled["train_images"][20] = spoiled["train_images"][23]  # with the same label
    spoiled["test_images"][1] = spoiled["train_images"][30]
    spoiled["test_labels"][1] = 1 - spoiled["train_labels"][30]
    result = audited(tmp_path, spoiled)
    assert result.exact == [
        [Image("train", 4, "pneumonia"), Image("train", 10, "pneumonia"), Image("val", 7, "pneumonia")],
        [Image("train", 20, "pneumonia"), Image("train", 23, "pneumonia")],
        [Image("train", 30, "normal"), Image("test", 1, "pneumonia")],
    ]
    assert texts(result, "serious") == [
        "1 image of val is in train as well, pixel for pixel (2 rows there)",
        "1 image of test is in train as well, pixel for pixel (1 row there)",
        "1 image with both labels",
    ]
    assert texts(result, "notable") == ["2 rows of train repeat an earlier one"]
    assert "data.drop_duplicates=true leaves 3 rows of train out" in texts(result, "note")
    assert result.findings[0].images == ("train 4 (pneumonia) = train 10 (pneumonia) = val 7 (pneumonia)",)


def test_near_copies_and_copies_of_them(tmp_path: Path, spoiled: Arrays) -> None:
    """A pair of which one stands twice is result for both; the file's order of splits stays."""
    brighter = (spoiled["train_images"][5] * 0.8 + 20).astype(np.uint8)
    spoiled["val_images"][[3, 9]] = brighter
    spoiled["test_images"][50] = (spoiled["test_images"][2] * 0.9 + 5).astype(np.uint8)
    result = audited(tmp_path, spoiled)
    assert [(str(pair.first), str(pair.second)) for pair in result.near] == [
        ("train 5 (pneumonia)", "val 3 (normal)"),
        ("train 5 (pneumonia)", "val 9 (normal)"),
        ("test 2 (pneumonia)", "test 50 (pneumonia)"),
    ]
    assert all(0.99 <= pair.correlation < 1 for pair in result.near)
    assert texts(result, "serious") == ["2 images of val are nearly one of train (correlation 0.99 or more)"]
    assert texts(result, "notable") == [
        "1 row of val repeats an earlier one",
        "1 pair of nearly equal images in test (correlation 0.99 or more)",
    ]


@pytest.mark.parametrize("names", [("patient", "patients", "patients"), ("patients", "patient", "patient")])
@pytest.mark.parametrize("text", [False, True])
def test_patients_in_two_splits(tmp_path: Path, spoiled: Arrays, names: tuple[str, ...], text: bool) -> None:
    whose = {"train": np.arange(200), "val": np.arange(197, 297), "test": np.arange(300, 400)}
    whose["train"][50] = 199
    for (split, numbers), name in zip(whose.items(), names, strict=True):
        spoiled[f"{split}_{name}"] = numbers.astype(str) if text else numbers
    result = audited(tmp_path, spoiled)
    assert result.shared == [Shared(("train", "val"), 3, (4, 3))]
    assert texts(result, "serious") == ["3 patients are in train and in val (4 and 3 rows)"]
    assert texts(result, "note") == []


def test_patients_in_a_table(tmp_path: Path, fit: Arrays) -> None:
    """It goes before the file's own; rows that it does not name are nobody's, and so not the same person's."""
    lines = [f"train,{row},p{row}" for row in range(100)] + [f"val,{row},p{row + 98}" for row in range(50)]
    (tmp_path / "people.csv").write_text("\n".join(["split,row,patient", *lines]), encoding="utf-8")
    patients = {
        f"{split}_patient": np.zeros(len(fit[f"{split}_labels"]), np.int64) for split in ("train", "val", "test")
    }
    result = audited(tmp_path, fit | patients, table=tmp_path / "people.csv")
    assert result.shared == [Shared(("train", "val"), 2, (2, 2))]
    assert "(no test_patient)" in texts(result, "note")[0]


def test_a_table_without_patients(tmp_path: Path, fit: Arrays) -> None:
    (tmp_path / "people.csv").write_text("split,row,sex\ntrain,0,F\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"people\.csv: .*\bsex\b.*\bpatient\b"):
        audited(tmp_path, fit, table=tmp_path / "people.csv")


def test_patients_of_some_splits(tmp_path: Path, spoiled: Arrays) -> None:
    spoiled |= {"train_patient": np.arange(200), "val_patient": np.arange(200, 300)}
    result = audited(tmp_path, spoiled)
    assert result.shared == []
    assert "(no test_patient)" in texts(result, "note")[0]


def test_a_shift_of_labels(tmp_path: Path, spoiled: Arrays) -> None:
    """The statistic by hand: the sum over the four cells of (observed - expected)^2 / expected."""
    spoiled["val_labels"] = (np.arange(100) >= 70)[:, None].astype(np.uint8)
    result = audited(tmp_path, spoiled, test=False)
    observed = np.array([[67, 133], [70, 30]])
    expected = observed.sum(1, keepdims=True) * observed.sum(0) / 300
    statistic = ((observed - expected) ** 2 / expected).sum()
    shift = result.shifts[0]
    assert (shift.what, shift.splits) == ("labels", ("train", "val"))
    assert shift.statistic == pytest.approx(statistic)
    assert shift.p < 1e-6
    assert texts(result, "notable") == [
        f"train and val differ in labels: 66.5% and 30.0% pneumonia (chi-square {statistic:.1f}, p {shift.p:.2g})"
    ]


def test_a_shift_of_brightness_and_contrast(tmp_path: Path, spoiled: Arrays) -> None:
    spoiled["test_images"] = (spoiled["test_images"] * 0.5).astype(np.uint8)
    result = audited(tmp_path, spoiled)
    differing = [(shift.what, shift.splits) for shift in result.shifts if shift.p < 0.001]
    assert differing == [(what, (split, "test")) for split in ("train", "val") for what in ("brightness", "contrast")]
    assert [text.split(" (")[0] for text in texts(result, "notable")] == [
        f"{split} and test differ in {what}" for split in ("train", "val") for what in ("brightness", "contrast")
    ]
    largest = next(shift for shift in result.shifts if (shift.what, shift.splits) == ("contrast", ("train", "test")))
    assert largest.statistic > 0.9


def test_damaged_images(tmp_path: Path, spoiled: Arrays) -> None:
    images = spoiled["val_images"]
    images[3] = 0
    images[4] = 90 + np.arange(32) % 7
    images[5, 20:] = 128
    images[6] = np.where(np.indices((32, 32)).sum(0) % 2, 255, images[6])
    images[7, :12], images[7, 20:] = 0, 0  # a wide film between two bars
    images[8, 26:] = 0  # less than a quarter
    result = audited(tmp_path, spoiled)
    assert [(what, image.split, image.row) for what, image in result.damaged] == [
        ("blank", "val", 3), ("blank", "val", 4), ("cut off", "val", 5), ("saturated", "val", 6),
        ("saturated", "val", 7),
    ]  # fmt: skip
    assert texts(result, "notable") == [
        "2 images of val are of one gray value, or nearly",
        "1 image of val is cut off: the lowest quarter is of one value",
        "2 images of val are saturated: half of the values or more are 0 or 255",
    ]
    assert result.near == []


def test_blank_images_are_copies_but_not_near(tmp_path: Path, spoiled: Arrays) -> None:
    spoiled["train_images"][[1, 2]] = 77
    spoiled["val_images"][1] = 78
    result = audited(tmp_path, spoiled)
    assert [[image.row for image in group] for group in result.exact] == [[1, 2]]
    assert result.near == []


def test_the_test_split_is_not_opened_unasked(tmp_path: Path, fit: Arrays) -> None:
    """Its rows may be damaged beyond reading, and nobody notices."""
    broken = fit | {"test_images": np.zeros(3), "test_labels": np.zeros(9)}
    result = audited(tmp_path, broken, test=False)
    assert list(result.counts) == ["train", "val"]
    assert len(result.shifts) == 3
    with pytest.raises(DataError, match="'test_images' .*float64"):
        audited(tmp_path, broken)


def test_a_file_without_test(tmp_path: Path, fit: Arrays) -> None:
    kept = {key: values for key, values in fit.items() if not key.startswith("test")}
    assert list(audited(tmp_path, kept).counts) == ["train", "val"]


def test_splits_are_the_files_own(tmp_path: Path, fit: Arrays) -> None:
    whole = audited(tmp_path, fit)
    assert audited(tmp_path, fit, folds=3, fold=1).as_dict() == whole.as_dict()


def test_rows_of_other_classes_are_not_looked_at(tmp_path: Path) -> None:
    arrays = phantom.generate(32, {"train": 80, "val": 40, "test": 40})
    other = np.flatnonzero(arrays["train_labels"].sum(1) != 1)
    arrays["train_images"][other] = 0
    np.savez(tmp_path / "chest.npz", **arrays)  # type: ignore[arg-type]
    config = DataConfig(dataset="chestmnist", classes=("cardiomegaly", "pneumothorax"), path=tmp_path / "chest.npz")
    result = audit(config, test=True)
    assert (result.exact, result.damaged) == ([], [])
    assert sum(result.counts["train"].values()) == 68


def test_a_split_without_rows(tmp_path: Path, fit: Arrays) -> None:
    empty = fit | {"val_images": fit["val_images"][:0], "val_labels": fit["val_labels"][:0]}
    with pytest.raises(DataError, match="'val' .*normal or pneumonia"):
        audited(tmp_path, empty)


def test_one_class_in_both_splits(tmp_path: Path, fit: Arrays) -> None:
    ones = fit | {f"{split}_labels": np.ones_like(fit[f"{split}_labels"]) for split in ("train", "val")}
    result = audited(tmp_path, ones, test=False)
    assert [shift.what for shift in result.shifts] == ["brightness", "contrast"]


def test_the_document_is_json(tmp_path: Path, spoiled: Arrays) -> None:
    spoiled["train_images"][4] = spoiled["val_images"][7]
    spoiled["train_images"][6] = 0
    spoiled |= {"train_patient": np.arange(200), "val_patient": np.arange(100)}
    result = audited(tmp_path, spoiled)
    document = json.loads(json.dumps(result.as_dict(), allow_nan=False))
    assert document["exact_copies"] == [
        [{"split": "train", "row": 4, "label": "pneumonia"}, {"split": "val", "row": 7, "label": "pneumonia"}]
    ]
    assert document["damaged"] == [{"what": "blank", "split": "train", "row": 6, "label": "normal"}]
    assert document["patients_shared"] == [{"splits": ["train", "val"], "patients": 100, "rows": [100, 100]}]
    assert document["near_from"] == 0.99
    assert len(document["shifts"]) == 9
    assert document["findings"][0] == {
        "severity": "serious", "text": "1 image of val is in train as well, pixel for pixel (1 row there)"
    }  # fmt: skip


def test_the_eight_copies_in_pneumoniamnist(real_data: Path) -> None:
    path = real_data / "pneumoniamnist_28.npz"
    if not path.exists():
        pytest.skip(f"{real_data} has no {path.name}")
    result = audit(DataConfig(dataset="pneumoniamnist", path=path), test=True)
    in_both = [group for group in result.exact if {image.split for image in group} == {"train", "val"}]
    assert sorted(image.row for group in in_both for image in group if image.split == "val") == [
        61, 105, 172, 236, 244, 253, 302, 473
    ]  # fmt: skip
    assert texts(result, "serious") == ["8 images of val are in train as well, pixel for pixel (10 rows there)"]
    assert (len(result.exact), result.near, result.damaged) == (27, [], [])
    assert "train and test differ in labels: 74.2% and 62.5% pneumonia" in " ".join(texts(result, "notable"))
