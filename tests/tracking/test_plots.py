"""The two pictures: files that open, in the right size and the right colours."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mobilenet_chest.data.dataset import Split
from mobilenet_chest.evaluation.predictions import Predictions
from mobilenet_chest.tracking.plots import prediction_grid, training_curves

GREEN, RED, BEST = (26, 127, 55), (207, 34, 46), (255, 0, 0)


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB"))


def count(picture: np.ndarray, color: tuple[int, int, int]) -> int:
    return int((picture == np.array(color, np.uint8)).all(axis=2).sum())


def history(stages: list[int]) -> list[dict[str, float]]:
    return [
        {"stage": stage, "train_loss": 1 / i, "val_loss": 1.2 / i, "train_accuracy": 1 - 0.5 / i,
         "val_accuracy": 1 - 0.6 / i}
        for i, stage in enumerate(stages, 1)
    ]  # fmt: skip


def sample(rows: int, channels: int = 1) -> tuple[Split, Predictions]:
    generator = np.random.default_rng(1)
    labels = generator.integers(0, 2, rows).astype(np.uint8)
    images = torch.from_numpy(generator.integers(60, 200, (rows, channels, 16, 16)).astype(np.uint8))
    right = np.where(labels == 1, 0.9, 0.1)
    split = Split(images, torch.from_numpy(labels), np.arange(rows), "")
    return split, Predictions(np.arange(rows), labels, right, right)


def test_training_curves(tmp_path: Path) -> None:
    for name, stages in (("both", [1, 1, 2, 2, 2]), ("one", [2] * 5)):
        training_curves(history(stages), 4, tmp_path / f"{name}.png")
    both, one = pixels(tmp_path / "both.png"), pixels(tmp_path / "one.png")
    assert both.shape == (462, 1210, 3)
    assert (tmp_path / "both.png").stat().st_size > 10_000
    boundary = (140, 149, 159)
    assert count(both, boundary) > count(one, boundary) + 100
    half = both.shape[1] // 2
    assert count(both[:, :half], BEST) > 10
    assert count(both[:, half:], BEST) > 10


def test_training_curves_of_one_epoch(tmp_path: Path) -> None:
    training_curves(history([1]), 1, tmp_path / "curves.png")
    assert pixels(tmp_path / "curves.png").shape == (462, 1210, 3)


@pytest.mark.parametrize(("rows", "channels"), [(25, 1), (25, 3), (3, 1)])
def test_right_is_green_and_wrong_is_red(tmp_path: Path, rows: int, channels: int) -> None:
    split, right = sample(rows, channels)
    wrong = Predictions(right.row, right.label, right.probability, 1 - right.probability_tta)
    for name, predictions in (("right", right), ("wrong", wrong)):
        prediction_grid(split, predictions, ("none", "some"), 0.5, 3, tmp_path / f"{name}.png")
    green, red = pixels(tmp_path / "right.png"), pixels(tmp_path / "wrong.png")
    assert green.shape == red.shape == (864, 990, 3)
    assert count(green, GREEN) > 800 * min(rows, 20)
    assert count(green, RED) == 0
    assert count(red, RED) > 800 * min(rows, 20)
    assert count(red, GREEN) == 0


def test_the_threshold_decides_and_the_seed_chooses(tmp_path: Path) -> None:
    split, right = sample(30)
    low = Predictions(right.row, right.label, right.probability, np.where(right.label == 1, 0.45, 0.1))
    for name, threshold, seed in (("a", 0.4, 3), ("b", 0.5, 3), ("c", 0.4, 3), ("d", 0.4, 4)):
        prediction_grid(split, low, ("none", "some"), threshold, seed, tmp_path / f"{name}.png")
    a, b, c, d = (pixels(tmp_path / f"{name}.png") for name in "abcd")
    assert count(a, RED) == 0
    assert count(b, RED) > 800
    assert (a == c).all()
    assert (a != d).any()
