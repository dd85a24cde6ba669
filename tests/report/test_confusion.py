"""The confusion matrix."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mobilenet_chest.tracking.artifacts import stored_predictions
from mobilenet_chest.tracking.run_metrics import metrics_of

if TYPE_CHECKING:
    from report.conftest import Written


def test_the_counts_are_of_the_stored_predictions(written: Written) -> None:
    store, page = written.store, written.page
    run = store.run(store.trials[store.best])
    stored, threshold = stored_predictions(store.client, run, "val"), metrics_of(run)["threshold"]
    truth, predicted = stored["label"] == 1, stored["probability_tta"] >= threshold
    assert [[int(cell) for cell in cells] for cells in page.rows("confusion").values()] == [
        [sum(~truth & ~predicted), sum(~truth & predicted), sum(~truth)],
        [sum(truth & ~predicted), sum(truth & predicted), sum(truth)],
    ]
    correct, images = sum(truth == predicted), len(truth)
    assert f"accuracy {correct}/{images} = {correct / images:.3f} (" in page.by_id("calibration").text
    assert f"sensitivity {sum(truth & predicted)}/{sum(truth)} = " in page.by_id("calibration").text
