"""The run of a trial: an interrupted one is resumed, a finished one is reused, and epochs are reported."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers.sweeps import stored_trials
from helpers.whole_trials import WholeTrial, histories, run_whole
from mlflow import MlflowClient
from optuna.trial import TrialState

from mobilenet_chest import two_stage
from mobilenet_chest.config import Config
from mobilenet_chest.errors import SweepFailed
from mobilenet_chest.sweep import lease, run_sweep, trial_run
from mobilenet_chest.sweep.control import Control
from mobilenet_chest.tracking import artifact_writer
from mobilenet_chest.tracking.run_metrics import metric_history, metrics_of
from mobilenet_chest.tracking.runs import nested_runs

Make = Callable[..., Config]

RANGE = {"stage2.lr": {"low": 1e-4, "high": 1e-2, "log": True}}
FIVE = {
    "stage1": {"epochs": 2},
    "stage2": {"epochs": 3, "patience": None},
}
ASHA = {"study.scheduler": "asha", "study.asha": {"first": 1}, "study.pruner": "none"}


@pytest.fixture(scope="module")
def whole(tiniest_search: Make, tmp_path_factory: pytest.TempPathFactory) -> WholeTrial:
    return run_whole(tiniest_search(RANGE, FIVE, trials=1), tmp_path_factory)


@pytest.mark.parametrize("epochs", [*(pytest.param(epochs, marks=pytest.mark.slow) for epochs in (1, 2, 5)), 4])
def test_an_interrupted_trial_resumes_its_run(
    here: Path, whole: WholeTrial, tiniest_search: Make, driver_dies: Callable[[int], None],
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, epochs: int,
) -> None:  # fmt: skip
    monkeypatch.setattr(artifact_writer, "CHECKPOINT_SECONDS", 0.0)
    config = tiniest_search(RANGE, FIVE | {"tracking.keep_checkpoints": 0}, trials=1)
    driver_dies(epochs)
    with pytest.raises(KeyboardInterrupt):
        run_sweep(config)
    (interrupted, queued) = stored_trials()
    assert (interrupted.state, queued.state) == (TrialState.FAIL, TrialState.WAITING)
    assert interrupted.user_attrs["epochs"]["done"] == epochs
    client = MlflowClient()
    run = client.get_run(interrupted.user_attrs["run_id"])
    assert (run.info.status, run.data.tags["trial_state"]) == ("KILLED", "INTERRUPTED")

    driver_dies(0)
    with caplog.at_level(logging.INFO):
        result = run_sweep(config)
    run_digits = interrupted.user_attrs["run_id"][:8]
    assert f"resumed trial 0 at epoch {epochs} of 5 (of run {run_digits}), 0 of 1 trials finished" in caplog.messages
    assert (result.best.label, result.best.number) == ("0, second attempt", 1)
    (_, done) = stored_trials()
    assert (done.state, done.user_attrs["run_id"]) == (TrialState.COMPLETE, run.info.run_id)
    (nested,) = nested_runs(client, result.run_id)
    assert nested.info.run_id == run.info.run_id
    assert (nested.info.status, nested.data.tags["trial"]) == ("FINISHED", "1")
    assert nested.data.tags["trial_state"] == "COMPLETE"
    assert histories(run.info.run_id) == whole.histories
    assert done.value == whole.value
    assert done.intermediate_values == whole.reports
    assert done.user_attrs["trainings"] == whole.trainings
    assert client.list_artifacts(run.info.run_id, "checkpoints") == []


@pytest.mark.slow
def test_a_trial_whose_run_was_of_other_rows_restarts(
    here: Path, tiniest_search: Make, driver_dies: Callable[[int], None]
) -> None:
    config = tiniest_search(RANGE, FIVE, trials=1)
    driver_dies(3)
    with pytest.raises(KeyboardInterrupt):
        run_sweep(config)
    driver_dies(0)
    client, gone = MlflowClient(), stored_trials()[0].user_attrs["run_id"]
    client.set_tag(gone, "data_digest", "of other rows")
    result: Any = run_sweep(config)
    assert result.best.run_id != gone
    assert client.get_run(gone).info.status == "KILLED"
    steps = [point.step for point in metric_history(client, result.best.run_id, "train_loss")]
    assert steps == [1, 2, 3, 4, 5]


@pytest.mark.slow
def test_a_trial_killed_between_its_runs_end_and_the_study_is_not_trained_again(
    here: Path, tiniest_search: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiniest_search(RANGE, FIVE, trials=1)

    def killed(*_: object) -> None:
        raise SystemExit  # as SIGKILL would: nothing is written any more

    with monkeypatch.context() as patch:
        patch.setattr(trial_run, "remove_last", killed)
        patch.setattr(two_stage, "remove_last", killed)
        with pytest.raises(SystemExit):
            run_sweep(config)
    (left,) = stored_trials()
    assert left.state == TrialState.RUNNING
    run_id = left.user_attrs["run_id"]
    assert len(MlflowClient().list_artifacts(run_id, "checkpoints")) > 2
    before = histories(run_id)
    monkeypatch.setattr(lease, "process_alive", lambda worker: False)
    monkeypatch.setattr(two_stage, "train_stage2", killed)
    result = run_sweep(config)
    assert result.best.run_id == run_id
    assert histories(run_id) == before
    (_, done) = stored_trials()
    assert (done.state, done.value) == (TrialState.COMPLETE, before["val_auc"][-1][1])
    assert done.intermediate_values == left.intermediate_values
    run = MlflowClient().get_run(run_id)
    assert (run.info.status, run.data.tags["trial"], run.data.tags["trial_state"]) == ("FINISHED", "1", "COMPLETE")
    assert {file.path for file in MlflowClient().list_artifacts(run_id, "checkpoints")} == {
        "checkpoints/best.pt",
        "checkpoints/stage1_best.pt",
    }


@pytest.mark.parametrize(("budget", "steps"), [("epoch", [1, 2, 3, 4]), ("phase", [2, 4])])
def test_when_the_pruner_is_asked(here: Path, tiniest_search: Make, budget: str, steps: list[int]) -> None:
    values = {"stage1.epochs": 0, "stage2": {"epochs": 4, "resolutions": [16, 32]}}
    run_sweep(tiniest_search({"stage2.lr": {"choices": [1e-4]}}, values, budget=budget, trials=1))
    assert sorted(stored_trials()[0].intermediate_values) == steps


def test_reused_epochs_are_not_reported(here: Path, tiniest_search: Make) -> None:
    search = {"stage2.lr": {"choices": [1e-4, 1e-3]}}
    result = run_sweep(tiniest_search(search, {"stage1.epochs": 2}, sampler="grid", trials=2))
    assert [sorted(trial.intermediate_values) for trial in stored_trials()] == [[1, 2, 3], [3]]
    # what each stage has reached is known all the same
    for trial in stored_trials():
        (training,) = trial.user_attrs["trainings"]
        assert (training["stage1"]["epochs"], training["stage2"]["epochs"]) == (2, 1)
        run = MlflowClient().get_run(trial.user_attrs["run_id"])
        assert training["best_epoch"] == metrics_of(run)["best_epoch"]
        assert trial.user_attrs["epochs"]["done"] == 3
    assert MlflowClient().get_run(result.run_id).data.tags["findings"] == "\n".join(map(str, result.findings))


def test_a_trial_that_is_stopped_where_it_reaches_a_rung_does_not_wait_there(
    here: Path, tiniest_search: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Control, "stops_trial", lambda *_: True)
    with pytest.raises(SweepFailed):  # no trial is complete
        run_sweep(tiniest_search(RANGE, FIVE | ASHA, trials=1))
    (trial,) = stored_trials()
    assert (trial.state, trial.user_attrs["epochs"]["done"]) == (TrialState.PRUNED, 1)


@pytest.mark.slow
def test_a_trial_that_goes_on_says_how_many_have_finished(
    here: Path, tiniest_search: Make, caplog: pytest.LogCaptureFixture
) -> None:
    """A paused trial has not, and the total is what was set by hand."""
    fields = FIVE | ASHA | {"study.asha": {"first": 1, "reduction": 2}}
    with caplog.at_level(logging.INFO):
        run_sweep(tiniest_search(RANGE, fields, trials=3))
    said = [message for message in caplog.messages if message.startswith("resumed trial")]
    assert [message.rpartition("), ")[2] for message in said] == ["0 of 3 trials finished"] * 3  # at each rung
