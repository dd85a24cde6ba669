"""The reliability diagram and the threshold curve."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mobilenet_chest.evaluation.calibration import reliability
from mobilenet_chest.tracking.artifacts import stored_predictions
from mobilenet_chest.tracking.run_metrics import metrics_of

if TYPE_CHECKING:
    from report.conftest import Written


def test_the_bins_are_those_of_the_stored_predictions(written: Written) -> None:
    store = written.store
    stored = stored_predictions(store.client, store.run(store.trials[store.best]), "val")
    diagram = reliability(stored["label"].to_numpy(), stored["probability_tta"].to_numpy())
    rows = {predicted: int(cells[-1]) for predicted, cells in written.page.rows("reliability-rows").items()}
    bins = zip(diagram.predicted, diagram.count, strict=True)
    assert rows == {f"{predicted:.3f}": count for predicted, count in bins}
    assert f"{diagram.ece:.3f}" in written.page.by_id("calibration").text


def test_the_curve_passes_through_the_run_s_own_accuracy(written: Written) -> None:
    store = written.store
    metrics = metrics_of(store.run(store.trials[store.best]))
    curve = written.page.rows("threshold-rows")
    assert float(curve["0.50"][0]) == pytest.approx(metrics["val_accuracy_tta"], abs=5e-4)
    assert list(curve) == [f"{percent / 100:.2f}" for percent in range(5, 100, 5)]
