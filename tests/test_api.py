"""The public functions: what the commands do, from Python, with results that a notebook shows."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.registry import Promoted
from helpers.stores import STUDY, Store
from mlflow import MlflowClient

import mobilenet_chest
from mobilenet_chest.api import compare, predict, promote, train
from mobilenet_chest.config import Config
from mobilenet_chest.errors import DataError, NotDelivered, TrackingError, UserError
from mobilenet_chest.selection.ledger import accesses
from mobilenet_chest.tracking.outbox.outbox import Outbox
from mobilenet_chest.tracking.run_metrics import metrics_of
from mobilenet_chest.tracking.tracker import MlflowTracker, NullTracker

Make = Callable[..., Config]


@pytest.fixture
def small(phantom_config: Make) -> Config:
    """One epoch of the head alone."""
    model = {"name": "timm:mobilenetv2_050", "weights": "none", "hidden": [8]}
    return phantom_config({"model": model, "stage2": {"epochs": 0}})


def _contents(run_id: str) -> tuple[set[str], set[str], dict[str, str], list[str]]:
    """Return what a run has that does not depend on when and where it was trained."""
    client = MlflowClient()
    run = client.get_run(run_id)
    paths, folders = [], [""]
    while folders:
        for entry in client.list_artifacts(run_id, folders.pop() or None):
            folders += [entry.path] if entry.is_dir else []
            paths += [] if entry.is_dir else [entry.path]
    return set(run.data.tags), set(metrics_of(run)), dict(run.data.params), sorted(paths)


def test_tracked_and_untracked(tracking: Path, small: Config) -> None:
    plain = train(small)
    assert plain.run_id is None
    assert MlflowClient().search_experiments(filter_string="name = 'tiny'") == []
    tracked = train(small, track=True)
    assert tracked.run_id is not None
    assert MlflowClient().get_run(tracked.run_id).info.status == "FINISHED"
    assert tracked.metrics["val_auc"] == plain.metrics["val_auc"]
    by_tracker = train(small, MlflowTracker())
    assert _contents(tracked.run_id) == _contents(str(by_tracker.run_id))


@pytest.mark.parametrize("given", ["small.yaml", {"name": "small"}])
def test_what_was_not_loaded(given: Any) -> None:
    for name in ("train", "sweep"):
        with pytest.raises(UserError, match=rf"{name}: takes an experiment that load\(\) returns, not"):
            getattr(mobilenet_chest, name)(given)


def test_a_tracker_or_track(small: Config) -> None:
    with pytest.raises(UserError, match="not both"):
        train(small, NullTracker(), track=True)


def test_a_store_that_cannot_be_used_is_found_before_the_training(
    small: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "file:///tmp/none")
    monkeypatch.setattr("mobilenet_chest.two_stage.train", lambda *given: pytest.fail("trained"))
    with pytest.raises(TrackingError, match="file store"):
        train(small, track=True)


def test_a_result_is_not_lost_with_the_store(
    tracking: Path, small: Config, monkeypatch: pytest.MonkeyPatch, logged: pytest.LogCaptureFixture
) -> None:
    def away(self: Outbox, patience: float | None = None) -> None:
        raise NotDelivered("3 writes are pending")

    monkeypatch.setattr(Outbox, "flush", away)
    assert train(small, track=True).run_id is not None
    assert ("mobilenet_chest.api", logging.WARNING, "3 writes are pending") in logged.record_tuples


def test_a_result_shows_itself(small: Config) -> None:
    result = train(small)
    interval = result.intervals("val_auc")["val_auc"]
    assert interval.value == pytest.approx(result.metrics["val_auc"], abs=1e-12)
    assert interval.low <= interval.value <= interval.high
    assert set(result.intervals()) >= {"val_auc", "val_accuracy_crossfit", "val_loss"}
    assert f"{interval.low:.3f}–{interval.high:.3f}" in repr(result)
    assert "not tracked" in repr(result)
    html = result._repr_html_()
    assert f"{interval.low:.3f}–{interval.high:.3f}" in html
    assert len(html) < 3000


def test_a_sweep_is_called_by_its_package(here: Path, tiny_search: Callable[..., Config]) -> None:
    config = tiny_search({"model.dropout": {"choices": [0.2, 0.6]}}, sampler="grid")
    result = mobilenet_chest.sweep(config)
    assert [trial.state for trial in result.trials] == ["COMPLETE", "COMPLETE"]
    assert f"best trial {result.best.number}, val_auc" in repr(result)
    html = result._repr_html_()
    assert html.count("<tr>") == 3
    assert "<th>model.dropout</th>" in html
    assert html.count("<td>best</td>") == 1
    rows = compare(result, baseline=str(result.trials[0].run_id)).rows
    assert rows[0].run_id == result.trials[0].run_id


def test_a_comparison_as_a_table(store: Store) -> None:
    compared = compare(STUDY, store.single, baseline=store.single[:8])
    table = compared.to_pandas()
    assert list(table.index) == ["single", STUDY]
    assert table.loc["single", "run_id"] == store.single
    low, value, high = (table.loc[STUDY, f"val_auc{end}"] for end in ("_low", "", "_high"))
    assert low <= value <= high
    difference = compared.rows[1].differences["val_auc"]
    assert table.loc[STUDY, "val_auc_difference"] == difference.value
    assert table.loc[STUDY, "val_auc_verdict"] == difference.verdict
    assert store.single[:8] in repr(compared)
    assert store.single[:8] in compared._repr_html_()
    assert compared._repr_html_().count("<tr>") == 3


def test_nothing_to_compare(tracking: Path) -> None:
    compared = compare()
    assert compared.rows == ()
    assert len(compared.to_pandas()) == 0
    assert compared._repr_html_().count("<tr>") == 0


def test_a_result_that_was_not_tracked_cannot_be_compared(small: Config) -> None:
    with pytest.raises(UserError, match="track=True"):
        compare(train(small))


def test_promotions_and_predictions(promoted: Promoted) -> None:
    store, promotion = promoted
    again = promote(STUDY)
    assert (again.version, again.run_id) == (promotion.version, promotion.run_id)
    assert "champion of tiny is version 1" in repr(again)
    assert "champion of tiny is version 1" in again._repr_html_()
    with np.load(store.data) as file:
        images = file["val_images"][:5]
    table = predict("models:/tiny@champion", images)
    assert list(table) == ["probability", "label_name", "label"]
    assert len(table) == 5
    files = predict("models:/tiny@champion", store.data)
    assert list(files)[:2] == ["source", "row"]
    of_val = files[files["source"] == "val"]["probability"].to_numpy()
    assert of_val[:5].tolist() == pytest.approx(table["probability"].tolist(), abs=1e-6)


def test_predictions_of_sealed_rows_go_on_record(promoted: Promoted, logged: pytest.LogCaptureFixture) -> None:
    store, promotion = promoted
    run = store.run(promotion.run_id)
    before = len(accesses(store.client, run))
    with np.load(store.data) as file:
        val, test = file["val_images"][:3], file["test_images"][:3]
    predict("models:/tiny@champion", val)
    assert len(accesses(store.client, run)) == before
    predict("models:/tiny@champion", test)
    assert len(accesses(store.client, run)) == before + 1
    assert "sealed test split" in logged.messages[-1]


@pytest.mark.parametrize("images", [np.zeros((2, 8, 8)), np.zeros((8, 8), np.uint8), [[1, 2], [3, 4]]])
def test_images_of_another_kind(images: Any) -> None:
    with pytest.raises(DataError, match="uint8 \\(n, h, w\\)"):
        predict("models:/tiny@champion", images)
