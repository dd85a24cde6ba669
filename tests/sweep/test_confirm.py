"""The leaders of a study again on fresh seeds: what is trained, what is chosen, and how it is resumed."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pandas as pd
import pytest
from helpers.confirmations import CountedEpochs, confirm_runs, store_study
from helpers.workers import sweep_with_workers
from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts

from mobilenet_chest.config import Config, StudyConfig
from mobilenet_chest.data.dataset import load_train_val
from mobilenet_chest.evaluation.optimism import crossfit_mean, optimism
from mobilenet_chest.sweep import remaining_confirmations, run_sweep, trial_run
from mobilenet_chest.sweep.attributes import CONFIRMS, GONE
from mobilenet_chest.sweep.confirm import find_confirmation, fresh_seeds
from mobilenet_chest.sweep.repair import reconcile
from mobilenet_chest.sweep.stored_study import open_or_create
from mobilenet_chest.tracking.run_metrics import metrics_of
from mobilenet_chest.tracking.runs import best_of_study, find_runs, nested_runs
from mobilenet_chest.training import loop

Make = Callable[..., Config]

RANGE = {"stage2.lr": {"low": 1e-4, "high": 1e-2, "log": True}}


def checkpoints(run_id: str) -> list[str]:
    return [file.path for file in MlflowClient().list_artifacts(run_id, "checkpoints")]


@pytest.mark.slow
def test_leaders_are_trained_again_and_the_best_mean_is_chosen(here: Path, tiniest_search: Make) -> None:
    config = tiniest_search(RANGE, {"tracking.keep_checkpoints": 1}, trials=2, confirm={"top": 2, "seeds": 2})
    assert remaining_confirmations(config) == 4
    result = run_sweep(config)
    assert remaining_confirmations(config) == 0
    assert (result.complete, result.new_trials, [trial.number for trial in result.trials]) == (True, 2, [0, 1])
    confirmation = result.confirmed
    assert confirmation is not None

    # both trials, on seeds of their own
    by_value = sorted(result.trials, key=lambda trial: -(trial.value or 0))
    assert {leader.number for leader in confirmation.leaders} == {0, 1}
    assert confirmation.seeds == tuple(fresh_seeds(config))
    assert len({*confirmation.seeds, config.seed}) == 3
    nested = {(run.data.tags["trial"], run.data.tags["confirm_seed"]): run for run in confirm_runs(result)}
    assert len(nested) == len(confirm_runs(result)) == 4
    for trial in by_value:
        for seed in confirmation.seeds:
            run = nested[str(trial.number), str(seed)]
            assert run.data.params["seed"] == str(seed)
            assert float(run.data.params["stage2.lr"]) == trial.params["stage2.lr"]
            assert (run.info.status, run.data.tags["study"]) == ("FINISHED", "tiny")

    # what came of it, computed again from the runs
    values = {
        leader.number: [metrics_of(nested[str(leader.number), str(seed)])["val_auc"] for seed in confirmation.seeds]
        for leader in confirmation.leaders
    }
    assert {leader.number: list(leader.values) for leader in confirmation.leaders} == values
    assert confirmation.trial == max(values, key=lambda number: statistics.mean(values[number]))
    assert confirmation.value == pytest.approx(statistics.mean(values[confirmation.trial]))
    chosen = MlflowClient().get_run(confirmation.run_id)
    assert metrics_of(chosen)["val_auc"] == min(values[confirmation.trial])  # of two middles the worse
    assert confirmation.claimant == result.best.number == by_value[0].number
    assert by_value[0].value is not None
    assert confirmation.optimism == optimism(by_value[0].value, values[confirmation.claimant])
    assert confirmation.crossfit == crossfit_mean(np.array([values[trial.number] for trial in by_value]))

    # what the study's run says, and stands for
    client = MlflowClient()
    parent = client.get_run(result.run_id)
    assert parent.data.tags["confirmed_run"] == confirmation.run_id
    assert parent.data.tags["best_run"] == result.best.run_id
    logged = {name: metrics_of(parent)[name] for name in ("optimism", "optimism_low", "optimism_high")}
    assert list(logged.values()) == [confirmation.optimism.value, confirmation.optimism.low, confirmation.optimism.high]
    assert metrics_of(parent)["confirmed_val_auc"] == confirmation.value
    assert metrics_of(parent)["confirmed_val_auc_crossfit"] == confirmation.crossfit
    assert find_runs(client, "tiny")[0].run_id == best_of_study(client, parent).run_id == confirmation.run_id
    assert find_runs(client, confirmation.run_id)[0].study is None
    table = pd.read_csv(download_artifacts(f"runs:/{result.run_id}/confirmation.csv"))
    assert list(table["trial"]) == [leader.number for leader in confirmation.leaders]
    page = Path(download_artifacts(f"runs:/{result.run_id}/plots/study.html")).read_text(encoding="utf-8")
    assert f"confirmed: trial {confirmation.trial}, val_auc {confirmation.value:.4f}" in page
    assert f"optimism: trial {confirmation.claimant} claimed {by_value[0].value:.4f}" in page
    assert {run.info.run_id for run in nested.values() if checkpoints(run.info.run_id)} == {confirmation.run_id}
    assert checkpoints(by_value[0].run_id or "")  # of the search's own best, as ever

    # the same again: nothing is trained, and the same is said
    again = run_sweep(config)
    assert (again.confirmed, again.complete, again.run_id) == (confirmation, True, result.run_id)
    assert len(confirm_runs(result)) == 4


@pytest.mark.slow
def test_a_finished_study_is_confirmed_later_and_seeds_are_added(here: Path, tiniest_search: Make) -> None:
    store_study(tiniest_search(RANGE, trials=1, confirm={"seeds": 2}), [0.0], {})
    plain = run_sweep(tiniest_search(RANGE, trials=1))
    assert (plain.confirmed, plain.complete) == (None, True)
    first = run_sweep(tiniest_search(RANGE, trials=1, confirm={"top": 3, "seeds": 2}))  # there is one leader only
    assert first.new_trials == 0
    assert first.confirmed is not None
    before = {run.info.run_id for run in confirm_runs(first)}
    more = tiniest_search(RANGE, trials=1, confirm={"top": 1, "seeds": 3})
    assert remaining_confirmations(more) == 1
    second = run_sweep(more)
    assert second.confirmed is not None
    (old,), (new,) = first.confirmed.leaders, second.confirmed.leaders
    assert new.run_ids[:2] == old.run_ids
    assert before < {run.info.run_id for run in confirm_runs(second)} == set(new.run_ids)
    client = MlflowClient()
    assert client.get_run(plain.run_id).data.tags["confirmed_run"] == second.confirmed.run_id
    # with one more trial the leader may be another one, and is not confirmed yet
    third = run_sweep(tiniest_search(RANGE, trials=2))
    assert (third.confirmed, third.new_trials) == (None, 1)
    assert client.get_run(plain.run_id).data.tags["confirmed_run"] == ""
    assert find_runs(client, "tiny")[0].run_id == third.best.run_id


@pytest.mark.slow
def test_an_interrupted_confirmation_goes_on(here: Path, tiniest_search: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tiniest_search(RANGE, trials=1, confirm={"top": 1, "seeds": 2})
    store_study(config, [0.9], {})
    # there are two epochs: the first training on a fresh seed has ended, and the second one's first epoch
    counting = CountedEpochs(stop_at=4)
    monkeypatch.setattr(loop, "train_epoch", counting)
    with pytest.raises(KeyboardInterrupt):
        run_sweep(config)
    assert remaining_confirmations(config) == 1
    (study,) = MlflowClient().search_runs(
        [MlflowClient().get_experiment_by_name("tiny").experiment_id], "tags.kind = 'study'"
    )
    assert study.info.status == "KILLED"
    assert "confirmed_run" not in study.data.tags
    counting.stop_at = None
    result = run_sweep(config)
    # only the interrupted training, without its saved epoch
    assert counting.calls == 5
    assert result.complete
    assert {run.info.status for run in confirm_runs(result)} == {"FINISHED"}
    assert len(confirm_runs(result)) == 2
    assert MlflowClient().get_run(result.run_id).info.status == "FINISHED"


@pytest.mark.slow
def test_a_leader_that_fails_on_a_fresh_seed_is_not_chosen(
    here: Path, tiniest_search: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiniest_search(RANGE, trials=2, confirm={"top": 2, "seeds": 2})
    store_study(config, [0.8, 0.9], {})
    real = trial_run.train

    def train(trial_config: Config, *given: Any, **named: Any) -> Any:
        if (trial_config.seed, trial_config.stage2.lr) == (fresh_seeds(config)[0], 2e-3):
            raise RuntimeError("it does not train")
        return real(trial_config, *given, **named)

    monkeypatch.setattr(trial_run, "train", train)
    result = run_sweep(config)
    assert result.complete
    assert result.confirmed is not None
    assert result.confirmed.left_out == (1,)
    assert [leader.number for leader in result.confirmed.leaders] == [result.confirmed.claimant] == [0]


@pytest.mark.slow
@pytest.mark.parametrize("resampling", ["reshuffle", "kfold"])
def test_where_trials_vary_the_rows_fresh_seeds_do_too(here: Path, tiniest_search: Make, resampling: str) -> None:
    folds = {"folds": 2} if resampling == "kfold" else {}
    config = tiniest_search(RANGE, trials=1, resampling=resampling, confirm={"top": 1, "seeds": 2}, **folds)
    store_study(config, [0.9], {})
    result = run_sweep(config)
    assert result.confirmed is not None
    client, runs = MlflowClient(), confirm_runs(result)
    assert {run.data.params["data.split_seed"] for run in runs} == {str(seed) for seed in fresh_seeds(config)}
    if resampling == "reshuffle":
        digests = {run.data.tags["data_digest"] for run in runs}
        assert len(digests | {load_train_val(config.data).digest}) == 3
        return
    assert {run.data.tags["folds"] for run in runs} == {"2"}
    of_folds = [nested_runs(client, run.info.run_id) for run in runs]
    assert [len(runs_of_folds) for runs_of_folds in of_folds] == [2, 2]
    assert len({run.data.tags["data_digest"] for runs_of_folds in of_folds for run in runs_of_folds}) == 4
    # the chosen one can be made a model of: its folds have their checkpoints, and the others' have not
    kept = {run.info.run_id for runs_of_folds in of_folds for run in runs_of_folds if checkpoints(run.info.run_id)}
    assert kept == {run.info.run_id for run in nested_runs(client, result.confirmed.run_id)}


FRESH = {1: [0.6, 0.7, 0.8, 0.65], 2: [0.8, 0.7, 0.9, 0.8]}


@pytest.mark.parametrize(
    ("metric", "direction", "claims", "fresh", "chosen", "run_id", "optimistic"),
    [
        # the second leader is the better one; of two middles the worse
        ("val_auc", "maximize", [0.7, 0.9, 0.8], FRESH, 2, "2-0.8", 0.2125),
        ("val_loss", "minimize", [0.7, 0.3, 0.4], FRESH, 1, "1-0.7", 0.3875),
        # equal means: the one that claimed more
        ("val_auc", "maximize", [0.9, 0.8, 0.7], {0: [0.75, 0.5, 1.0, 0.75], 1: [0.75] * 4}, 0, "0-0.75", 0.15),
    ],
)  # fmt: skip
def test_who_is_chosen(
    tracking: Path, tiniest_search: Make, metric: str, direction: str, claims: list[float],
    fresh: dict[int, list[float | None]], chosen: int, run_id: str, optimistic: float,
) -> None:  # fmt: skip
    config = tiniest_search(RANGE, trials=3, metric=metric, direction=direction, confirm={"top": 2, "seeds": 4})
    confirmation = find_confirmation(config, store_study(config, claims, fresh), "sqlite:///optuna.db")
    assert confirmation is not None
    assert (confirmation.trial, confirmation.run_id) == (chosen, run_id)
    assert confirmation.optimism.value == pytest.approx(optimistic)


def test_nothing_is_chosen_where_each_leader_failed_once(tracking: Path, tiniest_search: Make) -> None:
    config = tiniest_search(RANGE, trials=2, confirm={"top": 2, "seeds": 2})
    study = store_study(config, [0.7, 0.9], {0: [0.8, None], 1: [None, 0.8]})
    assert find_confirmation(config, study, "sqlite:///optuna.db") is None
    assert remaining_confirmations(config) == 0


def test_a_study_and_its_confirmation_look_after_runs_of_their_own(tracking: Path, tiniest_search: Make) -> None:
    config, url, client = tiniest_search(RANGE, trials=1), "sqlite:///optuna.db", MlflowClient()
    study = open_or_create(config, url)
    confirming = open_or_create(config.model_copy(update={"study": StudyConfig(name="tiny/confirm")}), url)
    confirming.set_user_attr(CONFIRMS, "tiny")
    experiment = client.create_experiment("tiny")
    parent = client.create_run(experiment).info.run_id
    runs = {
        kind: client.create_run(experiment, tags={"kind": kind, kind: "0", "mlflow.parentRunId": parent}).info.run_id
        for kind in ("trial", "confirm")
    }  # both say that they are running, and no trial of either study is
    assert reconcile(study, url, parent) == [f"run {runs['trial'][:8]}: nobody works on its trial any more, KILLED"]
    assert client.get_run(runs["confirm"]).info.status == "RUNNING"
    assert reconcile(confirming, url, parent) == [
        f"run {runs['confirm'][:8]}: nobody works on its trial any more, KILLED"
    ]


@pytest.mark.slow
def test_two_workers_share_a_confirmation(tracking: Path, tiniest_search: Make) -> None:
    config = tiniest_search(RANGE, trials=2, confirm={"top": 1, "seeds": 3})
    store_study(config, [0.9, 0.8], {})
    result, seen = sweep_with_workers(config, 2, tracking)
    assert (result.complete, result.new_trials) == (True, 0)
    assert result.confirmed is not None
    assert set(result.confirmed.leaders[0].run_ids) == {run.info.run_id for run in confirm_runs(result)}
    assert all(status.confirming and status.total == 3 for status in seen)
    assert {trial.number for status in seen for trial in status.running} == {0}
    assert seen[-1].states == {"COMPLETE": 3}


def test_a_training_whose_run_was_deleted_leaves_its_leader_out(here: Path, tiniest_search: Make) -> None:
    config = tiniest_search(RANGE, trials=2, confirm={"top": 2, "seeds": 2})
    study = store_study(config, [0.9, 0.8], {0: [0.7, 0.7], 1: [0.6, 0.6]})
    url = "sqlite:///optuna.db"
    whole = find_confirmation(config, study, url)
    assert whole is not None
    assert whole.trial == 0
    confirming = optuna.load_study(study_name="tiny/confirm", storage=url)
    numbers: dict[int, list[int]] = {0: [], 1: []}
    for trial in confirming.get_trials():
        numbers[trial.user_attrs[CONFIRMS]["trial"]].append(trial.number)
    first, second = numbers[0], numbers[1]
    confirming.set_user_attr(GONE, first[:1])
    left = find_confirmation(config, study, url)
    assert left is not None
    assert (left.trial, left.left_out) == (1, (0,))
    confirming.set_user_attr(GONE, [*first, *second])
    assert find_confirmation(config, study, url) is None


@pytest.mark.slow
def test_confirmations_that_were_all_deleted_are_named_no_more(here: Path, tiniest_search: Make) -> None:
    settings = {"top": 1, "seeds": 2}
    store_study(tiniest_search(RANGE, trials=1, confirm=settings), [0.9], {})
    without = run_sweep(tiniest_search(RANGE, trials=1))
    assert "study.confirm.seeds" not in json.loads(MlflowClient().get_run(without.run_id).data.tags["settings"])
    config = tiniest_search(RANGE, trials=1, confirm=settings)
    result = run_sweep(config)
    assert result.confirmed is not None
    parent = MlflowClient().get_run(result.run_id)
    assert parent.data.tags["confirmed_run"] == result.confirmed.run_id
    assert json.loads(parent.data.tags["settings"])["study.confirm.seeds"] == 2
    for run in confirm_runs(result):
        MlflowClient().delete_run(run.info.run_id)
    again = run_sweep(config)
    assert again.confirmed is None
    assert MlflowClient().get_run(result.run_id).data.tags["confirmed_run"] == ""
    assert best_of_study(MlflowClient(), MlflowClient().get_run(result.run_id)).run_id == result.best.run_id
    assert run_sweep(config).confirmed is None
