"""What the epochs of a training have brought: the live state, and what the stages of a finished one have reached."""

from __future__ import annotations

import pytest
from helpers.records import nine_epochs, record

from mobilenet_chest.config import Config, parse
from mobilenet_chest.training.epochs import reached, summarize_epochs


@pytest.fixture
def config() -> Config:
    return nine_epochs()


HISTORY = [record(1, 0.6), record(1, 0.7, seconds=4.0), record(2, 0.9, seconds=8.0), record(2, 0.8, seconds=10.0)]


def test_the_state_after_some_epochs(config: Config) -> None:
    state = summarize_epochs(config, 4, HISTORY, "val_auc")
    assert (state.done, state.stage, state.metric) == (4, 2, "val_auc")
    assert state.total == 2 + 6  # patience has ended stage 1 after two of its three epochs
    assert (state.values, state.best) == ((0.6, 0.7, 0.9, 0.8), 0.9)
    assert (state.loss, state.images_per_second) == (pytest.approx(0.2), 100.0)
    assert state.stage_seconds == {1: 3.0, 2: 9.0}
    assert state.seconds_left({}) == 4 * 9.0


def test_before_the_first_epoch(config: Config) -> None:
    state = summarize_epochs(config, 0, [], "val_auc")
    assert (state.done, state.total, state.stage, state.values, state.best) == (0, 9, 1, (), None)
    assert state.seconds_left({}) is None
    assert state.seconds_left({1: 1.0, 2: 2.0}) == 3 * 1.0 + 6 * 2.0


def test_the_time_of_a_stage_that_was_not_reached_is_that_of_other_trials(config: Config) -> None:
    state = summarize_epochs(config, 2, HISTORY[:2], "val_auc")
    assert state.seconds_left({}) is None
    assert state.seconds_left({1: 100.0, 2: 5.0}) == 1 * 3.0 + 6 * 5.0


def test_a_stage_1_that_was_reused_has_no_values(config: Config) -> None:
    state = summarize_epochs(config, 5, HISTORY[2:], "val_auc")
    assert (state.done, state.total, state.values) == (5, 9, (0.9, 0.8))


def test_folds_to_come_take_as_long_each() -> None:
    data = {"folds": 5, "fold": 3}
    config = parse({"name": "x", "stage1": {"epochs": 1}, "stage2": {"epochs": 2}, "data": data})
    state = summarize_epochs(config, 2, [record(1, 0.6), record(2, 0.7)], "val_auc", folds=5)
    assert (state.fold, state.folds) == (3, 5)
    assert state.seconds_left({}) == 2.0 + 1 * (1 + 2) * 2.0


def test_what_the_stages_have_reached(config: Config) -> None:
    history = [record(1, 0.6, 0.9), record(1, 0.7, 0.8), record(2, 0.9, 0.9), record(2, 0.9, 0.7)]
    assert reached(config, history, "val_auc") == {
        "metric": "val_auc",
        "best_epoch": 3,  # by val_accuracy; of equal values the later, as in the choice of a run's epoch
        "stage1": {"epochs": 2, "best_epoch": 2, "best": 0.7},
        "stage2": {"epochs": 2, "best_epoch": 4, "best": 0.9},
    }
    assert "stage2" not in reached(config, history[:2], "val_auc")
