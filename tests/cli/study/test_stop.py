"""``study stop``."""

from __future__ import annotations

import optuna
from helpers.commands import assert_one_line, run

from mobilenet_chest.sweep import attributes


def test_a_study_is_stopped_for_the_commands_that_run(study: optuna.Study) -> None:
    for _ in range(2):
        assert run("study", "stop", "tiny").exit_code == 0
    assert study.user_attrs[attributes.STOPS] == 2


def test_one_trial_is_stopped(study: optuna.Study) -> None:
    study.ask()
    assert run("study", "stop", "tiny", "0").exit_code == 0
    assert study.get_trials()[0].user_attrs[attributes.STOP] is True
    assert attributes.STOPS not in study.user_attrs
    assert_one_line("study", "stop", "tiny", "4", wants="running or queued: 0")
