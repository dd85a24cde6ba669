"""``study add``."""

from __future__ import annotations

import optuna
from helpers.commands import assert_one_line, run

from mobilenet_chest.sweep import attributes


def test_a_configuration_is_queued(study: optuna.Study) -> None:
    result = run("study", "add", "tiny", "stage2.lr=1e-4")
    assert (result.exit_code, result.stderr) == (0, "")
    (trial,) = study.get_trials()
    assert trial.state == optuna.trial.TrialState.WAITING
    assert trial.system_attrs["fixed_params"] == {"stage2.lr": 1e-4}
    assert attributes.ADDED in trial.user_attrs


def test_what_is_wrong_is_said_in_a_line(study: optuna.Study) -> None:
    assert_one_line("study", "add", "tiny", "stage1.lr=1e-4", wants="stage2.lr")
    assert_one_line("study", "add", "tiny", "stage2.lr=1", wants="high 0.001")
    assert_one_line("study", "add", "tiny", "stage2.lr", wants="key=value")
    assert study.get_trials() == []
