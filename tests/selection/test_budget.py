"""How much selection stands behind a run, and what is said where a baseline had less or more."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from mlflow import MlflowClient

from mobilenet_chest.selection import budget as module
from mobilenet_chest.selection.budget import Budget, budget, budget_difference, budgets
from mobilenet_chest.selection.compare import compare
from mobilenet_chest.tracking.run_settings import settings_of
from mobilenet_chest.tracking.runs import Candidate, find_run

if TYPE_CHECKING:
    from helpers.stores import Store


def test_a_study_s_best_is_chosen_from_its_trials(store: Store) -> None:
    client = store.client
    selected_from = budget(client, find_run(client, store.study_run))
    tried = len(store.trials)
    assert selected_from == Budget(trials=tried, members=1, seeds=0, epochs=6, thresholds=41, resampling="holdout")
    # a trial that is named by itself was chosen all the same
    assert budget(client, find_run(client, store.trials[0])) == selected_from


def test_a_training_of_its_own_is_chosen_from_nothing_but_epochs_and_thresholds(store: Store) -> None:
    selected_from = budget(store.client, find_run(store.client, store.single))
    assert (selected_from.trials, selected_from.seeds, selected_from.members) == (1, 0, 1)
    assert (selected_from.epochs, selected_from.thresholds) == (6, 41)


def test_a_confirmed_study_says_on_how_many_seeds(store: Store) -> None:
    client = store.client
    client.set_tag(store.study_run, "confirmed_run", store.trials[0])
    settings = settings_of(store.run(store.study_run)) | {"study.confirm.seeds": 5}
    client.set_tag(store.study_run, "settings", json.dumps(settings))
    assert budget(client, find_run(client, store.study_run)).seeds == 5
    client.set_tag(store.study_run, "confirmed_run", "")
    assert budget(client, find_run(client, store.study_run)).seeds == 0


def test_an_ensemble_counts_its_members(store: Store) -> None:
    store.client.set_tag(store.single, "members", ",".join(store.trials))
    assert budget(store.client, find_run(store.client, store.single)).members == len(store.trials)


def test_the_store_is_asked_once_for_all(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    client, asked, real = store.client, [], module.search_runs
    candidates = [find_run(client, run_id) for run_id in (*store.trials, store.single)] * 100

    def search(*given: Any) -> Any:
        asked.append(given)
        return real(*given)

    class Silent(MlflowClient):
        def get_run(self, run_id: str) -> Any:
            raise AssertionError(f"asked for run {run_id}")

    monkeypatch.setattr(module, "search_runs", search)
    assert len(budgets(Silent(), candidates)) == len(candidates)
    assert len(asked) == 1
    # runs that have their study with them, or none, need not be asked for at all
    study = client.get_run(store.study_run)
    assert budgets(Silent(), [Candidate(client.get_run(store.trials[0]), study)])[0].trials == len(store.trials)
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("first", "second", "difference"),
    [
        (Budget(), Budget(), None),
        (Budget(50), Budget(50), None),
        (Budget(50), Budget(), "chosen from 50 trials, the baseline from 1 trial: its metrics are optimistic"),
        (
            Budget(),
            Budget(20),
            "chosen from 1 trial, the baseline from 20 trials: the baseline's metrics are optimistic",
        ),
        # fresh seeds measure the chosen trial anew: no optimism
        (Budget(50, seeds=5), Budget(), "chosen from 50 trials and 5 fresh seeds, the baseline from 1 trial"),
        (
            Budget(20, seeds=5),
            Budget(20),
            "chosen from 20 trials and 5 fresh seeds, the baseline from 20 trials",
        ),
        (Budget(members=5), Budget(), "5 trainings averaged, the baseline 1"),
        (
            Budget(epochs=150, thresholds=41),
            Budget(epochs=60, thresholds=1),
            "150 epochs at most, the baseline 60; 41 thresholds, the baseline 1",
        ),
        (Budget(resampling="kfold"), Budget(), "resampling kfold, the baseline holdout"),
    ],
)
def test_how_two_budgets_differ(first: Budget, second: Budget, difference: str | None) -> None:
    assert budget_difference(first, second) == difference


def test_compare_gives_it_for_each_row(store: Store) -> None:
    base, best = compare([store.study_run], baseline=store.single)
    assert base.selection is None
    assert best.selection == "chosen from 2 trials, the baseline from 1 trial: its metrics are optimistic"
    # without a baseline there is nothing to compare with
    assert compare([store.study_run])[0].selection is None
