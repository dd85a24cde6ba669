"""``study set``."""

from __future__ import annotations

import optuna
from helpers.commands import assert_one_line, run

from mobilenet_chest.sweep import attributes


def test_the_total_is_set(study: optuna.Study) -> None:
    assert run("study", "set", "tiny", "trials=40").stdout == "study tiny: has 40 trials in all now (was 20)\n"
    assert study.user_attrs[attributes.SET_TRIALS] == {"instead_of": 20, "trials": 40}


def test_nothing_else_can_be_set(study: optuna.Study) -> None:
    assert_one_line("study", "set", "tiny", "workers=2", wants="trials")
    assert_one_line("study", "set", "tiny", "trials=0", wants="trials=40")
