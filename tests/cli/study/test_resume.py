"""``study resume``."""

from __future__ import annotations

import optuna
from helpers.commands import run

from mobilenet_chest.sweep import attributes


def test_a_paused_study_goes_on(study: optuna.Study) -> None:
    assert "not paused" in run("study", "resume", "tiny").stdout
    run("study", "pause", "tiny")
    assert run("study", "resume", "tiny").exit_code == 0
    assert study.user_attrs[attributes.STUDY_PAUSED] is False
