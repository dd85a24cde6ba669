"""The pictures of probabilities: files that open, and show what they were given."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image
from scipy.special import expit

from mobilenet_chest.evaluation.calibration import reliability
from mobilenet_chest.evaluation.operating_points import threshold_curve
from mobilenet_chest.tracking.curves import reliability_diagram, threshold_picture


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


def sample(rows: int = 200) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(6)
    labels = (generator.random(rows) < 0.6).astype(np.uint8)
    return labels, expit(generator.normal(labels * 3.0 - 1.5, 1.5))


def size(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        assert image.format == "PNG"
        return image.size


def test_the_reliability_diagram(tmp_path: Path, drawn: list[Axes]) -> None:
    labels, plain = sample()
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
    labels, probabilities = sample()
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
