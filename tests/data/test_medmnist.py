"""The catalogue: names, labels and files."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import mobilenet_chest
from mobilenet_chest.data import medmnist as catalogue
from mobilenet_chest.data.medmnist import DatasetInfo, dataset_info, fetch_dataset
from mobilenet_chest.download import file_digest
from mobilenet_chest.errors import DataError

CHEST_LABELS = (
    "atelectasis", "cardiomegaly", "effusion", "infiltration", "mass", "nodule", "pneumonia", "pneumothorax",
    "consolidation", "edema", "emphysema", "fibrosis", "pleural", "hernia",
)  # fmt: skip
PLANAR = (
    "pathmnist", "chestmnist", "dermamnist", "octmnist", "pneumoniamnist", "retinamnist", "breastmnist", "bloodmnist",
    "tissuemnist", "organamnist", "organcmnist", "organsmnist",
)  # fmt: skip


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
