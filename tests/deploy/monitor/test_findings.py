"""Monitoring of a promoted model: stable answers are in control, shifted ones are not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.registry import Promoted

from mobilenet_chest.data.dataset import load_train_val, stored_validation_images
from mobilenet_chest.deploy.answer_log import AnswerLog
from mobilenet_chest.deploy.answer_rows import CHAMPION, Row, picture_statistics
from mobilenet_chest.deploy.monitor.findings import monitor
from mobilenet_chest.errors import DataError, TrackingError, UserError
from mobilenet_chest.registry.package import load_registered

START = datetime(2026, 11, 1, tzinfo=UTC)


def answer(images: np.ndarray, folder: Path, features: bool = True, model: str = "tiny") -> None:
    """Log a model's answers to images, a minute apart."""
    inner = load_registered("models:/tiny/1")[0].unwrap_python_model()
    table = inner.predict(None, images, {"features": True})
    log = AnswerLog("tiny", folder)
    log.append([
        Row(START + timedelta(minutes=k), str(k), 0, None, model, "1", CHAMPION, float(row.probability), 0.5,
            int(row.label), 0.5, picture_statistics(image), row.features.astype(np.float16) if features else None)
        for k, (image, row) in enumerate(zip(images, table.itertuples(), strict=True))
    ]).result()  # fmt: skip
    log.close()


@pytest.fixture
def images(promoted: Promoted) -> np.ndarray:
    """60 validation images, some of them twice."""
    data = promoted[0].config().data
    rows = load_train_val(data).val.rows
    return stored_validation_images(data, np.resize(rows, 60) if len(rows) >= 60 else rows)[
        np.random.default_rng(1).integers(0, len(rows), 60)
    ]


def test_stable_answers_are_in_control(images: np.ndarray, tmp_path: Path) -> None:
    answer(images, tmp_path / "answers")
    found = monitor("tiny", window="25", folder=tmp_path / "answers")
    assert (found.name, found.version, found.answers, found.waiting) == ("tiny", "1", 60, 10)
    assert [window.films for window in found.windows] == [25, 25]
    assert found.windows[1].start == (START + timedelta(minutes=25)).isoformat()
    assert found.in_control, [chart for chart in found.charts if chart.out]
    keys = [chart.key for chart in found.charts]
    assert len(set(keys)) == len(keys)
    assert {"psi", "ks", "exposure", "unlike", "features"} <= set(keys)
    for chart in found.charts:
        assert [type(point.value) for point in chart.points] == [float, float]
    for window in found.windows:
        assert 0 <= window.accuracy.low <= window.accuracy.value <= window.accuracy.high <= 1


def test_shifted_answers_are_out(images: np.ndarray, tmp_path: Path) -> None:
    overexposed = np.concatenate([images[:30], images[:30] // 4 + 190])
    answer(overexposed, tmp_path / "answers")
    found = monitor("tiny/1", window="30m", folder=tmp_path / "answers")
    assert [window.films for window in found.windows] == [30]  # the last half hour is not over
    assert found.in_control, [chart for chart in found.charts if chart.out]
    found = monitor("tiny@champion", window="30", folder=tmp_path / "answers")
    assert not found.in_control
    out: dict[str, Any] = {chart.key: [point.out for point in chart.points] for chart in found.charts}
    assert out["exposure"] == [False, True]
    assert found.windows[1].prevalence.share is None
    assert "mean grey level" in str(found.windows[1].prevalence.refusal)


def test_what_is_missing_is_said(images: np.ndarray, tmp_path: Path) -> None:
    answer(images[:25], tmp_path / "answers", features=False)
    found = monitor("tiny", window="25", folder=tmp_path / "answers")
    assert "features" not in {chart.key for chart in found.charts}
    assert any(text.startswith("features: the log") for text in found.absent)
    answer(images, tmp_path / "answers", model="other")  # a challenger's, in the same log
    few = monitor("tiny", folder=tmp_path / "answers")
    assert (few.answers, few.waiting, few.windows) == (25, 25, [])
    later = monitor("tiny", since="2026-11-02", folder=tmp_path / "answers")
    assert (later.answers, later.waiting, later.in_control) == (0, 0, True)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"window": "5"}, "--window 5"),
        ({"window": "week"}, "--window week"),
        ({"since": "monday"}, "--since monday"),
        ({"rate": 0.0}, "--alarm-rate 0"),
    ],
)
def test_wrong_arguments(arguments: dict[str, Any], text: str) -> None:
    with pytest.raises(UserError, match=text):
        monitor("tiny", **arguments)


def test_a_model_that_is_not_there(promoted: Promoted, tmp_path: Path) -> None:
    with pytest.raises(TrackingError, match="models:/none@champion"):
        monitor("none")
    with pytest.raises(DataError, match="no log of answers"):
        monitor("tiny", folder=tmp_path / "answers")
