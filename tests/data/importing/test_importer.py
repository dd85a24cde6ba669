"""Imports from beginning to end: contents, determinism, kills, and refusals before anything is written."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.commands import ROOT, contents
from helpers.pictures import class_folders, dicom, dicom_bytes, encoded, noise

from mobilenet_chest.config import DataConfig
from mobilenet_chest.data.dataset import load_sites, load_train_val
from mobilenet_chest.data.importing import importer, shards
from mobilenet_chest.data.importing.entries import ColumnNames
from mobilenet_chest.data.importing.importer import ImportOptions, import_pictures
from mobilenet_chest.data.importing.preparation import Preparation
from mobilenet_chest.data.importing.summary import ImportReport
from mobilenet_chest.data.npz import NpzFile
from mobilenet_chest.errors import DataError, WriteFailed

OPTIONS = ImportOptions(size=16)


@pytest.fixture
def films(tmp_path: Path) -> Path:
    return class_folders(tmp_path / "films")


def imported(source: Path, out: Path, options: ImportOptions = OPTIONS, **more: Any) -> tuple[ImportReport, NpzFile]:
    report = import_pictures(source, out, options, workers=1, **more)
    return report, NpzFile(out)


def test_a_folder_of_classes(films: Path, tmp_path: Path) -> None:
    report, file = imported(films, tmp_path / "a.npz")
    assert report.counts == {
        "train": {"healthy": 7, "sick": 7}, "val": {"healthy": 2, "sick": 2}, "test": {"healthy": 1, "sick": 1},
    }  # fmt: skip
    with np.load(tmp_path / "a.npz") as arrays:
        assert arrays["class_names"].tolist() == ["healthy", "sick"]
        assert arrays["train_images"].shape == (14, 16, 16)
        assert (arrays["train_images"].dtype, arrays["train_labels"].dtype) == (np.uint8, np.uint8)
        assert arrays["val_labels"].tolist() == [[0], [0], [1], [1]]
        assert arrays["preparation"].shape == arrays["import"].shape == ()
    assert Preparation.from_json(str(file.text("preparation"))) == Preparation(16)
    origin = json.loads(str(file.text("import")))
    assert (origin["rows"], origin["source"], origin["options"]["size"]) == (20, str(films), 16)
    assert file.patients("train") is None
    assert sorted(contents(tmp_path)) == sorted(["a.npz", *(f"films/{name}" for name in contents(films))])


def test_rows_are_what_the_preparation_gives(films: Path, tmp_path: Path) -> None:
    _, file = imported(films, tmp_path / "a.npz")
    preparation = Preparation.from_json(str(file.text("preparation")))
    from mobilenet_chest.data.importing.files import decode_file

    expected = {
        preparation.apply(decode_file(path, preparation.window)[0]).tobytes() for path in films.rglob("*.png")
    }  # fmt: skip
    stored = {row.tobytes() for split in file.splits for row in file.rows(split, np.arange(file.row_count(split)))}
    assert stored == expected


def test_the_same_source_gives_the_same_bytes(films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "SHARD_FILES", 3)
    imported(films, tmp_path / "a.npz")
    monkeypatch.undo()
    import_pictures(films, tmp_path / "b.npz", OPTIONS, workers=2)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_a_dry_run_writes_nothing_and_reports_the_same(films: Path, tmp_path: Path) -> None:
    (films / "sick" / "bad.png").write_bytes(b"x")
    before = contents(tmp_path)
    dry = import_pictures(films, tmp_path / "a.npz", OPTIONS, dry_run=True, workers=1)
    assert contents(tmp_path) == before
    report, _ = imported(films, tmp_path / "a.npz")
    assert dry.as_dict() | {"written": True} == report.as_dict()
    assert (tmp_path / "a-skipped.csv").read_text() == (
        "file,reason\nsick/bad.png,\"not a picture, whatever its name says\"\n"
    )  # fmt: skip


def test_an_import_goes_on_where_it_was_killed(films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "SHARD_FILES", 4)
    decoded: list[str] = []
    ordinary = shards.decode_file

    def counted(path: Path, window: Any) -> Any:
        decoded.append(path.name)
        if len(decoded) == 10:
            raise KeyboardInterrupt
        return ordinary(path, window)

    monkeypatch.setattr(shards, "decode_file", counted)
    with pytest.raises(KeyboardInterrupt):
        imported(films, tmp_path / "a.npz")
    assert not (tmp_path / "a.npz").exists()
    imported(films, tmp_path / "a.npz")
    assert len(decoded) == 10 + 12  # two shards of four were complete
    imported(films, tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    assert not (tmp_path / "a.npz.importing").exists()


def test_shards_of_other_files_or_options_are_made_again(
    films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    def refuse(*_: Any) -> None:
        raise DataError("stop")

    with monkeypatch.context() as patch:
        patch.setattr(importer.division, "check_classes", refuse)
        with pytest.raises(DataError, match="stop"):
            imported(films, tmp_path / "a.npz")
    (films / "sick" / "000.png").write_bytes(encoded(noise(5000)))
    imported(films, tmp_path / "a.npz")
    imported(films, tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


@pytest.mark.slow
def test_sigkill_at_any_moment(films: Path, tmp_path: Path) -> None:
    source = class_folders(tmp_path / "many", 400)
    command = [sys.executable, "-m", "mobilenet_chest", "data", "import", "many", "--out", "a.npz", "--size", "64"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    for wait in (0.6, 0.9, 1.2, 1.5):
        process = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL)
        time.sleep(wait)
        process.send_signal(signal.SIGKILL)
        process.wait()
    if not (tmp_path / "a.npz").exists():
        subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True)
    import_pictures(source, tmp_path / "b.npz", ImportOptions(64), workers=1)
    with np.load(tmp_path / "a.npz") as one, np.load(tmp_path / "b.npz") as other:
        for key in set(one) - {"import"}:  # the source's path was given otherwise
            np.testing.assert_array_equal(one[key], other[key])


def test_no_identifier_of_a_patient_is_written(tmp_path: Path) -> None:
    for name in ("healthy", "sick"):
        (tmp_path / "films" / name).mkdir(parents=True)
    for number in range(20):
        film = dicom(noise(number), bits=8, PatientID=f"MRN-{number // 2}", PatientName=f"Doe^{number}")
        (tmp_path / "films" / ("healthy", "sick")[number // 2 % 2] / f"{number:02d}.dcm").write_bytes(
            dicom_bytes(film)
        )  # fmt: skip
    report, file = imported(tmp_path / "films", tmp_path / "a.npz")
    assert sum(report.patients.values()) == 10
    with np.load(tmp_path / "a.npz") as arrays:
        text = " ".join(str(arrays[key]) for key in arrays if arrays[key].dtype.kind == "U")
    assert "MRN" not in text
    assert "Doe" not in text
    patients = {split: set(np.asarray(file.patients(split)).tolist()) for split in file.splits}
    assert not patients["train"] & patients["val"]
    assert not patients["train"] & patients["test"]
    # the salt is the contents of all films: another film, other keys
    (tmp_path / "films" / "sick" / "99.dcm").write_bytes(dicom_bytes(dicom(noise(99), bits=8, PatientID="MRN-0")))
    _, other = imported(tmp_path / "films", tmp_path / "b.npz")
    assert not set(np.asarray(other.patients("train")).tolist()) & patients["train"]


def test_a_table_with_patients_and_columns(films: Path, tmp_path: Path) -> None:
    lines = ["file,finding,patient,sex,age,name"]
    for number in range(10):
        lines.append(f"films/healthy/{number:03d}.png,0,p{number // 2},f,{50 + number},Doe")
        lines.append(f"films/sick/{number:03d}.png,1,,m,{50 + number},Doe")
    (tmp_path / "films.csv").write_text("\n".join(lines))
    options = ImportOptions(16, columns=ColumnNames(label="finding"))
    report, file = imported(tmp_path / "films.csv", tmp_path / "a.npz", options)
    assert (report.columns, report.left_out) == (["sex", "age"], ["name"])
    assert set(file.column("train", "sex").tolist()) == {"f", "m"}
    assert file.column("val", "age").dtype == np.int64
    assert len(set(np.concatenate([np.asarray(file.patients(split)) for split in file.splits]).tolist())) == 5 + 10


def test_labels_of_a_table_that_are_numbers_can_be_named(films: Path, tmp_path: Path) -> None:
    lines = ["file,label"] + [f"films/{name}/{number:03d}.png,{int(name == 'sick')}"
                              for name in ("healthy", "sick") for number in range(10)]  # fmt: skip
    (tmp_path / "films.csv").write_text("\n".join(lines))
    _, named = imported(tmp_path / "films.csv", tmp_path / "a.npz", ImportOptions(16, classes=("healthy", "sick")))
    assert named.class_names() == ("healthy", "sick")
    _, plain = imported(tmp_path / "films.csv", tmp_path / "b.npz")
    config = DataConfig(path=tmp_path / "b.npz", image_size=16, classes=("healthy", "sick"))
    assert load_train_val(config).classes == ("healthy", "sick")
    assert np.array_equal(plain.labels("train"), named.labels("train"))


def test_the_column_site_makes_folds(films: Path, tmp_path: Path) -> None:
    lines = ["file,label,split,site"]
    sites = dict[str, list[str]]()
    for split, numbers in {"train": range(6), "val": range(6, 9), "test": range(9, 10)}.items():
        for number in numbers:
            site = "north" if number % 2 else "south"
            lines += [f"films/{name}/{number:03d}.png,{name},{split},{site}" for name in ("healthy", "sick")]
            sites.setdefault(split, []).extend([site, site])
    (tmp_path / "films.csv").write_text("\n".join(lines))
    report, file = imported(tmp_path / "films.csv", tmp_path / "a.npz")
    assert report.columns == ["site"]
    for split, expected in sites.items():
        assert sorted(file.column(split, "site").tolist()) == sorted(expected)
    config = DataConfig(path=tmp_path / "a.npz", image_size=16)
    assert load_sites(config) == {"north": 8, "south": 10}
    north = load_train_val(DataConfig(path=tmp_path / "a.npz", image_size=16, folds=2, fold=0, fold_by="site"))
    assert north.counts() == {"train": {"healthy": 5, "sick": 5}, "val": {"healthy": 4, "sick": 4}}


def test_the_depth_of_16_bit_files_is_that_of_the_set(films: Path, tmp_path: Path) -> None:
    dark = np.rint(noise(1, 16, 16) * (900 / 255)).astype(np.uint16)
    (films / "sick" / "dark.png").write_bytes(encoded(dark))
    (films / "sick" / "light.png").write_bytes(encoded(dark * 4))
    report, file = imported(films, tmp_path / "a.npz")
    assert Preparation.from_json(str(file.text("preparation"))).bits == 12
    assert any("12 bits" in sentence for sentence in report.done)
    rows = [row for split in file.splits for row in file.rows(split, np.arange(file.row_count(split)))]
    expected = np.rint(dark * (255 / 4095)).astype(np.uint8)
    assert any(np.array_equal(row, expected) for row in rows)
    with pytest.raises(DataError, match=r"--bits 10: sick/light\.png .* give --bits 12"):
        imported(films, tmp_path / "b.npz", ImportOptions(16, bits=10))


def test_equal_pictures_are_counted_and_come_into_one_split(films: Path, tmp_path: Path) -> None:
    for number in range(5):
        (films / "sick" / f"copy{number}.bmp").write_bytes(encoded(noise(1000), "BMP"))
    (films / "healthy" / "other.png").write_bytes(encoded(noise(1001)))
    report, _ = imported(films, tmp_path / "a.npz")
    twice = report.duplicates
    assert (twice.groups, twice.rows, twice.two_classes, twice.two_splits) == (2, 8, 1, 0)


def test_colour(films: Path, tmp_path: Path) -> None:
    colour = np.stack([noise(number) for number in range(3)], axis=-1)
    (films / "sick" / "colour.png").write_bytes(encoded(colour))
    report, file = imported(films, tmp_path / "a.npz")
    assert file.rows("val", np.arange(1)).shape == (1, 16, 16, 3)
    assert any("--colour gray" in warning for warning in report.warnings)
    _, gray = imported(films, tmp_path / "b.npz", ImportOptions(16, colour="gray"))
    assert gray.rows("val", np.arange(1)).shape == (1, 16, 16)


def test_the_order_of_classes(films: Path, tmp_path: Path) -> None:
    imported(films, tmp_path / "a.npz", ImportOptions(16, classes=("sick", "healthy")))
    with np.load(tmp_path / "a.npz") as arrays:
        assert arrays["class_names"].tolist() == ["sick", "healthy"]
    numbered = class_folders(tmp_path / "numbered", 10, ("10", "2"))
    imported(numbered, tmp_path / "b.npz")
    with np.load(tmp_path / "b.npz") as arrays:
        assert arrays["class_names"].tolist() == ["2", "10"]


def test_refusals_leave_nothing_behind(films: Path, tmp_path: Path) -> None:
    class_folders(tmp_path / "one", 1, ("only",))
    class_folders(tmp_path / "case", 1, ("Sick", "sick"))
    (tmp_path / "there.npz").write_bytes(b"mine")
    before = contents(tmp_path)
    wrong: list[tuple[str, str, ImportOptions, str]] = [
        ("films", "a.zip", OPTIONS, r"\.npz"),
        ("films", "none/a.npz", OPTIONS, "make it first"),
        ("films", "there.npz", OPTIONS, "exists"),
        ("none", "a.npz", OPTIONS, "no such"),
        ("one", "a.npz", OPTIONS, "'only'"),
        ("case", "a.npz", OPTIONS, "'Sick' and 'sick'"),
        ("films", "a.npz", ImportOptions(16, classes=("healthy", "ill")), "healthy, sick"),
    ]
    for source, out, options, wants in wrong:
        with pytest.raises(DataError, match=wants):
            imported(tmp_path / source, tmp_path / out, options)
    with pytest.raises(DataError, match="size 3"):
        ImportOptions(3)
    assert contents(tmp_path) == before


def test_files_of_which_none_can_be_read(tmp_path: Path) -> None:
    root = class_folders(tmp_path / "films", 1)
    for path in root.rglob("*.png"):
        path.write_bytes(b"x")
    with pytest.raises(DataError, match="none of 2 files"):
        imported(root, tmp_path / "a.npz")


def test_a_second_import_to_the_same_file_is_refused(films: Path, tmp_path: Path) -> None:
    from mobilenet_chest.file_lock import held

    folder = tmp_path / "a.npz.importing"
    folder.mkdir()
    with held(folder / "lock", wait=False), pytest.raises(DataError, match="another import"):
        imported(films, tmp_path / "a.npz")


def test_a_full_disk(films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shards, "write_whole", full)
    with pytest.raises(WriteFailed, match="No space left.*continue"):
        imported(films, tmp_path / "a.npz")
    assert not (tmp_path / "a.npz").exists()
