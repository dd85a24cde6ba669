"""A trial at its rungs: paused with its checkpoint, it goes on as if it had run through."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers.killed import killed_in, sweep_killed_at
from helpers.sweeps import artifact_paths, runs_by_trial, stored_trials
from mlflow import MlflowClient
from optuna.trial import TrialState

from mobilenet_chest import cache
from mobilenet_chest.config import Config
from mobilenet_chest.errors import PromotionRefused, TrackingError
from mobilenet_chest.registry.promote import promote
from mobilenet_chest.sweep import lease, run_sweep
from mobilenet_chest.tracking import tags
from mobilenet_chest.tracking.run_metrics import metric_history, metrics_of
from mobilenet_chest.tracking.runs import find_study, nested_runs, top_trials

Make = Callable[..., Config]

FIVE = {
    "model": {"name": "timm:mobilenetv2_050", "weights": "none", "hidden": [8]},
    "stage1": {"epochs": 2},
    "stage2": {"epochs": 3, "patience": None},
}
ONE = {"stage2.lr": {"choices": [1e-3]}}
THREE = {"stage2.lr": {"choices": [1e-3, 2e-3, 4e-3]}}
TIMED = ("epoch_seconds", "images_per_second", "train_seconds", "saved_seconds")


def asha(**fields: int) -> dict[str, Any]:
    return {"scheduler": "asha", "asha": fields}


def histories(run_id: str | None) -> dict[str, list[tuple[int, float]]]:
    assert run_id is not None
    client = MlflowClient()
    return {
        name: [(point.step, point.value) for point in metric_history(client, run_id, name)]
        for name in metrics_of(client.get_run(run_id))
        if name not in TIMED
    }


@pytest.mark.parametrize(
    ("first", "rungs"),
    [(1, [1, 3]), *(pytest.param(rung, [rung], marks=pytest.mark.slow) for rung in (2, 4))],
    ids=["in stage 1 and in stage 2", "at the end of stage 1", "before the last epoch"],
)
def test_a_thawed_trial_equals_one_that_ran_through(
    here: Path, tiny_search: Make, first: int, rungs: list[int]
) -> None:
    whole = run_sweep(tiny_search(ONE, FIVE | {"name": "whole"}, trials=1))
    cache.clear()  # or stage 1 would be reused, and not trained up to its rung
    result = run_sweep(tiny_search(ONE, FIVE, trials=1, **asha(first=first)))
    (trial,) = stored_trials()
    assert (trial.state, trial.number, result.best.label) == (TrialState.COMPLETE, 0, "0")
    assert sorted(trial.intermediate_values) == rungs
    assert trial.user_attrs["passed_rung"] == rungs[-1]
    assert trial.user_attrs["paused"] is None
    assert histories(result.best.run_id) == histories(whole.best.run_id)
    assert trial.value == whole.best.value
    assert trial.user_attrs["trainings"] == stored_trials("whole")[0].user_attrs["trainings"]
    (run,) = nested_runs(MlflowClient(), result.run_id)
    assert (run.info.status, run.data.tags["trial_state"]) == ("FINISHED", "COMPLETE")
    assert artifact_paths(run.info.run_id, "checkpoints") == {"checkpoints/best.pt", "checkpoints/stage1_best.pt"}


def test_trials_that_reuse_stage_1_are_paused_right_after_it(here: Path, tiny_search: Make) -> None:
    """All have the same value there, so the first is the best, and goes on alone."""
    values = {"stage1": {"epochs": 2}, "stage2": {"epochs": 1}}
    config = tiny_search(THREE, values, trials=3, sampler="grid", **asha(first=2))
    result = run_sweep(config)
    assert [trial.state for trial in result.trials] == ["COMPLETE", "PAUSED", "PAUSED"]
    assert len({trial.value for trial in result.trials[1:]}) == 1
    assert result.complete
    assert result.stage1["stage1_epochs_trained"] == 2
    stored = stored_trials()
    assert [sorted(trial.intermediate_values) for trial in stored] == [[2], [2], [2]]
    assert [trial.user_attrs["epochs"]["done"] for trial in stored] == [3, 2, 2]

    # how a paused trial looks
    client, paused = MlflowClient(), result.trials[1]
    assert [trial.state for trial in stored] == [TrialState.COMPLETE, TrialState.RUNNING, TrialState.RUNNING]
    assert [trial.user_attrs.get("paused") for trial in stored] == [None, 2, 2]
    assert [trial.user_attrs["worker"] for trial in stored[1:]] == [None, None]
    run = runs_by_trial(result.run_id)[1]
    assert (run.info.run_id, run.info.status) == (paused.run_id, "SCHEDULED")
    assert run.data.tags["trial_state"] == "PAUSED"
    assert "Paused" in run.data.tags["mlflow.note.content"]
    assert tags.RESULT not in run.data.tags
    study = client.get_run(result.run_id)
    assert study.info.status == "FINISHED"
    counts = metrics_of(study)
    assert (counts["trials_complete"], counts["trials_paused"], counts["trials_pruned"]) == (1, 2, 0)
    with pytest.raises(PromotionRefused, match="its trial is PAUSED"):
        promote(str(paused.run_id))
    with pytest.raises(TrackingError, match="1 complete trials, not 2"):
        top_trials(client, find_study(client, "tiny"), 2)

    # the same command again changes nothing
    again = run_sweep(config)
    assert (again.new_trials, again.complete) == (0, True)
    assert [trial.state for trial in again.trials] == ["COMPLETE", "PAUSED", "PAUSED"]
    assert runs_by_trial(result.run_id)[1].info.status == "SCHEDULED"


@pytest.mark.slow
def test_a_study_with_more_trials_goes_on_with_a_paused_one(here: Path, tiny_search: Make) -> None:
    """A trial passes a rung that halves when it is among the better half of those that have come there so far."""
    search = {"stage2.lr": {"choices": [1e-3, 2e-3, 4e-3, 8e-3]}}
    values = {"stage1": {"epochs": 1}, "stage2": {"epochs": 2}}
    first = run_sweep(tiny_search(search, values, trials=3, sampler="grid", **asha(first=2, reduction=2)))
    more = run_sweep(tiny_search(search, values, trials=4, sampler="grid", **asha(first=2, reduction=2)))
    at_rung = {trial.number: trial.intermediate_values[2] for trial in stored_trials()}

    def best_of(trials: int, count: int) -> set[int]:
        return set(sorted(range(trials), key=lambda number: at_rung[number], reverse=True)[:count])

    passed = best_of(2, 1) | best_of(3, 1)
    for result, done in ((first, passed), (more, passed | best_of(4, 2))):
        states = {trial.number: trial.state for trial in result.trials}
        assert states == {number: "COMPLETE" if number in done else "PAUSED" for number in states}
    assert len(runs_by_trial(more.run_id)) == 4
    assert more.complete


@pytest.mark.slow
def test_a_worker_killed_while_it_goes_on_loses_its_epoch_only(
    here: Path, tiny_search: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run_sweep(tiny_search(ONE, FIVE | {"name": "whole"}, trials=1))
    cache.clear()
    config = tiny_search(ONE, FIVE, trials=1, **asha(first=1))
    killed_in(sweep_killed_at, config, "in epoch 5")  # paused after epochs 1 and 3
    (left,) = stored_trials()
    assert (left.state, left.user_attrs["paused"], left.user_attrs["passed_rung"]) == (TrialState.RUNNING, None, 3)
    monkeypatch.setattr(lease, "process_alive", lambda worker: False)
    result = run_sweep(config)
    (ended, done) = stored_trials()
    assert (ended.state, ended.user_attrs["interrupted"]) == (TrialState.FAIL, True)
    assert (done.state, result.best.label) == (TrialState.COMPLETE, "0, second attempt")
    assert done.user_attrs["run_id"] == left.user_attrs["run_id"]
    assert done.intermediate_values == left.intermediate_values
    assert histories(result.best.run_id) == histories(whole.best.run_id)
