"""Descriptions of runs, in MLflow's tag for them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from helpers.stores import Store, experiment

from mobilenet_chest.config import Config
from mobilenet_chest.config.metrics import label
from mobilenet_chest.data.dataset import load_train_val
from mobilenet_chest.errors import TrainingDiverged
from mobilenet_chest.evaluation.predictions import Predictions
from mobilenet_chest.tracking import notes, tags
from mobilenet_chest.tracking.notes import Outcome
from mobilenet_chest.tracking.run_metrics import metrics_of
from mobilenet_chest.tracking.tracker import MlflowTracker

SCORES = np.array([0.1, 0.4, 0.35, 0.8, 0.7, 0.9])
PREDICTIONS = Predictions(np.arange(6), np.array([0, 0, 1, 1, 0, 1], np.uint8), SCORES, SCORES)
OUTCOME = Outcome("finished", {"val_auc": 7 / 9, "best_epoch": 4.0, "train_seconds": 150.0}, 6, 7, PREDICTIONS)


def note_of(store: Store, run_id: str) -> str:
    return str(store.run(run_id).data.tags[tags.NOTE])


def test_a_single_training_says_what_it_changes_and_how_it_went(store: Store) -> None:
    note, run = note_of(store, store.single), store.run(store.single)
    assert f"seed {store.single_seed}" in note
    assert "Not at its default: `model.weights` none" in note
    metric = experiment(store.data).evaluation.metric
    assert f"**{label(metric)} {metrics_of(run)[metric]:.4g}**" in note
    low, high = run.data.tags[tags.INTERVAL].split("–")
    assert f"95% interval {low} to {high}; " in note
    assert float(low) <= metrics_of(run)[metric] <= float(high)


def test_a_trial_says_which_values_it_tried(store: Store) -> None:
    for number, run_id in enumerate(store.trials):
        note = note_of(store, run_id)
        assert note.startswith(f"**Trial {number} of study `dropout-study`**: `model.dropout` 0.")
        assert tags.INTERVAL in store.run(run_id).data.tags


def test_an_interrupted_training_says_how_to_continue(store: Store) -> None:
    assert f"`--resume {store.interrupted[:8]}`" in note_of(store, store.interrupted)


def test_a_failed_training_says_why(store: Store) -> None:
    config = experiment(store.data)
    tracker = MlflowTracker()
    with pytest.raises(TrainingDiverged), tracker.run(config, load_train_val(config.data)):
        raise TrainingDiverged("the loss is <nan>")
    assert tracker.run_id is not None
    assert "Failed: TrainingDiverged: the loss is &lt;nan&gt;" in note_of(store, tracker.run_id)


def test_runs_without_a_text_of_their_own_have_no_description(store: Store) -> None:
    config = experiment(store.data)
    tracker = MlflowTracker("soup")
    with tracker.run(config, load_train_val(config.data)):
        pass
    assert tracker.run_id is not None
    assert tags.NOTE not in store.run(tracker.run_id).data.tags


def test_changed_fields_are_those_of_the_training() -> None:
    config = Config(name="other", seed=3)
    assert notes.changed_fields(config) == {}
    changed = config.model_copy(update={"stage1": config.stage1.model_copy(update={"epochs": 2})})
    assert notes.changed_fields(changed) == {"stage1.epochs": 2}
    assert "have their defaults" in notes.about_training(config, "pneumoniamnist")


def test_outcomes() -> None:
    interval = notes.metric_interval(OUTCOME, "val_auc", Config(name="x"))
    assert interval is not None
    assert interval.low < 7 / 9 < interval.high
    finished = notes.outcome_text(OUTCOME, "val_auc", interval, False)
    assert finished.startswith("Finished after 6 epochs (2.5 min): **validation AUC 0.7778** (95% interval ")
    stopped = replace(OUTCOME, status="stopped", predictions=None)
    assert notes.outcome_text(stopped, "val_auc", None, True).startswith("Pruned after 6 of 7 epochs")
    assert notes.outcome_text(stopped, "val_auc", None, False).startswith("Ended by its caller after 6 of 7")
    folds = replace(OUTCOME, done=3, planned=3, unit="folds")
    assert "best epoch" not in notes.outcome_text(folds, "val_auc", None, True)


def test_no_text_of_the_user_s_is_markup() -> None:
    assert notes.plain("<b>|*x*\n[a]") == r"&lt;b&gt;\|\*x\* \[a\]"
    assert notes.code("a`b\nc") == "`a'b c`"
    assert len(notes.shortened("x" * 9000)) < 8000
