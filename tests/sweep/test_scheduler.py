"""Which scheduler's rule is asked, and what no other sweep imports."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import optuna
import pytest

from mobilenet_chest.config import Config
from mobilenet_chest.sweep.scheduler import epochs_to_expect, may_begin, rung_epochs, trial_to_thaw

Make = Callable[..., Config]

FREEZE_THAW: dict[str, Any] = {"scheduler": "freeze_thaw", "pruner": "none", "trials": 4}


def made(make: Make, study: dict[str, Any]) -> Config:
    fields = {"stage1": {"epochs": 3}, "stage2": {"epochs": 7}, "search": {"stage2.lr": {"choices": [1e-3, 1e-2]}}}
    return make(fields | {"study": study})


@pytest.mark.parametrize(
    ("study", "rungs"),
    [
        ({}, ()),
        ({"scheduler": "asha", "pruner": "none"}, (5,)),
        (FREEZE_THAW, (4, 5, 6, 7, 8, 9)),
        (FREEZE_THAW | {"freeze_thaw": {"slice": 3}}, (6, 9)),
    ],
)
def test_the_epochs_after_which_a_trial_may_be_paused(
    phantom_config: Make, study: dict[str, Any], rungs: tuple[int, ...]
) -> None:
    assert rung_epochs(made(phantom_config, study)) == rungs


def test_the_epochs_of_all_trials(phantom_config: Make) -> None:
    expected = epochs_to_expect(made(phantom_config, FREEZE_THAW | {"freeze_thaw": {"slice": 3}}))
    assert expected == {"rungs": [6, 9], "epochs_at_most": 40, "epochs_unpaused": 40}


def test_without_a_scheduler_all_trials_begin_and_none_waits(phantom_config: Make) -> None:
    config, study = made(phantom_config, {}), optuna.create_study()
    assert may_begin(study, [], config)
    assert trial_to_thaw(study, [], config, idle=True, new=False) is None


def test_a_sweep_without_freeze_thaw_does_not_import_what_it_computes_with() -> None:
    code = "import sys, mobilenet_chest.sweep; print('scipy.optimize' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
