"""Arrays of another layout: the line that an error shows makes a file of them that is read as the original."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.commands import run

from mobilenet_chest.config import DataConfig
from mobilenet_chest.data.conversion import image_layout
from mobilenet_chest.data.dataset import load_train_val
from mobilenet_chest.data.npz import NpzFile
from mobilenet_chest.data.npz_archive import NpzArchive
from mobilenet_chest.errors import DataError

Arrays = dict[str, np.ndarray]
Change = Callable[[np.ndarray], np.ndarray]

COUNTS = {"train": 40, "val": 20, "test": 6}


@pytest.fixture
def films() -> Arrays:
    """Gray films whose values reach from 0 to 255, with labels 0 and 1."""
    generator = np.random.default_rng(3)
    arrays: Arrays = {}
    for split, count in COUNTS.items():
        arrays[f"{split}_images"] = generator.integers(0, 256, (count, 20, 20), np.uint8)
        arrays[f"{split}_images"][0, 0, :2] = 0, 255
        arrays[f"{split}_labels"] = (np.arange(count) % 2).astype(np.uint8)[:, None]
    return arrays


def read(path: Path) -> tuple[np.ndarray, ...]:
    data = load_train_val(DataConfig(path=path, classes=("healthy", "sick"), image_size=16))
    return tuple(np.asarray(array) for split in (data.train, data.val) for array in (split.images, split.labels))


def type_(line: str) -> None:
    """Run the line that an error shows, in this process."""
    program, *words = shlex.split(line)
    assert program == "mobilenet-chest"
    result = run(*words)
    assert result.exit_code == 0, result.output


def changed(arrays: Arrays, part: str, change: Change) -> Arrays:
    return {key: change(array) if key.endswith(part) else array for key, array in arrays.items()}


def line_of(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        read(path)
    message = str(caught.value)
    assert "\n" not in message
    return message.partition("type: ")[2]


IMAGES: dict[str, Change] = {
    "float, 0 to 1": lambda v: v / np.float32(255),
    "float, 0 to 255": lambda v: v.astype(np.float64),
    "float, -1 to 1": lambda v: (v / 127.5 - 1).astype(np.float32),
    "12 bits": lambda v: np.rint(v / 255 * 4095).astype(np.uint16),
    "16 bits": lambda v: v.astype(np.uint16) * 257,
    "signed": lambda v: v.astype(np.int16) - 128,
    "64-bit integers of 0 to 255": lambda v: v.astype(np.int64),
    "a last axis of one": lambda v: v[..., None],
    "channels first": lambda v: v[:, None],
    "floats, channels first": lambda v: v[:, None] / np.float32(255),
}
LABELS: dict[str, Change] = {
    "-1 and 1": lambda v: v.astype(np.int8) * 2 - 1,
    "floats": lambda v: v.astype(np.float32),
    "one-hot": lambda v: np.eye(2, dtype=np.uint8)[v[:, 0]],
    "one-hot floats": lambda v: np.eye(2)[v[:, 0]],
}


@pytest.mark.parametrize(("part", "change"), [
    *[pytest.param("_images", change, id=name) for name, change in IMAGES.items()],
    *[pytest.param("_labels", change, id=name) for name, change in LABELS.items()],
])  # fmt: skip
def test_the_line_to_type(films: Arrays, tmp_path: Path, part: str, change: Change) -> None:
    np.savez(tmp_path / "right.npz", **films)
    path = tmp_path / "the films.npz"
    np.savez(path, **changed(films, part, change))
    type_(line_of(path))
    converted = tmp_path / "the films-converted.npz"
    for ours, right in zip(read(converted), read(tmp_path / "right.npz"), strict=True):
        np.testing.assert_array_equal(ours, right)
    assert NpzFile(converted).row_count("test") == COUNTS["test"]


@pytest.mark.parametrize(
    "named",
    [
        lambda split, part: f"{'x' if part == 'images' else 'y'}_{split}",
        lambda split, part: f"{split}_{part}" if split == "train" else None,
    ],
    ids=["other names", "no val"],
)
def test_arrays_of_other_names_or_a_single_split(
    films: Arrays, tmp_path: Path, named: Callable[[str, str], str | None]
) -> None:
    keys = {key: named(*key.split("_")) for key in films}
    np.savez(tmp_path / "mine.npz", **{new: films[key] for key, new in keys.items() if new is not None})
    type_(line_of(tmp_path / "mine.npz"))
    converted = NpzFile(tmp_path / "mine-converted.npz")
    assert converted.image_shape("train") == (20, 20)
    assert len(read(tmp_path / "mine-converted.npz")[3]) == converted.row_count("val") > 0
    np.savez(tmp_path / "nothing.npz", weights=np.zeros(3))
    with pytest.raises(DataError) as caught:
        read(tmp_path / "nothing.npz")
    assert "data import" not in str(caught.value)


def test_floats_from_minus_one_need_not_reach_white(films: Arrays, tmp_path: Path) -> None:
    dim = changed(films, "_images", lambda v: v.clip(10, 240))
    np.savez(tmp_path / "right.npz", **dim)
    path = tmp_path / "films.npz"
    np.savez(path, **changed(dim, "_images", IMAGES["float, -1 to 1"]))
    layout = image_layout(NpzArchive(path), ("train_images", "val_images"))
    assert layout is not None
    assert not layout.of_set
    assert layout.said().endswith("values -0.921569 to 0.882353: black is -1, white is 1")
    type_(line_of(path))
    for ours, right in zip(read(tmp_path / "films-converted.npz"), read(tmp_path / "right.npz"), strict=True):
        np.testing.assert_array_equal(ours, right)


def test_colour_with_the_channels_first(films: Arrays, tmp_path: Path) -> None:
    colour = changed(films, "_images", lambda v: np.stack([v, v // 2, v // 3], 1))
    path = tmp_path / "colour.npz"
    np.savez(path, **colour)
    type_(line_of(path))
    rows = NpzFile(tmp_path / "colour-converted.npz").rows("val", np.arange(COUNTS["val"]))
    np.testing.assert_array_equal(rows, colour["val_images"].transpose(0, 2, 3, 1))


def test_the_range_is_that_of_train_and_val_together(films: Arrays, tmp_path: Path) -> None:
    """The test split is not looked at; what exceeds the range there is cut."""
    wide = changed(films, "_images", lambda v: v.astype(np.float32) - 10)
    wide["val_images"][0, 0, 0], wide["test_images"][0, 0, 0] = 500, 65535
    np.savez(tmp_path / "wide.npz", **wide)
    layout = image_layout(NpzArchive(tmp_path / "wide.npz"), ("train_images", "val_images"))
    assert layout is not None
    assert (layout.low, layout.high, layout.of_set) == (-10, 500, True)
    assert layout.pixels(wide["test_images"])[0, 0, 0] == 65535
    assert line_of(tmp_path / "wide.npz")


def test_films_that_are_not_square_are_stretched_as_a_training_does(films: Arrays, tmp_path: Path) -> None:
    np.savez(tmp_path / "films.npz", **changed(films, "_images", lambda v: v[:, :12, :, None]))
    line = line_of(tmp_path / "films.npz")
    assert line.endswith("--size 20 --fit stretch")
    type_(line)
    assert NpzFile(tmp_path / "films-converted.npz").image_shape("train") == (20, 20)


@pytest.mark.parametrize("change", [
    lambda v: np.where(v > 250, np.nan, v),
    lambda v: np.zeros(v.shape, np.float32),
    lambda v: np.stack([v] * 4, -1),
    lambda v: v.astype(complex),
], ids=["not a number", "constant", "four channels", "complex"])  # fmt: skip
def test_where_nothing_certain_can_be_said_there_is_no_line(films: Arrays, tmp_path: Path, change: Change) -> None:
    path = tmp_path / "films.npz"
    np.savez(path, **changed(films, "_images", change))
    assert line_of(path) == ""


@pytest.mark.parametrize("labels", [np.array([0, 1, 7]), np.array([-1, 0, 1]), np.array([0.5, 1.0, 0.0])])
def test_labels_that_mean_something_else(films: Arrays, tmp_path: Path, labels: Any) -> None:
    path = tmp_path / "films.npz"
    np.savez(path, **changed(films, "_labels", lambda v: np.resize(labels, len(v))))
    with pytest.raises(DataError) as caught:
        read(path)
    assert "type: " not in str(caught.value)
