"""The five ways in, end to end: what ``predict`` says of the original files is what it says of the imported rows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from helpers.experiments import SMALL_MODEL, tiny_fields
from helpers.pictures import dicom, dicom_bytes, encoded
from mlflow import MlflowClient

from mobilenet_chest.config import parse
from mobilenet_chest.data.importing.entries import ColumnNames
from mobilenet_chest.data.importing.importer import ImportOptions, import_pictures
from mobilenet_chest.data.importing.sources import labelled
from mobilenet_chest.registry.predict import predict_files
from mobilenet_chest.registry.promote import promote
from mobilenet_chest.tracking.tracker import MlflowTracker
from mobilenet_chest.two_stage import train

CLASSES = ("normal", "pneumonia")
ROWS = {"train": 40, "val": 24, "test": 24}

Films = dict[str, tuple[np.ndarray, np.ndarray]]
"""Images and labels of each split."""


@pytest.fixture(scope="session")
def films(real_data: Path) -> Films:
    """Some films of each split and class, cut so that they are not square."""
    found: Films = {}
    with np.load(real_data / "pneumoniamnist_28.npz") as file:
        for split, count in ROWS.items():
            labels = file[f"{split}_labels"][:, 0]
            rows = np.concatenate([np.flatnonzero(labels == label)[: count // 2] for label in (0, 1)])
            found[split] = file[f"{split}_images"][rows][:, 2:26], labels[rows]
    return found


def _each(films: Films, write: Callable[[Path, int, np.ndarray], None], suffix: str) -> Path:
    for split, (images, labels) in films.items():
        for number, (image, label) in enumerate(zip(images, labels, strict=True)):
            path = Path("films") / split / CLASSES[label] / f"{number:03d}{suffix}"
            path.parent.mkdir(parents=True, exist_ok=True)
            write(path, number, image)
    return Path("films")


def _folder(films: Films) -> Path:
    return _each(films, lambda path, _, image: _write(path, encoded(image)), ".png")


def _table(films: Films) -> Path:
    lines = ["file,label,patient,split"]

    def write(path: Path, number: int, image: np.ndarray) -> None:
        _write(path.with_suffix(".jpg" if number % 2 else ".png"), encoded(image, "JPEG" if number % 2 else "PNG"))
        name = path.with_suffix(".jpg" if number % 2 else ".png")
        lines.append(f"{name},{path.parts[2]},{path.parts[1]}{number // 2},{path.parts[1]}")

    _each(films, write, "")
    _write(Path("films.csv"), "\n".join(lines).encode())
    return Path("films.csv")


def _dicom(films: Films) -> Path:
    """12 and 16 bits, and every third film a negative."""

    def write(path: Path, number: int, image: np.ndarray) -> None:
        bits, negative = (12, 16)[number % 2], number % 3 == 0
        deep = np.rint(image / 255 * ((1 << bits) - 1)).astype(np.uint16)
        pixels = (1 << bits) - 1 - deep if negative else deep
        photometric = "MONOCHROME1" if negative else "MONOCHROME2"
        film = dicom(pixels, bits, photometric, PatientID=f"{path.parts[1]}{number // 2}")
        _write(path, dicom_bytes(film))

    return _each(films, write, ".dcm")


def _tiff(films: Films) -> Path:
    """12 bits in files of 16."""

    def write(path: Path, _: int, image: np.ndarray) -> None:
        _write(path, encoded(np.rint(image / 255 * 4095).astype(np.uint16), "TIFF"))

    return _each(films, write, ".tif")


def _arrays(films: Films) -> Path:
    """Own class names, 12 bits, a channel in front."""
    arrays: dict[str, Any] = {}
    for split, (images, labels) in films.items():
        arrays[f"x_{split}"] = np.rint(images / 255 * 4095).astype(np.uint16)[:, None]
        arrays[f"y_{split}"] = np.array(CLASSES)[labels]
    np.savez("films.npz", **arrays)
    return Path("films.npz")


def _write(path: Path, contents: bytes) -> None:
    path.write_bytes(contents)


WAYS = {"folder": _folder, "table": _table, "dicom": _dicom, "tiff": _tiff, "arrays": _arrays}


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_a_way_in(tracking: Path, films: Films, way: str) -> None:
    source, data = WAYS[way](films), tracking / "imported.npz"
    report = import_pictures(source, data, ImportOptions(32), workers=1)
    assert (report.rows, report.skipped) == (sum(ROWS.values()), [])
    own = {"name": way, "data": {"path": str(data), "image_size": 32}, "optimizer": {"batch_size": 16}}
    result = train(parse(tiny_fields(data, SMALL_MODEL, own)), MlflowTracker())
    promotion = promote(str(result.run_id), name=way)
    assert promotion.promoted
    bits = ", 16-bit files read as 12 bits" if way in ("tiff", "arrays") else ""
    card = MlflowClient().get_model_version(way, "1").description
    assert f"prepared: 32×32 (letterbox){bits}, DICOM window voi." in card

    original, rows = _predicted(way, source), _predicted(way, data)
    of_row = {(row.source, row.row): row.probability for row in rows.itertuples()}
    expected: dict[str, float] = {}
    places = dict.fromkeys(ROWS, 0)
    for entry in labelled(source, ColumnNames()).entries:
        assert entry.split is not None
        expected[entry.name] = of_row[entry.split, places[entry.split]]
        places[entry.split] += 1
    assert np.ptp(original["probability"]) > 1e-4  # equal because they are equal, not because all are
    names = original["source"] if way != "arrays" else original["source"] + " " + original["row"].astype(str)
    assert len(set(names)) == len(names) == report.rows
    np.testing.assert_allclose(original["probability"], [expected[name] for name in names], atol=1e-6, rtol=0)
    assert original["probability"].nunique() > report.rows / 2
    assert set(original["label_name"]) <= set(CLASSES)


def _predicted(model: str, source: Path) -> pd.DataFrame:
    out = Path(f"{source.stem}-predicted.csv")
    done = predict_files(f"models:/{model}@champion", source, out)
    assert done.skipped == []
    return pd.read_csv(out)
