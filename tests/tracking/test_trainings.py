"""Trainings of an equal experiment: found by experiment, rows and code."""

from __future__ import annotations

from helpers.stores import Store

from mobilenet_chest.tracking.artifacts import run_config
from mobilenet_chest.tracking.trainings import find_finished_runs, find_finished_training, find_unfinished_training


def found(store: Store, run_id: str, digest: str | None = None, teacher: str | None = None) -> list[str | None]:
    """Ids of the finished and of the unfinished training that are equal to a run."""
    run = store.client.get_run(run_id)
    config, rows = run_config(store.client, run), digest or run.data.tags["data_digest"]
    runs = (find(store.client, config, rows, teacher) for find in (find_finished_training, find_unfinished_training))
    return [None if run is None else run.info.run_id for run in runs]


def test_a_finished_and_an_interrupted_training(store: Store) -> None:
    assert found(store, store.single) == [store.single, None]
    assert found(store, store.interrupted) == [None, store.interrupted]


def test_other_rows_and_another_teacher_are_another_training(store: Store) -> None:
    assert found(store, store.single, digest="0" * 16) == [None, None]
    assert found(store, store.single, teacher="a") == [None, None]


def test_an_experiment_that_is_not_there_has_none(store: Store) -> None:
    assert find_finished_runs(store.client, "nowhere", {}) == []
