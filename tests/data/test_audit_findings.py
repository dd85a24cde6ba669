"""The sentences of an audit: counts in them, their severity, and the images that they name."""

from __future__ import annotations

from mobilenet_chest.data.audit_findings import (
    SHIFT_P,
    AuditFinding,
    Image,
    Near,
    Shared,
    Shift,
    by_severity,
    of_damage,
    of_exact,
    of_near,
    of_patients,
    of_shifts,
)

SPLITS = ("train", "val")
TRAIN = [Image("train", row, "normal") for row in range(4)]
VAL = [Image("val", row, "normal") for row in range(4)]


def test_the_serious_come_first_and_equals_stay_in_order() -> None:
    findings = [AuditFinding(severity, str(n)) for n, severity in enumerate(("note", "serious", "notable", "serious"))]
    assert [finding.text for finding in by_severity(findings)] == ["1", "3", "2", "0"]


def test_equal_images_between_splits_within_one_and_with_both_labels() -> None:
    assert list(of_exact([], SPLITS)) == []
    between, dropped = of_exact([[TRAIN[0], VAL[1]]], SPLITS)
    assert (between.severity, between.images) == ("serious", ("train 0 (normal) = val 1 (normal)",))
    assert between.text.startswith("1 image of val is in train")
    assert "1 row of train" in dropped.text
    within, dropped = of_exact([TRAIN[:3]], SPLITS)
    assert (within.severity, within.text) == ("notable", "2 rows of train repeat an earlier one")
    assert "2 rows of train" in dropped.text
    labels, within = of_exact([[TRAIN[0], Image("train", 9, "pneumonia")]], SPLITS)
    assert (labels.severity, labels.text) == ("serious", "1 image with both labels")
    assert "1 row of train repeats" in within.text  # and drop_duplicates leaves both in: nobody knows which is right


def test_nearly_equal_images() -> None:
    pairs = [Near(TRAIN[0], VAL[0], 0.995), Near(TRAIN[1], VAL[0], 0.9912), Near(VAL[1], VAL[2], 0.99)]
    between, within, more = of_near(pairs, SPLITS, cut_short=True)
    assert between.text.startswith("1 image of val is nearly one of train")  # one image, though in two pairs
    assert between.images[1] == "train 1 (normal) ~ val 0 (normal), correlation 0.9912"
    assert (between.severity, within.severity, more.severity) == ("serious", "notable", "note")
    assert within.text.startswith("1 pair of nearly equal images in val")
    assert "3 pairs" in more.text


def test_patients() -> None:
    (shared,) = of_patients([Shared(("train", "val"), 1, (2, 3))], [])
    assert (shared.severity, shared.text) == ("serious", "1 patient is in train and in val (2 and 3 rows)")
    (unknown,) = of_patients(None, ["train", "val"])
    assert unknown.severity == "note"
    assert "train_patient, val_patient" in unknown.text


def test_only_shifts_beyond_chance_are_reported() -> None:
    counts = {"train": {"normal": 3, "pneumonia": 1}, "val": {"normal": 1, "pneumonia": 1}}
    labels, contrast = of_shifts(
        [
            Shift("labels", SPLITS, 12.34, SHIFT_P / 2),
            Shift("brightness", SPLITS, 0.2, SHIFT_P),
            Shift("contrast", SPLITS, 0.4567, 1e-120),
        ],
        counts,
    )
    assert "25.0% and 50.0% pneumonia (chi-square 12.3, p 0.0005)" in labels.text
    assert "0.457, p below 1e-99" in contrast.text
    assert {labels.severity, contrast.severity} == {"notable"}


def test_damage_by_kind_and_split() -> None:
    findings = list(of_damage([("blank", TRAIN[0]), ("blank", VAL[0]), ("blank", TRAIN[2]), ("cut off", TRAIN[1])]))
    assert [finding.text.split(" of ")[0] for finding in findings] == ["2 images", "1 image", "1 image"]
    assert findings[0].images == ("train 0 (normal)", "train 2 (normal)")
