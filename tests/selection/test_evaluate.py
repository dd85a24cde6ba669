"""Scoring a finished run: the same metrics on validation, and a test split whose accesses are counted."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pytest

from mobilenet_chest.data.dataset import load_test
from mobilenet_chest.errors import DataError, SealedError, TrackingError
from mobilenet_chest.evaluation.metric_intervals import metric_intervals
from mobilenet_chest.evaluation.metrics import split_metrics
from mobilenet_chest.evaluation.predictions import Predictions
from mobilenet_chest.selection.evaluate import evaluate
from mobilenet_chest.tracking.artifacts import stored_predictions
from mobilenet_chest.tracking.run_predictions import run_predictions

if TYPE_CHECKING:
    from helpers.stores import Store


def test_validation_gives_the_metrics_of_the_run(store: Store) -> None:
    run = store.run(store.single)
    evaluation = evaluate(store.single, "val")
    assert (evaluation.run_id, evaluation.split, evaluation.rows, evaluation.test_evaluations) == (
        store.single,
        "val",
        34,
        0,
    )
    assert evaluation.metrics.keys() == {
        "val_accuracy", "val_accuracy_tta", "val_accuracy_tta_threshold", "val_auc", "val_auc_tta",
        "val_sensitivity", "val_specificity",
    }  # fmt: skip
    assert evaluation.metrics == pytest.approx({name: run.data.metrics[name] for name in evaluation.metrics}, abs=1e-9)


def test_validation_writes_nothing(store: Store) -> None:
    before = store.run(store.single)
    evaluate(store.single, "val")
    after = store.run(store.single)
    assert after.data.to_dictionary() == before.data.to_dictionary()
    assert [file.path for file in store.client.list_artifacts(store.single, "predictions")] == [
        "predictions/val.parquet"
    ]


def test_test_metrics_and_predictions_are_logged_and_every_access_counted(store: Store) -> None:
    first = evaluate(store.single, "test")
    assert (first.split, first.rows, first.test_evaluations) == ("test", 34, 1)
    run = store.run(store.single)
    assert run.data.tags["test_evaluations"] == "1"
    assert {name: run.data.metrics[name] for name in first.metrics} == first.metrics
    rows = load_test(store.config().data)
    assert run.data.tags["test_digest"] == rows.digest[:16]

    table = stored_predictions(store.client, run, "test")
    assert list(table) == ["row", "label", "probability", "probability_tta"]
    np.testing.assert_array_equal(table["row"], rows.rows)
    np.testing.assert_array_equal(table["label"], rows.labels.numpy())
    predictions = Predictions(**{name: table[name].to_numpy() for name in table})
    assert split_metrics("test", predictions, run.data.metrics["threshold"]) == first.metrics
    assert first.intervals == metric_intervals("test", first.metrics, run_predictions(run, predictions))
    assert first.intervals.keys() == first.metrics.keys()

    (access,) = first.openings
    assert (access.run_id, access.study, access.digest, access.result, access.again) == (
        store.single, None, rows.digest[:16], first.metrics, False,
    )  # fmt: skip
    with pytest.raises(SealedError, match=f"run {store.single} once"):
        evaluate(store.single, "test")
    assert store.run(store.single).data.tags["test_evaluations"] == "1"

    second = evaluate(store.single, "test", again=True)
    assert second.test_evaluations == 2
    assert [access.again for access in second.openings] == [False, True]
    assert second.metrics == first.metrics
    assert store.run(store.single).data.tags["test_evaluations"] == "2"


def test_the_run_stays_finished_and_its_other_metrics_unchanged(store: Store) -> None:
    before = store.run(store.single)
    evaluate(store.single, "test")
    after = store.run(store.single)
    assert (after.info.status, after.info.end_time) == ("FINISHED", before.info.end_time)
    assert {k: v for k, v in after.data.metrics.items() if not k.startswith("test_")} == before.data.metrics


def test_an_access_is_counted_for_its_run_only(store: Store) -> None:
    evaluate(store.single, "test")
    assert "test_evaluations" not in store.run(store.trials[store.best]).data.tags


@pytest.mark.parametrize("split", ["val", "test"])
def test_changed_rows_are_refused_before_the_test_split_is_opened(
    store: Store, rewrite_data: Callable[..., None], split: str
) -> None:
    with np.load(store.data) as file:
        images = file["val_images"]
    images ^= 1
    rewrite_data(val_images=images)
    with pytest.raises(TrackingError) as caught:
        evaluate(store.single, split)  # type: ignore[arg-type]
    assert str(store.data) in str(caught.value)
    assert store.run(store.single).data.tags["data_digest"] in str(caught.value)
    assert "test_evaluations" not in store.run(store.single).data.tags


def test_a_file_without_test_rows_scores_validation_only(store: Store, rewrite_data: Callable[..., None]) -> None:
    rewrite_data(test_images=None, test_labels=None)
    assert evaluate(store.single, "val").rows == 34
    with pytest.raises(DataError, match="test_images and test_labels"):
        evaluate(store.single, "test")
    run = store.run(store.single)
    assert "test_evaluations" not in run.data.tags
    assert not [name for name in run.data.metrics if name.startswith("test_")]


def test_a_missing_file_is_refused(store: Store) -> None:
    store.data.unlink()
    with pytest.raises(DataError, match=store.data.name):
        evaluate(store.single, "val")


def test_an_unfinished_run_is_refused(store: Store) -> None:
    with pytest.raises(TrackingError, match=store.interrupted):
        evaluate(store.interrupted, "val")


def test_an_unknown_run_is_refused(store: Store) -> None:
    with pytest.raises(TrackingError, match=f"no run {'0' * 32}"):
        evaluate("0" * 32, "val")


def test_a_run_without_checkpoint_is_refused(store: Store) -> None:
    with pytest.raises(TrackingError, match=r"checkpoints/best\.pt"):
        evaluate(store.trials[1 - store.best], "test")
    assert "test_evaluations" not in store.run(store.trials[1 - store.best]).data.tags
