"""Freeze–thaw: who gets the next epochs, when a study ends, and that a paused trial goes on as if it ran through."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from helpers.sweeps import stored_trials
from optuna.trial import FrozenTrial, TrialState

from mobilenet_chest import cache
from mobilenet_chest.config import Config, Distribution
from mobilenet_chest.sweep import attributes, freeze_thaw, run_sweep
from mobilenet_chest.sweep.claims import has_unbegun
from mobilenet_chest.sweep.freeze_thaw import (
    goes_on,
    least_rate,
    may_begin,
    place_of,
    rates,
    trial_to_thaw,
)
from mobilenet_chest.sweep.space import to_optuna

Make = Callable[..., Config]

LR = {"stage2.lr": {"low": 1e-4, "high": 1e-2, "log": True}}
STAGES = {"stage1": {"epochs": 2}, "stage2": {"epochs": 20}}


@pytest.fixture
def config(phantom_config: Make) -> Config:
    return thawed(phantom_config)


def thawed(make: Make, values: dict[str, Any] | None = None, **study: Any) -> Config:
    fields = STAGES | {"search": LR} | (values or {})
    return make(fields | {"study": {"scheduler": "freeze_thaw", "pruner": "none", "trials": 8} | study})


def rising(end: float, length: int, pace: float = 3.0) -> list[float]:
    return [end - 0.3 * float(np.exp(-epoch / pace)) for epoch in range(1, length + 1)]


def trial(
    number: int, lr: float, values: list[float], state: TrialState = TrialState.RUNNING, seconds: float = 2.0
) -> FrozenTrial:  # fmt: skip
    """Return a trial with values after the epochs of stage 2; a running one is paused."""
    done = 2 + len(values)
    epochs = {"done": done, "total": 22, "stage": 2, "metric": "val_auc", "values": values, "best": max(values),
              "loss": 0.1, "images_per_second": 1.0, "stage_epochs": [2, 20],
              "stage_seconds": {"1": 0.1, "2": seconds}}  # fmt: skip
    paused = {} if state != TrialState.RUNNING else {attributes.PAUSED: done}
    return optuna.trial.FrozenTrial(
        number=number,
        trial_id=number,
        state=state,
        value=values[-1] if state == TrialState.COMPLETE else None,
        datetime_start=None,
        datetime_complete=None,
        params={"stage2.lr": lr},
        distributions={"stage2.lr": to_optuna("stage2.lr", Distribution(low=1e-4, high=1e-2, log=True))},
        user_attrs={attributes.EPOCHS: epochs} | paused,
        system_attrs={},
        intermediate_values={2 + epoch: value for epoch, value in enumerate(values, 1)},
    )


def four_done() -> list[FrozenTrial]:
    """Four complete trials; the best has 0.84."""
    places = (2e-4, 8e-4, 3e-3, 9e-3)
    ends = (0.80, 0.82, 0.84, 0.81)
    return [
        trial(number, lr, rising(end, 20), TrialState.COMPLETE)
        for number, (lr, end) in enumerate(zip(places, ends, strict=True))
    ]


# --- who goes on ---------------------------------------------------------------------------------------------------


def test_the_trial_whose_curve_promises_more_goes_on(config: Config) -> None:
    hopeless, hopeful = trial(4, 5e-4, rising(0.6, 5)), trial(5, 4e-3, rising(0.92, 5))
    trials = [*four_done(), hopeless, hopeful]
    found = rates(trials, config)
    assert found.begun.keys() == {4, 5}
    assert found.begun[5] > 100 * found.begun[4] >= 0
    thaw = trial_to_thaw(trials, config, idle=False, new=True)
    assert thaw is hopeful
    assert goes_on(trials, config, number=5, new=True)
    assert not goes_on(trials, config, number=4, new=True)


def test_a_trial_whose_epochs_take_longer_gains_less_in_a_second(config: Config) -> None:
    """The seconds are learned from all trials, so a slow one makes those near it slower too."""
    quick, slow = (
        rates([*four_done(), trial(4, 9e-3, rising(0.9, 5), seconds=seconds)], config) for seconds in (2.0, 20.0)
    )
    assert quick.begun[4] > 1.5 * slow.begun[4] > 0


def test_a_new_trial_begins_where_none_that_has_begun_promises_as_much(config: Config) -> None:
    trials = [*four_done(), trial(4, 5e-4, rising(0.6, 8)), trial(5, 6e-4, rising(0.62, 8))]
    assert may_begin(trials, config)
    assert trial_to_thaw(trials, config, idle=False, new=True) is None


def test_lower_is_better_where_the_metric_is_a_loss(phantom_config: Make) -> None:
    config = thawed(phantom_config, metric="val_loss", direction="minimize")
    trials = [trial(t.number, t.params["stage2.lr"], [1 - v for v in rising(t.values[0], 20)], t.state)
              for t in four_done()]  # fmt: skip
    falling, flat = trial(4, 4e-3, [1 - v for v in rising(0.92, 5)]), trial(5, 5e-4, [0.5] * 5)
    found = rates([*trials, falling, flat], config)
    assert found.begun[4] > 100 * found.begun[5] >= 0


def test_with_few_curves_new_trials_come_first_and_then_the_best(config: Config) -> None:
    trials = [trial(0, 1e-3, [0.6]), trial(1, 2e-3, [0.8]), trial(2, 3e-3, [0.7])]
    assert may_begin(trials, config)
    assert trial_to_thaw(trials, config, idle=False, new=True) is None
    assert trial_to_thaw(trials, config, idle=True, new=False) is trials[1]
    assert goes_on(trials, config, number=1, new=False)
    assert not goes_on(trials, config, number=1, new=True)
    assert not goes_on(trials, config, number=0, new=False)


def test_attempts_of_a_trial_are_one_curve(config: Config) -> None:
    ended = trial(4, 4e-3, rising(0.92, 3), TrialState.FAIL)
    again = trial(5, 4e-3, rising(0.92, 6))
    again.user_attrs[attributes.RETRY_OF] = 4
    again.intermediate_values = dict(list(again.intermediate_values.items())[3:])
    found = rates([*four_done(), ended, again], config)
    assert found.begun.keys() == {4}
    assert trial_to_thaw([*four_done(), ended, again], config, idle=False, new=True) is again


def test_an_infinite_value_is_no_curve(config: Config) -> None:
    broken = trial(4, 4e-3, [0.5, float("nan")])
    assert rates([*four_done(), broken], config).begun == {}


# --- the end of a study --------------------------------------------------------------------------------------------


def test_a_study_ends_where_nothing_is_expected_to_gain_enough(phantom_config: Make) -> None:
    trials = [*four_done(), trial(4, 5e-4, rising(0.6, 15)), trial(5, 6e-4, rising(0.62, 15))]
    patient = thawed(phantom_config, stop_when={"gain": 1e-6, "per": "1d"})
    strict = thawed(phantom_config, stop_when={"gain": 0.5, "per": "1s"})
    assert may_begin(trials, patient)
    assert not may_begin(trials, strict)
    assert trial_to_thaw(trials, strict, idle=True, new=False) is None
    assert least_rate(thawed(phantom_config)) == pytest.approx(0.001 / 3600)
    assert least_rate(thawed(phantom_config, stop_when={"per": "30m"})) == pytest.approx(0.001 / 1800)


@pytest.mark.parametrize("asked", [{attributes.RETRY_OF: 5}, {attributes.ADDED: "ann"}])
def test_what_was_queued_again_or_by_hand_is_run_in_any_case(phantom_config: Make, asked: dict[str, Any]) -> None:
    strict, study = thawed(phantom_config, stop_when={"gain": 0.5, "per": "1s"}), optuna.create_study()
    trials = [*four_done(), trial(4, 5e-4, rising(0.6, 15)), trial(5, 6e-4, rising(0.62, 15), TrialState.FAIL)]
    assert not has_unbegun(study, trials, strict)
    waiting = trial(6, 6e-4, rising(0.62, 15), TrialState.WAITING)
    waiting.user_attrs |= asked
    assert has_unbegun(study, [*trials, waiting], strict)
    waiting.user_attrs.clear()
    assert not has_unbegun(study, [*trials, waiting], strict)


def test_a_study_without_a_complete_trial_goes_on_all_the_same(phantom_config: Make) -> None:
    strict = thawed(phantom_config, stop_when={"gain": 0.5, "per": "1s"})
    trials = [trial(number, 10 ** -(2 + number / 4), rising(0.7 + 0.02 * number, 4)) for number in range(5)]
    assert trial_to_thaw(trials, strict, idle=False, new=False) is None
    thaw = trial_to_thaw(trials, strict, idle=True, new=False)
    assert thaw is not None
    assert thaw.number == 4


# --- places and time -----------------------------------------------------------------------------------------------


def test_the_place_of_a_configuration() -> None:
    search = {
        "stage2.lr": Distribution(low=1e-4, high=1e-2, log=True),
        "model.dropout": Distribution(low=0.2, high=0.6),
        "model.stem": Distribution(choices=("mean", "sum")),
        "model.hidden": Distribution(choices=((), (64,))),
        "seed": Distribution(choices=(1,)),
    }
    values = {"stage2.lr": 1e-3, "model.stem": "sum", "model.hidden": "[64]", "seed": 1}
    assert place_of(values, search) == pytest.approx([0.5, 0.5, 0, 0.7, 0, 0.7])


def test_a_hundred_curves_are_weighed_in_seconds(phantom_config: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """And a second time at once: the driver of a sweep asks many times a second."""
    config = thawed(phantom_config, trials=300)
    generator = np.random.default_rng(0)
    trials = [
        trial(number, float(10 ** generator.uniform(-4, -2)), rising(0.8 + 0.1 * generator.random(), 6))
        for number in range(150)
    ]
    started = time.process_time()
    first = rates(trials, config)
    assert time.process_time() - started < 10
    assert len(first.begun) == freeze_thaw.MOST_CURVES
    monkeypatch.setattr(freeze_thaw, "CurveModel", None)
    assert rates(trials, config) is first


# --- a whole sweep -------------------------------------------------------------------------------------------------

SMALL = {
    "model": {"name": "timm:mobilenetv2_050", "weights": "none", "hidden": [8]},
    "stage1": {"epochs": 1},
    "stage2": {"epochs": 3, "patience": None},
}


@pytest.mark.slow
def test_trials_take_turns_and_end_as_if_each_had_run_through(here: Path, tiny_search: Make) -> None:
    choices = {"stage2.lr": {"choices": [1e-4, 1e-3, 2e-3, 4e-3, 8e-3]}}
    whole = run_sweep(tiny_search(choices, SMALL | {"name": "whole"}, trials=5, sampler="grid"))
    values = {trial.params["stage2.lr"]: trial.value for trial in stored_trials("whole")}
    cache.clear()
    stop = {"gain": 1e-9, "per": "1d"}
    result = run_sweep(tiny_search(choices, SMALL, trials=5, sampler="grid", scheduler="freeze_thaw", stop_when=stop))
    stored = stored_trials()
    complete = [trial for trial in stored if trial.state == TrialState.COMPLETE]
    assert complete
    assert all(trial.value == values[trial.params["stage2.lr"]] for trial in complete)
    assert all(2 in trial.intermediate_values for trial in stored)
    assert any(trial.user_attrs.get("passed_rung") for trial in stored)
    assert result.complete
    assert {trial.state for trial in result.trials} <= {"COMPLETE", "PAUSED"}
    assert whole.complete


@pytest.mark.slow
@pytest.mark.parametrize("trials", [4, 30])
def test_a_study_that_ends_early_says_so_and_is_complete(here: Path, tiny_search: Make, trials: int) -> None:
    """Before its last trial, or, where all have begun, before the end of some."""
    choices = {"stage2.lr": {"low": 1e-4, "high": 1e-2, "log": True}}
    config = tiny_search(
        choices, SMALL, trials=trials, sampler="random", scheduler="freeze_thaw", stop_when={"gain": 1.0, "per": "1s"}
    )
    result = run_sweep(config)
    assert result.complete
    assert 4 <= len(result.trials) < 30
    assert "PAUSED" in {trial.state for trial in result.trials}
    assert [finding.kind for finding in result.findings if finding.kind == "ended_early"] == ["ended_early"]
    assert "COMPLETE" in {trial.state for trial in result.trials}
    again = run_sweep(config)
    assert (again.new_trials, again.complete) == (0, True)
