"""A run's pictures: files that open, in the right size and colours, and that show what they were given."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image
from scipy.special import expit

from mobilenet_chest.data.dataset import Split
from mobilenet_chest.evaluation.calibration import reliability
from mobilenet_chest.evaluation.operating_points import threshold_curve
from mobilenet_chest.evaluation.predictions import Predictions
from mobilenet_chest.tracking.plots import prediction_grid, reliability_diagram, threshold_picture, training_curves

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


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Axes]:
    """The axes of each picture that is saved."""
    axes: list[Axes] = []
    save = Figure.savefig

    def watched(figure: Figure, *arguments: object, **named: object) -> None:
        axes.extend(figure.axes)
        save(figure, *arguments, **named)

    monkeypatch.setattr(Figure, "savefig", watched)
    return axes


def scores(rows: int = 200) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(6)
    labels = (generator.random(rows) < 0.6).astype(np.uint8)
    return labels, expit(generator.normal(labels * 3.0 - 1.5, 1.5))


def size(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        assert image.format == "PNG"
        return image.size


def test_the_reliability_diagram(tmp_path: Path, drawn: list[Axes]) -> None:
    labels, plain = scores()
    calibrated = np.sqrt(plain)
    reliability_diagram(labels, plain, calibrated, tmp_path / "r.png")
    assert size(tmp_path / "r.png") == (660, 616)
    (axes,) = drawn
    for bars, probabilities in zip(axes.containers, (plain, calibrated), strict=True):
        found = reliability(labels, probabilities)
        points, _, (arms,) = bars.lines
        np.testing.assert_allclose(points.get_xydata(), np.stack([found.predicted, found.observed], axis=1))
        ends = np.array([segment[:, 1] for segment in arms.get_segments()])
        np.testing.assert_allclose(ends, np.stack([found.low, found.high], axis=1), atol=1e-12)
    found = reliability(labels, plain)
    legend = axes.get_legend()
    assert legend is not None
    assert legend.get_texts()[0].get_text() == f"as trained: ECE {found.ece:.3f} ({found.bias:.3f} by chance)"


def test_the_threshold_curve(tmp_path: Path, drawn: list[Axes]) -> None:
    labels, probabilities = scores()
    threshold_picture(labels, probabilities, 0.37, tmp_path / "t.png")
    assert size(tmp_path / "t.png") == (825, 506)
    (axes,) = drawn
    curve = threshold_curve(labels, probabilities)
    shown = {str(line.get_label()): np.asarray(line.get_ydata()) for line in axes.lines}
    assert list(shown) == ["accuracy", "sensitivity", "specificity", "PPV", "NPV", "threshold 0.37"]
    np.testing.assert_array_equal(shown["PPV"], curve.ppv)
    np.testing.assert_array_equal(shown["specificity"], curve.specificity)
    right = ((probabilities >= 0.37) == labels).mean()
    assert f"accuracy {right:.3f}" in axes.get_title()


def test_pictures_of_a_handful_of_rows(tmp_path: Path, drawn: list[Axes]) -> None:
    labels, probabilities = np.array([0, 1], np.uint8), np.array([0.5, 0.5])
    reliability_diagram(labels, probabilities, probabilities, tmp_path / "r.png")
    threshold_picture(labels, probabilities, 0.5, tmp_path / "t.png")
    assert len(drawn) == 2
