"""What a page is about."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mobilenet_chest.errors import TrackingError
from mobilenet_chest.report.subject import read_subject

if TYPE_CHECKING:
    from helpers.stores import Store


def test_a_study_s_rows_are_its_trials_best_first(store: Store) -> None:
    subject = read_subject(store.client, ["dropout-study"], baseline=store.single)
    assert subject.kind == "study"
    trials = [row for row in subject.rows if row.run_id != store.single]
    assert [row.name for row in trials] == [f"trial {store.best}", f"trial {1 - store.best}"]
    values = [row.metrics["val_auc"] for row in subject.rows]
    assert values == sorted(values, reverse=True)
    assert subject.leader_row.run_id == store.trials[store.best]
    assert subject.base is not None
    assert subject.base.run_id == store.single
    assert subject.trials is not None
    assert subject.confirmation is None
    assert not subject.is_confirmed


def test_one_name_is_a_run_and_several_are_a_comparison(store: Store) -> None:
    assert read_subject(store.client, [store.single], baseline=None).kind == "run"
    both = read_subject(store.client, [store.single, store.trials[0]], baseline=None)
    assert both.kind == "comparison"
    assert both.leader.run_id == both.rows[0].run_id


def test_a_metric_of_stressed_copies_ranks_without_an_interval(store: Store) -> None:
    store.client.set_tag(store.study_run, "metric", "stress_auc_mean")
    values = dict(zip(store.trials, (0.8, 0.7), strict=True))
    for trial, value in values.items():
        store.client.log_metric(trial, "final/stress_auc_mean", value)
    subject = read_subject(store.client, ["dropout-study"], baseline=None)
    assert {str(row.run_id): row.metrics["stress_auc_mean"] for row in subject.rows} == values
    assert [row.run_id for row in subject.rows] == list(store.trials)
    assert "stress_auc_mean" not in subject.rows[0].intervals


def test_of_a_loss_the_lowest_is_first(store: Store) -> None:
    store.client.set_tag(store.study_run, "metric", "val_loss")
    store.client.set_tag(store.study_run, "direction", "minimize")
    subject = read_subject(store.client, ["dropout-study"], baseline=store.single)
    losses = [row.metrics["val_loss"] for row in subject.rows]
    assert losses == sorted(losses)


def test_a_run_that_has_not_finished_is_refused(store: Store) -> None:
    with pytest.raises(TrackingError, match=f"run {store.interrupted[:8]} "):
        read_subject(store.client, [store.interrupted], baseline=None)
