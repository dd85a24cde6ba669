"""Asynchronous successive halving: the rungs, who waits at them, and who goes on."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import optuna
import pytest

from mobilenet_chest.config import Config
from mobilenet_chest.sweep import attributes
from mobilenet_chest.sweep.asha import (
    front_runner,
    leaders,
    most_epochs,
    next_to_thaw,
    rung_epochs,
    scores_at_rungs,
    trial_to_thaw,
    usual_epochs,
)
from mobilenet_chest.sweep.repeats import Repeat

Make = Callable[..., Config]

# --- the rungs -----------------------------------------------------------------------------------------------------


def halved(make: Make, values: dict[str, Any], **asha: Any) -> Config:
    search = {"search": {"stage2.lr": {"low": 1e-4, "high": 1e-2, "log": True}}}
    return make(search | values | {"study": {"scheduler": "asha", "pruner": "none", "asha": asha}})


@pytest.mark.parametrize(
    ("epochs", "asha", "rungs"),
    [
        ((30, 120), {}, (32, 96)),  # the second epoch of stage 2
        ((5, 10), {}, (7,)),
        ((0, 90), {}, (10, 30)),  # a ninth of all
        ((2, 1), {}, (2,)),  # no later rung would leave an epoch
        ((5, 10), {"first": 2}, (2, 6)),  # within stage 1
        ((5, 10), {"first": 5}, (5,)),  # at its end
        ((5, 10), {"first": 1, "reduction": 2}, (1, 2, 4, 8)),
        ((5, 10), {"first": 14}, (14,)),
    ],
)
def test_rungs_count_epochs_over_both_stages(
    phantom_config: Make, epochs: tuple[int, int], asha: dict[str, int], rungs: tuple[int, ...]
) -> None:
    values = {"stage1": {"epochs": epochs[0]}, "stage2": {"epochs": epochs[1]}}
    assert rung_epochs(halved(phantom_config, values, **asha)) == rungs


def test_a_rung_within_a_phase_is_moved_to_its_end(phantom_config: Make) -> None:
    """Phases end after epochs 7, 10 and 14; the last one keeps its rungs, as stage 1 does."""
    values = {"stage1": {"epochs": 4}, "stage2": {"epochs": 10, "resolutions": [16, 24, 32]}}
    assert rung_epochs(halved(phantom_config, values, first=3, reduction=2)) == (3, 7, 12)
    assert rung_epochs(halved(phantom_config, values, first=8, reduction=2)) == (10,)


def test_a_study_without_scheduler_has_no_rungs(phantom_config: Make) -> None:
    assert rung_epochs(phantom_config({"stage1": {"epochs": 5}})) == ()


# --- the rule ------------------------------------------------------------------------------------------------------


def test_the_best_of_a_rung_are_its_share_rounded_down() -> None:
    scores = {number: 0.1 * number for number in range(7)}
    assert leaders(dict(list(scores.items())[:2]), 3) == []
    assert leaders(dict(list(scores.items())[:3]), 3) == [2]
    assert leaders(scores, 3) == [6, 5]
    assert leaders(scores, 2) == [6, 5, 4]


def test_of_equal_trials_the_earlier_goes_on() -> None:
    assert leaders({4: 0.5, 1: 0.5, 3: 0.5}, 3) == [1]
    assert leaders({4: 0.5, 1: 0.5, 3: 0.6}, 3) == [3]


def test_the_highest_rung_goes_first_and_its_best_trial() -> None:
    rungs = {2: {n: float(n) for n in range(9)}, 6: {6: 0.1, 7: 0.9, 8: 0.2}}
    assert next_to_thaw(rungs, {0: 2, 6: 2, 7: 6}, 3) == 7
    assert next_to_thaw(rungs, {0: 2, 6: 2, 8: 6}, 3) == 6  # 8 is not the best of its rung
    assert next_to_thaw(rungs, {0: 2, 1: 2}, 3) is None
    assert next_to_thaw(rungs, {7: 2, 8: 2}, 3) == 8
    assert front_runner(rungs, {0: 2, 6: 6, 8: 6}) == 8
    assert front_runner(rungs, {0: 2, 1: 2}) == 1
    assert front_runner(rungs, {}) is None


def test_a_trial_that_took_a_result_does_not_fill_a_rung(phantom_config: Make) -> None:
    study = optuna.create_study(direction="maximize")
    for attrs in ({}, {attributes.REPEATS: Repeat(0, "result")._asdict()}):
        study.add_trial(optuna.trial.create_trial(value=0.5, intermediate_values={2: 0.5}, user_attrs=attrs))
    config = halved(phantom_config, {"stage1": {"epochs": 1}, "stage2": {"epochs": 8}}, first=2)
    assert scores_at_rungs(study.trials, config) == {2: {0: 0.5}, 6: {}}


def test_trials_that_wait_where_a_study_of_before_had_a_rung_go_on(phantom_config: Make) -> None:
    """The first rung was the first epoch of stage 2 by default, and is the second one now."""
    config = halved(phantom_config, {"stage1": {"epochs": 1}, "stage2": {"epochs": 4}})
    assert rung_epochs(config) == (3,)
    study = optuna.create_study(direction="maximize")
    for number in range(3):
        study.add_trial(optuna.trial.create_trial(
            state=optuna.trial.TrialState.RUNNING,
            intermediate_values={2: 0.5 + number / 10},
            user_attrs={attributes.PAUSED: 2},
        ))  # fmt: skip
    thaw = trial_to_thaw(study.trials, config, idle=False)
    assert thaw is not None
    assert thaw.number == 2


def simulated(scores: list[float], rungs: tuple[int, ...], reduction: int) -> tuple[list[int], set[int]]:
    """Run a study of one worker: trial n has ``scores[n]`` at all rungs; its epochs by trial, and the finished."""
    reached: dict[int, dict[int, float]] = {rung: {} for rung in rungs}
    paused, finished, begun = dict[int, int](), set[int](), 0
    order: list[int] = []
    while True:
        trial = next_to_thaw(reached, paused, reduction)
        if trial is None:
            if begun == len(scores):
                trial = None if finished else front_runner(reached, paused)
                if trial is None:
                    return order, finished
            else:
                trial, begun = begun, begun + 1
        order.append(trial)
        passed = paused.pop(trial, 0)
        for rung in (rung for rung in rungs if rung > passed):
            reached[rung][trial] = scores[trial]
            if trial not in leaders(reached[rung], reduction):
                paused[trial] = rung
                break
        else:
            finished.add(trial)


def test_nobody_waits_for_a_full_rung() -> None:
    """The best comes first, and goes on as soon as two others are behind it; the last goes on at once."""
    order, finished = simulated([0.9, 0.1, 0.2, 0.3, 0.4, 0.5], (2,), 3)
    assert order == [0, 1, 2, 0, 3, 4, 5]  # the sixth is the second best of six
    assert finished == {0, 5}


def test_a_late_trial_goes_on_at_once_and_an_early_one_when_the_rung_has_grown() -> None:
    order, _ = simulated([0.5, 0.1, 0.9, 0.2, 0.3, 0.05], (2,), 3)
    assert order == [0, 1, 2, 3, 4, 5, 0]


@pytest.mark.parametrize("count", [1, 2, 5])
def test_a_study_too_small_for_a_leader_still_has_a_finished_trial(count: int) -> None:
    scores = [0.3, 0.9, 0.1, 0.4, 0.2][:count]
    _, finished = simulated(scores, (1, 3), 3)
    assert finished == {scores.index(max(scores))}


@pytest.mark.parametrize("reduction", [2, 3])
def test_the_order_of_arrival_changes_who_goes_on_but_not_the_bounds(reduction: int) -> None:
    rungs, total = (1, 3), 7
    for scores in itertools.permutations([0.1, 0.2, 0.3, 0.4, 0.5, 0.6]):
        _, finished = simulated(list(scores), rungs, reduction)
        assert finished
        reached = dict.fromkeys(rungs, 0)
        trained = epochs_of(list(scores), rungs, total, reduction, reached)
        assert trained <= most_epochs(6, rungs, total, reduction)


def epochs_of(
    scores: list[float], rungs: tuple[int, ...], total: int, reduction: int, reached: dict[int, int]
) -> int:  # fmt: skip
    order, _ = simulated(scores, rungs, reduction)
    ends = dict.fromkeys(range(len(scores)), 0)
    table: dict[int, dict[int, float]] = {rung: {} for rung in reached}
    for trial in order:
        for rung in (rung for rung in rungs if rung > ends[trial]):
            table[rung][trial] = scores[trial]
            ends[trial] = rung
            if trial not in leaders(table[rung], reduction):
                break
        else:
            ends[trial] = total
    return sum(ends.values())


def test_the_epochs_at_most_and_as_a_rule() -> None:
    # 27 to epoch 31, 25 to 93, 23 to 150; 27, 9, 3
    assert most_epochs(27, (31, 93), 150, 3) == 27 * 31 + 25 * 62 + 23 * 57
    assert usual_epochs(27, (31, 93), 150, 3) == 27 * 31 + 9 * 62 + 3 * 57
    assert most_epochs(2, (6,), 15, 3) == usual_epochs(2, (6,), 15, 3) == 2 * 6 + 9
    # every trial is better than all before it
    _, finished = simulated([0.1 * n for n in range(9)], (6,), 3)
    assert len(finished) == 7
    assert most_epochs(9, (6,), 15, 3) == 9 * 6 + 7 * 9
