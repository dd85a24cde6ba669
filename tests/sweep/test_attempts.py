"""A trial that was queued again keeps the number that a person has seen."""

from __future__ import annotations

import optuna
import pytest

from mobilenet_chest.sweep import attributes
from mobilenet_chest.sweep.attempts import Attempt, attempt_of, shown_numbers, trial_name


@pytest.fixture
def study() -> optuna.Study:
    """Trial 0 is interrupted twice: its attempts are the trials 0, 2 and 3."""
    study = optuna.create_study()
    for origin in (None, None, 0, 2):
        study.enqueue_trial({}, user_attrs={} if origin is None else {attributes.RETRY_OF: origin})
        study.ask()
    return study


def test_attempts_are_counted_from_the_first(study: optuna.Study) -> None:
    trials = study.get_trials()
    assert [attempt_of(trial, trials) for trial in trials] == [(0, 1), (1, 1), (0, 2), (0, 3)]
    assert [trial_name(study, trial) for trial in trials] == [
        "trial 0",
        "trial 1",
        "trial 0, second attempt",
        "trial 0, third attempt",
    ]


def test_what_is_shown_of_each_number(study: optuna.Study) -> None:
    assert shown_numbers(study) == {0: "0", 1: "1", 2: "0, second attempt", 3: "0, third attempt"}


def test_without_the_other_trials_the_last_origin_is_known(study: optuna.Study) -> None:
    assert attempt_of(study.get_trials()[3], []) == (2, 2)


def test_a_trial_that_names_a_later_one_is_no_endless_loop(study: optuna.Study) -> None:
    study.enqueue_trial({}, user_attrs={attributes.RETRY_OF: 9})
    trial = study.ask()
    assert attempt_of(trial, study.get_trials()) == (4, 1)


def test_a_training_of_a_confirmation_is_named_by_trial_and_seed(study: optuna.Study) -> None:
    study.enqueue_trial({}, user_attrs={attributes.CONFIRMS: {"study": "x", "trial": 7, "seed": 11}})
    assert trial_name(study, study.ask()) == "trial 7, seed 11"
    confirms = {attributes.CONFIRMS: {"study": "x", "trial": 7, "seed": 11}, attributes.FIRST_ATTEMPT: 2}
    study.enqueue_trial({}, user_attrs=confirms)
    assert trial_name(study, study.ask()) == "trial 2, seed 11"


def test_after_the_ninth_attempt_there_are_figures() -> None:
    assert str(Attempt(0, 9)).endswith(", ninth attempt")
    assert str(Attempt(0, 10)) == "0, 10th attempt"
