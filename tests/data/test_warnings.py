"""Data that are allowed, but seldom meant."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mobilenet_chest.config import DataConfig
from mobilenet_chest.data import phantom
from mobilenet_chest.data.dataset import load_train_val
from mobilenet_chest.data.warnings import data_warnings

Arrays = dict[str, np.ndarray]
Doubts = Callable[..., list[str]]


@pytest.fixture
def films() -> Arrays:
    """Synthetic films of two classes, in which the mean image tells them apart."""
    arrays = phantom.generate(32, {"train": 240, "val": 120})
    for split in ("train", "val"):
        images, sick = arrays[f"{split}_images"], arrays[f"{split}_labels"][:, 7] == 1
        images[sick, 4:12, 4:12] = images[sick, 4:12, 4:12] // 2 + 100
    return arrays


@pytest.fixture
def doubts(tmp_path: Path) -> Doubts:
    """Write arrays to a file and return the warnings about them."""

    def warn(arrays: Arrays, **fields: Any) -> list[str]:
        path = tmp_path / "films.npz"
        np.savez(path, **arrays)
        config = DataConfig(path=path, classes=("cardiomegaly", "pneumothorax"), image_size=32, **fields)
        return data_warnings(config, load_train_val(config))

    return warn


def test_ordinary_data_have_none(films: Arrays, doubts: Doubts) -> None:
    assert doubts(films) == []
    config = DataConfig(dataset="phantom", classes=("cardiomegaly", "pneumothorax"), source_size=64)
    assert data_warnings(config, load_train_val(config)) == []


def test_a_source_size_that_the_file_does_not_have(films: Arrays, doubts: Doubts) -> None:
    (line,) = doubts(films, source_size=128)
    assert "128" in line
    assert "32 by 32" in line


def test_images_that_are_not_square(films: Arrays, doubts: Doubts) -> None:
    (line,) = doubts({key: value[:, :24] if key.endswith("images") else value for key, value in films.items()})
    assert "24 pixels high and 32 wide" in line
    assert "data import" in line


@pytest.mark.parametrize(("columns", "warns"), [(8, False), (12, True)])
def test_borders_that_show_nothing(films: Arrays, doubts: Doubts, columns: int, warns: bool) -> None:
    for split in ("train", "val"):
        films[f"{split}_images"][:, :, :columns] = 0
    lines = doubts(films)
    assert len(lines) == warns
    assert all(f"{columns / 32:.0%} of all pixels" in line for line in lines)


def test_labels_that_are_swapped_in_val(films: Arrays, doubts: Doubts) -> None:
    labels = films["val_labels"]
    chosen = [1, 7]  # cardiomegaly and pneumothorax
    labels[:, chosen] = labels[:, chosen[::-1]]
    (line,) = doubts(films)
    assert line.startswith("labels look swapped")


def test_swapped_labels_of_real_films(real_data: Path, doubts: Doubts) -> None:
    with np.load(real_data / "pneumoniamnist_28.npz") as file:
        arrays = {key: file[key] for key in file.files if not key.startswith("test")}
    arrays["val_labels"] = 1 - arrays["val_labels"]
    (line,) = doubts(arrays)
    assert line.startswith("labels look swapped")


@pytest.mark.parametrize("swapped", [False, True])
def test_few_real_films(real_data: Path, doubts: Doubts, swapped: bool) -> None:
    with np.load(real_data / "pneumoniamnist_28.npz") as file:
        arrays = {key: file[key] for key in file.files if not key.startswith("test")}
    for split, rows in {"train": 100, "val": 30}.items():
        labels = arrays[f"{split}_labels"].ravel()
        chosen = np.concatenate([np.flatnonzero(labels == label)[:rows] for label in (0, 1)])
        arrays |= {f"{split}_{key}": arrays[f"{split}_{key}"][chosen] for key in ("images", "labels")}
    if swapped:
        arrays["val_labels"] = 1 - arrays["val_labels"]
    lines = doubts(arrays)
    assert [line.split(":")[0] for line in lines] == ["labels look swapped"] * swapped


@pytest.mark.parametrize(("share", "warns"), [(4, False), (3, True)])
def test_images_of_one_value(films: Arrays, doubts: Doubts, share: int, warns: bool) -> None:
    sick = np.flatnonzero((films["train_labels"].sum(1) == 1) & (films["train_labels"][:, [1, 7]].sum(1) == 1))
    films["train_images"][sick[::share]] = 9
    lines = doubts(films)
    assert len(lines) == warns
    assert all("have one value in all pixels" in line for line in lines)


def test_images_of_another_depth(films: Arrays, doubts: Doubts) -> None:
    for split in ("train", "val"):
        films[f"{split}_images"] = (films[f"{split}_images"] > 100).astype(np.uint8)
    (line,) = doubts(films)
    assert "highest value of all training images is 1" in line


def test_labels_of_chance_are_not_called_swapped(films: Arrays, doubts: Doubts) -> None:
    generator = np.random.default_rng(5)
    films["val_labels"] = generator.permutation(films["val_labels"])
    assert doubts(films) == []


def test_real_films_have_none(real_data: Path) -> None:
    for name, classes, size in (("pneumoniamnist_28", None, 28), ("chestmnist_real_small_64", "chest", 64)):
        chest = ("cardiomegaly", "pneumothorax") if classes else ("normal", "pneumonia")
        dataset = "chestmnist" if classes else "pneumoniamnist"
        config = DataConfig(dataset=dataset, path=real_data / f"{name}.npz", classes=chest, image_size=size)
        assert data_warnings(config, load_train_val(config)) == []
