"""``study pause``."""

from __future__ import annotations

import json

import optuna
from helpers.commands import assert_one_line, run

from mobilenet_chest.sweep import attributes


def test_a_study_is_paused_once(study: optuna.Study) -> None:
    result = run("study", "pause", "tiny")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith("study tiny: is paused; ")
    assert study.user_attrs[attributes.STUDY_PAUSED] is True
    assert json.loads(run("study", "pause", "tiny", "--json").stdout) == {"study": "tiny", "done": "is paused already"}


def test_a_wrong_name_is_answered_with_the_right_ones(study: optuna.Study) -> None:
    assert_one_line("study", "pause", "tinny", wants="'tiny'")
    assert_one_line("study", "pause", "tiny", "--storage", "sqlite:///none.db", wants="none yet")
