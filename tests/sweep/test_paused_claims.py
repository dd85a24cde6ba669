"""Paused trials in a study: who goes on with them, what the sampler and the status see of them, and what they cost."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable
from typing import Any

import optuna
import pytest
from helpers.claims import RANGE, Make, Open, halved_by, numbers
from optuna.samplers import TPESampler
from optuna.trial import TrialState

from mobilenet_chest.config import Config
from mobilenet_chest.errors import OwnershipLost
from mobilenet_chest.sweep import attributes, commands
from mobilenet_chest.sweep.claims import claim, counted_trials, has_claimable, reap
from mobilenet_chest.sweep.lease import Lease, WorkerWatch
from mobilenet_chest.sweep.optuna_adapter import RetryingStorage, stored_trial
from mobilenet_chest.sweep.storage import open_storage
from mobilenet_chest.sweep.summary import kept_trials, status
from mobilenet_chest.sweep.supervisor import forecast
from mobilenet_chest.sweep.trial_state import is_paused, running_trials, state_name

Score = Callable[[dict[str, Any]], float]


def halved(make: Make, trials: int, **study: Any) -> Config:
    """Return a study over 1 + 8 epochs with rungs after epochs 2 and 6."""
    settings = {"trials": trials, "scheduler": "asha", "pruner": "none", "asha": {"first": 2}, "sampler": "random"}
    return make({"search": RANGE, "stage1": {"epochs": 1}, "stage2": {"epochs": 8}, "study": settings | study})


def by_rate(values: dict[str, Any]) -> float:
    return 1 - float(values["stage2.lr"])


def test_a_study_is_halved_and_can_go_on(phantom_config: Make, opened: Open, url: str) -> None:
    config = halved(phantom_config, 9)
    study = opened(config)
    run = halved_by(study, config, url, by_rate)
    trials = study.get_trials(deepcopy=False)
    assert len(trials) == 9
    assert {number for number, _ in run} == set(range(9))
    best = min(trials, key=lambda trial: trial.params["stage2.lr"])
    assert best.state == TrialState.COMPLETE
    assert sum(map(is_paused, trials)) == 9 - len(numbers(study, TrialState.COMPLETE))
    assert len([t for t in trials if 6 in t.intermediate_values]) >= 3  # a third at least has passed the first rung
    assert not has_claimable(study, trials, config)
    assert len(counted_trials(study)) == 9
    assert forecast(study, config, None) == (False, False, True, 9)

    more = config.model_copy(update={"study": config.study.model_copy(update={"trials": 27})})
    assert has_claimable(study, trials, more)
    halved_by(study, more, url, by_rate)
    trials = study.get_trials(deepcopy=False)
    best_nine = sorted(trials, key=lambda trial: trial.params["stage2.lr"])[:9]
    assert all(6 in trial.intermediate_values or trial.state == TrialState.COMPLETE for trial in best_nine)
    assert best_nine[0].state == TrialState.COMPLETE


def test_workers_share_a_halved_study(phantom_config: Make, opened: Open, url: str) -> None:
    """Nothing is run twice, and each trial goes on where it was paused."""
    config = halved(phantom_config, 12)
    runs: list[list[tuple[int, int]]] = []
    studies = [opened(config) for _ in range(2)]
    threads = [
        threading.Thread(target=lambda study=study: runs.append(halved_by(study, config, url, by_rate)))
        for study in studies
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
    assert len(runs) == 2
    pieces = sorted(piece for run in runs for piece in run)
    assert len(set(pieces)) == len(pieces)
    trials = studies[0].get_trials(deepcopy=False)
    assert len(trials) == 12
    assert all(is_paused(trial) or trial.state == TrialState.COMPLETE for trial in trials)
    best = min(trials, key=lambda trial: trial.params["stage2.lr"])
    assert best.state == TrialState.COMPLETE


def paused_study(config: Config, opened: Open, url: str) -> optuna.Study:
    """Return a study whose two trials are paused: no third one has come yet."""
    study = opened(config)
    assert halved_by(study, config, url, by_rate, most=2) == [(0, 2), (1, 2)]
    return study


def test_a_paused_trial_has_no_worker_and_is_not_reaped(phantom_config: Make, opened: Open, url: str) -> None:
    config = halved(phantom_config, 3)
    study = paused_study(config, opened, url)
    assert numbers(study, TrialState.RUNNING) == [0, 1]
    assert running_trials(study) == []
    assert [state_name(trial) for trial in study.trials] == ["PAUSED", "PAUSED"]
    assert reap(study, url, lambda trial: False) == []
    assert not WorkerWatch().look(study)
    seen = status(study, 3, time.time(), 0)
    assert (seen.states, seen.running) == ({"PAUSED": 2}, [])
    assert [(trial.state, trial.value) for trial in seen.ended] == [
        ("PAUSED", trial.intermediate_values[2]) for trial in study.trials
    ]
    kept = kept_trials(study)
    assert (kept.finished, kept.paused, kept.interrupted) == (0, 2, [])


def test_a_worker_that_dies_while_it_goes_on_is_replaced(phantom_config: Make, opened: Open, url: str) -> None:
    config = halved(phantom_config, 2)
    study = paused_study(config, opened, url)
    thawed = claim(study, config, url)  # the front runner: no trial is left to begin
    assert thawed is not None
    number = thawed[0].number
    thawed[0].set_user_attr(attributes.RUN_ID, "its run")
    assert study.trials[number].user_attrs["passed_rung"] == 2
    assert [trial.number for trial in running_trials(study)] == [number]
    assert claim(study, config, url) is None  # the other one waits
    assert reap(study, url, lambda trial: False) == [number]
    again = claim(study, config, url)
    assert again is not None
    assert again[1] == thawed[1]
    assert again[0].user_attrs[attributes.RETRY_OF] == number
    assert (again[0].user_attrs["passed_rung"], again[0].user_attrs["run_id"]) == (2, "its run")
    # its reports are one trial's: the rung has not grown
    assert halved_by(study, config, url, by_rate) == []


def test_a_paused_trial_may_not_be_written_by_who_paused_it(phantom_config: Make, opened: Open, url: str) -> None:
    config = halved(phantom_config, 2)
    study = opened(config)
    claimed = claim(study, config, url)
    assert claimed is not None
    trial = claimed[0]
    trial.report(0.5, 2)
    with Lease(study, url, trial, 60) as lease:
        with lease.held():
            trial.set_user_attr("worker", None)
            trial.set_user_attr("paused", 2)
        with pytest.raises(OwnershipLost), lease.held():
            raise AssertionError("entered")
        # another worker goes on with it
        trial.set_user_attr("paused", None)
        trial.set_user_attr("worker", {"host": "elsewhere", "machine": "m", "pid": 1, "started": 1.0})
        with pytest.raises(OwnershipLost), lease.held():
            raise AssertionError("entered")


def test_the_sampler_learns_from_paused_trials(
    phantom_config: Make, opened: Open, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[tuple[TrialState, dict[int, float]]]] = []
    real = TPESampler.sample_independent

    def watched(self: TPESampler, study: optuna.Study, *given: Any) -> Any:
        states = (TrialState.COMPLETE, TrialState.PRUNED)
        seen.append([(t.state, t.intermediate_values) for t in study._get_trials(deepcopy=False, states=states)])
        return real(self, study, *given)

    monkeypatch.setattr(TPESampler, "sample_independent", watched)
    config = halved(phantom_config, 3, sampler="tpe")
    study = paused_study(config, opened, url)
    assert claim(study, config, url) is not None
    reports = [trial.intermediate_values for trial in study.trials[:2]]
    assert seen[-1] == [(TrialState.PRUNED, reported) for reported in reports]
    assert numbers(study, TrialState.PRUNED) == []


def test_a_paused_trial_is_read_once(
    phantom_config: Make, opened: Open, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = halved(phantom_config, 2)
    study = paused_study(config, opened, url)
    other = opened(config)
    assert [is_paused(trial) for trial in other.get_trials(deepcopy=False)] == [True, True]
    read: list[set[int]] = []
    real = RetryingStorage._get_trials

    def watched(self: Any, study_id: int, states: Any, included: set[int], after: int) -> Any:
        trials = real(self, study_id, states, included, after)
        read.append({trial.number for trial in trials})
        return trials

    monkeypatch.setattr(RetryingStorage, "_get_trials", watched)
    assert len(other.get_trials(deepcopy=False)) == 2
    assert read == [set()]
    thawed = claim(study, config, url)
    assert thawed is not None
    read.clear()
    trials = other.get_trials(deepcopy=False)
    assert read == [{thawed[0].number}]
    assert [is_paused(trial) for trial in trials] == [number != thawed[0].number for number in (0, 1)]
    study.tell(thawed[0].number, 0.5)
    assert other.get_trials(deepcopy=False)[thawed[0].number].state == TrialState.COMPLETE
    assert stored_trial(other, study.trials[0]).number == 0


def test_two_studies_of_one_storage_both_see_a_pause(phantom_config: Make, opened: Open, url: str) -> None:
    """Each has a cache of its own before the storage, which read the trial while it ran."""
    config = halved(phantom_config, 2)
    study = opened(config)
    assert claim(study, config, url) is not None
    backend = open_storage(url)
    pair = [optuna.load_study(study_name=config.study_name, storage=backend) for _ in range(2)]
    assert [[is_paused(trial) for trial in each.get_trials(deepcopy=False)] for each in pair] == [[False], [False]]
    study._storage.set_trial_user_attr(study.trials[0]._trial_id, attributes.PAUSED, 2)
    assert [[is_paused(trial) for trial in each.get_trials(deepcopy=False)] for each in pair] == [[True], [True]]
    backend.remove_session()
    backend.engine.dispose()


def test_a_paused_trial_that_is_stopped_by_hand_has_ended(phantom_config: Make, opened: Open, url: str) -> None:
    config = halved(phantom_config, 3)
    study = paused_study(config, opened, url)
    study.set_user_attr(attributes.REPORTED_TRIALS, 2)
    assert "pruned" in commands.stop_trial(study, url, number=0)
    stopped, other = study.trials
    assert (stopped.state, stopped.value) == (TrialState.PRUNED, stopped.intermediate_values[2])
    assert is_paused(other)
    assert len(counted_trials(study)) == 2
    assert study.user_attrs[attributes.REPORTED_TRIALS] is None


@pytest.mark.slow
@pytest.mark.alone
def test_a_thousand_paused_trials_cost_little(phantom_config: Make, opened: Open, url: str) -> None:
    """Processor time of this process, the median of some: a busy machine does not count."""
    searched = RANGE | {
        "model.dropout": {"low": 0.1, "high": 0.6}, "stage2.lr_decay": {"low": 0.5, "high": 1.0},
        "optimizer.weight_decay": {"low": 1e-4, "high": 1e-1, "log": True},
    }  # fmt: skip
    config = halved(phantom_config, 2000, sampler="tpe").model_copy(
        update={"search": phantom_config({"search": searched}).search}
    )
    study = opened(config)
    claimed = claim(study, config, url)
    assert claimed is not None
    like = study.trials[0]
    epochs = {"done": 2, "total": 9, "stage": 2, "metric": "val_auc", "values": [0.5] * 120, "best": 0.5, "loss": 0.7,
              "images_per_second": 100.0, "stage_epochs": [1, 8], "stage_seconds": {"1": 1.0, "2": 2.0}}  # fmt: skip
    for number in range(1000):
        attrs = {"worker": None, "paused": 2, "run_id": f"{number:032x}", "epochs": epochs}
        study.add_trial(
            optuna.trial.create_trial(
                state=TrialState.RUNNING,
                params=like.params,
                distributions=like.distributions,
                user_attrs=attrs,
                intermediate_values={2: number / 1000},
            )
        )

    def seconds(act: Callable[[], object]) -> float:
        started = time.process_time()
        act()
        return time.process_time() - started

    study = opened(config)
    study.get_trials(deepcopy=False)
    thaws = [seconds(lambda: claim(study, config, url)) for _ in range(5)]
    assert len(running_trials(study)) == 6
    looks = [seconds(lambda: status(study, 2000, time.time(), 0)) for _ in range(5)]
    forecasts = [seconds(lambda: forecast(study, config, None)) for _ in range(5)]
    for trial in study.get_trials(deepcopy=False):  # nobody may go on any more
        if is_paused(trial) and trial.intermediate_values[2] >= 0.6:
            study._storage.set_trial_user_attr(trial._trial_id, "paused", 1)
    study.get_trials(deepcopy=False)
    asks = [seconds(lambda: claim(study, config, url)) for _ in range(5)]
    figures = {"thaw": thaws, "status": looks, "forecast": forecasts, "ask": asks}
    print({name: round(statistics.median(times), 3) for name, times in figures.items()})
    assert all(statistics.median(times) <= 0.2 for times in figures.values())
