"""The states of trials, and the one that Optuna does not know."""

from __future__ import annotations

import optuna

from mobilenet_chest.sweep import attributes
from mobilenet_chest.sweep.trial_state import is_paused, running_trials, state_name


def test_a_trial_is_paused_while_it_runs_and_has_the_mark() -> None:
    study = optuna.create_study()
    waiting, thawed, done, running = (study.ask() for _ in range(4))
    waiting.set_user_attr(attributes.PAUSED, 2)
    thawed.set_user_attr(attributes.PAUSED, None)
    done.set_user_attr(attributes.PAUSED, 2)
    study.tell(done, 0.5)
    assert [is_paused(trial) for trial in study.trials] == [True, False, False, False]
    assert [state_name(trial) for trial in study.trials] == ["PAUSED", "RUNNING", "COMPLETE", "RUNNING"]
    assert [trial.number for trial in running_trials(study)] == [thawed.number, running.number]
