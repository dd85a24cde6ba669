"""Pictures found in folders and tables."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from helpers.pictures import class_folders, dicom, dicom_bytes, encoded, noise

from mobilenet_chest.data.importing.entries import ColumnNames
from mobilenet_chest.data.importing.sources import is_dicom, labelled, unlabelled, walk
from mobilenet_chest.errors import DataError

NAMES = ColumnNames()


def picture(path: Path, number: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encoded(noise(number)))
    return path


def test_folders_of_classes(tmp_path: Path) -> None:
    found = labelled(class_folders(tmp_path / "films", 2), NAMES)
    assert [(entry.name, entry.label, entry.split) for entry in found.entries] == [
        ("healthy/000.png", "healthy", None), ("healthy/001.png", "healthy", None),
        ("sick/000.png", "sick", None), ("sick/001.png", "sick", None),
    ]  # fmt: skip


def test_folders_of_splits_have_many_names(tmp_path: Path) -> None:
    for split in ("Train", "validation", "test"):
        class_folders(tmp_path / "films" / split, 1)
    picture(tmp_path / "films" / "Train" / "sick" / "series" / "deep.PNG")
    picture(tmp_path / "films" / "Train" / "loose.png")
    found = labelled(tmp_path / "films", NAMES)
    assert {entry.split for entry in found.entries} == {"train", "val", "test"}
    assert ("Train/sick/series/deep.PNG", "sick") in [(entry.name, entry.label) for entry in found.entries]
    assert [(file.name, file.reason) for file in found.skipped] == [
        ("Train/loose.png", "not in the folder of a class")
    ]  # fmt: skip


def test_other_files_and_links_are_skipped_with_their_reason(tmp_path: Path) -> None:
    root = class_folders(tmp_path / "films", 2)
    (root / "sick" / "notes.txt").write_text("x")
    (root / "sick" / ".hidden.png").write_bytes(b"x")
    outside = picture(tmp_path / "outside" / "a.png")
    (root / "sick" / "out.png").symlink_to(outside)
    (root / "sick" / "folder").symlink_to(tmp_path / "outside")
    (root / "sick" / "round").symlink_to(root)
    (root / "sick" / "gone.png").symlink_to(root / "nothing.png")
    (root / "sick" / "inside.png").symlink_to(root / "healthy" / "000.png")
    files, skipped = walk(root)
    assert "sick/inside.png" in files
    assert len(files) == 5
    assert {file.name: file.reason for file in skipped} == {
        "sick/notes.txt": "not a picture (.txt)",
        "sick/out.png": "a symbolic link out of the folder",
        "sick/folder": "a symbolic link out of the folder",
        "sick/round": "a symbolic link to a folder",
        "sick/gone.png": "a symbolic link to nothing",
    }


def test_dicom_is_known_by_its_name_or_its_first_bytes(tmp_path: Path) -> None:
    contents = dicom_bytes(dicom(noise(0), bits=8))
    for name in ("a.dcm", "b", "1.2.840.17"):
        (tmp_path / name).write_bytes(contents)
        assert is_dicom(tmp_path / name)
    (tmp_path / "c").write_bytes(b"x")
    assert not is_dicom(tmp_path / "c")
    assert not is_dicom(tmp_path / "none")


def table(folder: Path, text: str, name: str = "films.csv") -> Path:
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_a_table(tmp_path: Path, mark: str) -> None:
    text = "file,label,patient,split,sex,name\na.png,sick,p1,Train,f,Doe\nb.png,healthy,,valid,m,Roe\n"
    found = labelled(table(tmp_path, "\ufeff" + text.replace(",", mark)), NAMES)
    assert found.columns == ("sex",)
    assert found.left_out == ("name",)
    first, second = found.entries
    assert (first.label, first.patient, first.split, first.columns) == ("sick", "p1", "train", ("f",))
    assert (second.patient, second.split, Path(second.path)) == (None, "val", tmp_path / "b.png")


def test_columns_of_other_names_and_parquet(tmp_path: Path) -> None:
    frame = pd.DataFrame({"path": ["a.png"], "finding": [1], "id": [7], "Device": ["x"], "age": [50]})
    frame.to_parquet(tmp_path / "films.parquet")
    names = ColumnNames("path", "finding", "id", "split", ("Device",))
    found = labelled(tmp_path / "films.parquet", names)
    assert found.columns == ("device", "age")
    assert (found.entries[0].label, found.entries[0].patient) == ("1", "7")
    assert found.entries[0].columns == ("x", "50")


@pytest.mark.parametrize("names", [("labels",), ("Images",), ("A b", "a-b")])
def test_columns_whose_key_is_taken(tmp_path: Path, names: tuple[str, ...]) -> None:
    listed = table(tmp_path, f"file,label,{','.join(names)}\na.png,sick{',x' * len(names)}\n")
    with pytest.raises(DataError, match="rename the column"):
        labelled(listed, ColumnNames(more=names))


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_whole_numbers_beside_missing_ones(tmp_path: Path, kind: str) -> None:
    frame = pd.DataFrame({"file": ["a.png", "b.png", "c.png"], "label": [0, 1, None], "age": [50, None, 7]})
    path = tmp_path / f"films.{kind}"
    frame.to_csv(path, index=False) if kind == "csv" else frame.to_parquet(path)
    found = labelled(path, NAMES)
    assert [(entry.label, entry.columns) for entry in found.entries] == [("0", ("50",)), ("1", ("",))]
    assert found.numbered


def test_rows_without_file_or_label_are_skipped(tmp_path: Path) -> None:
    found = labelled(table(tmp_path, "file,label\na.png,\n,sick\nb.png,sick\n"), NAMES)
    assert [file.reason for file in found.skipped] == ["no label", "no file"]
    assert [entry.name for entry in found.entries] == ["b.png"]


def test_a_link_in_a_table_may_not_lead_out(tmp_path: Path) -> None:
    outside = picture(tmp_path / "outside" / "a.png")
    (tmp_path / "in").mkdir()
    picture(tmp_path / "in" / "b.png")
    (tmp_path / "in" / "a.png").symlink_to(outside)
    found = labelled(table(tmp_path / "in", "file,label\na.png,sick\nb.png,healthy\n"), NAMES)
    assert [(file.name, file.reason) for file in found.skipped] == [("a.png", "a symbolic link out of the folder")]


def test_what_cannot_be_a_source(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "a.txt").write_text("x")
    (tmp_path / "bad.parquet").write_bytes(b"x")
    class_folders(tmp_path / "mixed", 1, ("train", "sick"))
    class_folders(tmp_path / "above" / "films", 1)
    for source, wants in {
        "none": "no such", "empty": "no pictures", "a.txt": "not a folder", "bad.parquet": "Parquet",
        "mixed": "sick", "above": "did you mean .*above/films",
    }.items():  # fmt: skip
        with pytest.raises(DataError, match=wants):
            labelled(tmp_path / source, NAMES)
    for text, wants in {
        "path,label\na,b\n": "'file'.*--file-column", "file,lable\na,b\n": "did you mean 'lable'",
        "file,label\n": "no rows", "file,label,split\na,b,dev2\n": "line 2.*'dev2'",
    }.items():  # fmt: skip
        with pytest.raises(DataError, match=wants):
            labelled(table(tmp_path, text), NAMES)
    with pytest.raises(DataError, match="'subject'"):
        labelled(table(tmp_path, "file,label\na,b\n"), ColumnNames(patient="subject"))


def test_without_labels(tmp_path: Path) -> None:
    root = class_folders(tmp_path / "films", 1)
    assert [entry.name for entry in unlabelled(root, NAMES).entries] == ["healthy/000.png", "sick/000.png"]
    one = root / "sick" / "000.png"
    assert [entry.path for entry in unlabelled(one, NAMES).entries] == [str(one)]
    listed = table(tmp_path, "file\nfilms/sick/000.png\n")
    assert [entry.name for entry in unlabelled(listed, NAMES).entries] == ["films/sick/000.png"]
