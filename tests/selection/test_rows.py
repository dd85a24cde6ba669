"""Rows of a comparison that are values of the source report."""

from __future__ import annotations

import pytest

from mobilenet_chest.selection.rows import REPORTED


def test_none_claims_a_run_or_has_a_baseline() -> None:
    assert {(row.kind, row.run_id, row.dataset) for row in REPORTED} == {("reported", None, "chestmnist (as reported)")}
    assert all(row.baseline == {} for row in REPORTED)


@pytest.mark.parametrize(
    ("name", "model", "parameters", "metrics"),
    [
        ("MobileNetV3-Large, stage 1", "mobilenet_v3_large", 5_022_225, (0.7475, None, 2.8)),
        ("MobileNetV3-Large, stage 2", "mobilenet_v3_large", 5_022_225, (0.8918, None, 8.3)),
        ("MobileNetV3-Large, TTA + threshold", "mobilenet_v3_large", 5_022_225, (None, 0.8951, 11.1)),
        ("DenseNet121, best of five seeds", "densenet121", 7_600_000, (0.9246, None, 19.6)),
        ("DenseNet121, single", "densenet121", 7_600_000, (0.9180, None, None)),
        ("DenseNet121, five-seed ensemble", "densenet121", 38_000_000, (0.9213, None, 72.0)),
    ],
)
def test_they_carry_the_report_s_values(
    name: str, model: str, parameters: int, metrics: tuple[float | None, float | None, float | None]
) -> None:
    (row,) = [row for row in REPORTED if row.name == name]
    plain, best, minutes = metrics
    assert (row.model, row.parameters) == (model, parameters)
    assert row.metrics.get("val_accuracy") == plain
    assert row.metrics.get("val_accuracy_tta_threshold") == best
    assert row.metrics.get("train_seconds") == (None if minutes is None else pytest.approx(minutes * 60))
    assert row.metrics.get("threshold") == (0.67 if best else None)


def test_there_are_no_others() -> None:
    assert len(REPORTED) == 6
