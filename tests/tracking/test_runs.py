"""What a name on the command line stands for, and which trial of a study is its best."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from mlflow import MlflowClient

from mobilenet_chest.errors import TrackingError
from mobilenet_chest.tracking import runs
from mobilenet_chest.tracking.run_metrics import metrics_of
from mobilenet_chest.tracking.runs import nested_runs

if TYPE_CHECKING:
    from helpers.stores import Store

NOWHERE = "0" * 32


def add_study(client: MlflowClient, name: str, metric: str = "val_auc", direction: str = "maximize") -> str:
    found = client.get_experiment_by_name("made")
    experiment = found.experiment_id if found else client.create_experiment("made")
    tags = {"kind": "study", "study": name, "metric": metric, "direction": direction}
    return str(client.create_run(experiment, run_name=name, tags=tags).info.run_id)


def add_trial(
    client: MlflowClient, study: str, number: int, state: str = "COMPLETE", status: str = "FINISHED", **metrics: float
) -> str:
    parent = client.get_run(study)
    tags = {"kind": "trial", "trial": str(number), "trial_state": state, "mlflow.parentRunId": study}
    run_id = str(client.create_run(parent.info.experiment_id, tags=tags).info.run_id)
    for metric, value in metrics.items():
        client.log_metric(run_id, metric, value)
    client.set_terminated(run_id, status)
    return run_id


class SmallPages(MlflowClient):
    """A store that never gives more than two runs at a time."""

    def search_runs(self, *args: Any, max_results: int = 2, **kwargs: Any) -> Any:
        return super().search_runs(*args, max_results=min(2, max_results), **kwargs)


class TestFind:
    def test_a_run_id_is_that_run(self, store: Store) -> None:
        (found,) = runs.find_runs(store.client, store.trials[1])
        assert (found.run_id, found.name, found.study) == (store.trials[1], "dropout-study-1", None)

    def test_the_first_digits_of_an_id_are_enough(self, store: Store) -> None:
        run_id = store.trials[1]
        (found,) = runs.find_runs(store.client, run_id[:8])
        assert found.run_id == run_id
        assert runs.get_run(store.client, run_id[:12]).info.run_id == run_id
        assert runs.full_id(store.client, run_id[:8]) == runs.full_id(store.client, run_id) == run_id
        assert runs.find_study(store.client, store.study_run[:8]).info.run_id == store.study_run
        (best,) = runs.find_runs(store.client, store.study_run[:8])
        assert best.run_id == store.trials[store.best]

    def test_first_digits_of_several_runs(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        """Ids are random, so digits that two share are made from what the store answers."""
        both = [store.client.get_run(run_id) for run_id in store.trials[:2]]
        monkeypatch.setattr(runs, "search_runs", lambda client, experiments, query: both if "LIKE" in query else [])
        with pytest.raises(TrackingError) as caught:
            runs.get_run(store.client, "abcd")
        assert all(run_id[:8] in str(caught.value) for run_id in store.trials[:2])

    @pytest.mark.parametrize("digits", ["abc", "ABCD", "xyzw", "0000000"])
    def test_digits_that_name_no_run(self, store: Store, digits: str) -> None:
        assert runs.full_id(store.client, digits) == digits
        with pytest.raises(TrackingError, match=digits):
            runs.get_run(store.client, digits)

    def test_the_id_of_a_study_run_is_its_best_trial(self, store: Store) -> None:
        (found,) = runs.find_runs(store.client, store.study_run)
        assert found.run_id == store.trials[store.best]
        assert found.study is not None
        assert found.study.info.run_id == store.study_run

    def test_a_study_name_is_its_best_trial(self, store: Store) -> None:
        (found,) = runs.find_runs(store.client, "dropout-study")
        reached = [metrics_of(store.run(trial))["val_auc"] for trial in store.trials]
        assert found.run_id == store.trials[reached.index(max(reached))] == store.trials[store.best]
        assert found.name == "dropout-study"

    def test_an_experiment_is_its_studies_and_finished_trainings(self, store: Store) -> None:
        found = runs.find_runs(store.client, "tiny-runs")
        assert [(c.run_id, c.study is not None) for c in found] == [
            (store.trials[store.best], True),
            (store.single, False),
        ]

    def test_find_run_wants_a_single_run(self, store: Store) -> None:
        with pytest.raises(TrackingError) as caught:
            runs.find_run(store.client, "tiny-runs")
        for fact in (
            "'tiny-runs'",
            " 2 runs",
            f"dropout-study ({store.trials[store.best][:8]})",
            f"single ({store.single[:8]})",
        ):
            assert fact in str(caught.value)

    @pytest.mark.parametrize(
        ("reference", "meant"), [("dropout-studdy", "dropout-study"), ("DROPOUT-STUDY", "dropout-study")]
    )
    def test_an_unknown_name_gets_the_nearest(self, store: Store, reference: str, meant: str) -> None:
        with pytest.raises(TrackingError) as caught:
            runs.find_runs(store.client, reference)
        for fact in (f"'{reference}'", f"did you mean '{meant}'?", "dropout-study, tiny-runs"):
            assert fact in str(caught.value)
        assert caught.value.exit_code == 2

    def test_an_unknown_name_far_from_all_gets_the_list_only(self, store: Store) -> None:
        with pytest.raises(TrackingError, match="dropout-study, tiny-runs") as caught:
            runs.find_runs(store.client, "zzzzzz")
        assert "did you mean" not in str(caught.value)

    def test_an_unknown_run_id_says_what_lists_them(self, store: Store) -> None:
        with pytest.raises(TrackingError, match=f"{NOWHERE} at .*mobilenet-chest compare"):
            runs.find_runs(store.client, NOWHERE)

    def test_an_empty_store_says_what_to_do(self, tracking: Path) -> None:
        with pytest.raises(TrackingError, match=r"sweep\.py"):
            runs.find_runs(MlflowClient(), "anything")

    def test_an_experiment_without_finished_run_says_so(self, tracking: Path) -> None:
        client = MlflowClient()
        client.create_experiment("begun")
        with pytest.raises(TrackingError, match="'begun'"):
            runs.find_runs(client, "begun")

    def test_a_deleted_experiment_is_not_found(self, store: Store) -> None:
        experiment = store.client.get_experiment_by_name("tiny-runs")
        assert experiment is not None
        store.client.delete_experiment(experiment.experiment_id)
        with pytest.raises(TrackingError, match="'tiny-runs'"):
            runs.find_runs(store.client, "tiny-runs")


class TestBestTrial:
    @pytest.mark.parametrize(("metric", "direction", "best"), [("val_auc", "maximize", 1), ("val_loss", "minimize", 0)])
    def test_by_the_metric_and_direction_of_the_study(
        self, tracking: Path, metric: str, direction: str, best: int
    ) -> None:
        client = MlflowClient()
        study = add_study(client, "s", metric, direction)
        trials = [
            add_trial(client, study, 0, val_auc=0.6, val_loss=0.3),
            add_trial(client, study, 1, val_auc=0.9, val_loss=0.5),
            add_trial(client, study, 2, val_auc=0.7, val_loss=0.9),
        ]
        assert runs.find_run(client, "s").run_id == trials[best]

    def test_never_a_failed_a_pruned_an_interrupted_or_a_nan_trial(self, tracking: Path) -> None:
        client = MlflowClient()
        study = add_study(client, "s")
        add_trial(client, study, 0, state="PRUNED", val_auc=0.99)
        add_trial(client, study, 1, state="FAIL", status="FAILED", val_auc=0.98)
        add_trial(client, study, 2, val_auc=math.nan)
        add_trial(client, study, 3, state="INTERRUPTED", status="KILLED", val_auc=0.97)
        add_trial(client, study, 4, val_loss=0.1)
        worst = add_trial(client, study, 5, val_auc=0.2)
        assert runs.find_run(client, "s").run_id == worst

    def test_a_study_of_nothing_but_those_has_none(self, tracking: Path) -> None:
        client = MlflowClient()
        study = add_study(client, "s")
        add_trial(client, study, 0, state="PRUNED", val_auc=0.99)
        with pytest.raises(TrackingError, match=r"'s' .*sweep\.py"):
            runs.find_runs(client, "s")
        assert runs.find_all(client, [client.get_run(study).info.experiment_id]) == []

    def test_the_earlier_of_two_equal_ones(self, tracking: Path) -> None:
        client = MlflowClient()
        study = add_study(client, "s")
        add_trial(client, study, 10, val_auc=0.8)
        earlier = add_trial(client, study, 9, val_auc=0.8)
        assert runs.find_run(client, "s").run_id == earlier

    def test_of_its_own_study_only(self, tracking: Path) -> None:
        client = MlflowClient()
        mine, other = add_study(client, "mine"), add_study(client, "other")
        trial = add_trial(client, mine, 0, val_auc=0.5)
        add_trial(client, other, 0, val_auc=0.9)
        assert runs.find_run(client, "mine").run_id == trial

    def test_from_every_page_of_the_store(self, tracking: Path) -> None:
        client = SmallPages()
        study = add_study(client, "s")
        # MLflow gives the newest first: the best one stands on the last page
        best, *_ = trials = [add_trial(client, study, number, val_auc=0.9 - number / 10) for number in range(5)]
        page = client.search_runs([client.get_run(study).info.experiment_id], "tags.kind = 'trial'")
        assert len(page) == 2
        assert {run.info.run_id for run in nested_runs(client, study)} == set(trials)
        assert runs.find_run(client, "s").run_id == best
