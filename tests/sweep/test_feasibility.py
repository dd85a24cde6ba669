"""Constraints in a study: what Optuna is told, and who may be the best."""

from __future__ import annotations

import math

import optuna
import pytest
from helpers.claims import RANGE, Make, Open
from optuna.trial import TrialState

from mobilenet_chest.sweep.claims import best_trial, claim, ranked_trials
from mobilenet_chest.sweep.feasibility import constrained_metrics, feasible, record_constraints, violations
from mobilenet_chest.sweep.leaderboard import leaderboard
from mobilenet_chest.sweep.summary import summarize

BOUNDS = {"trials": 4, "sampler": "random", "constraints": ["parameters <= 200", "val_auc >= 0.5"]}


def test_a_trial_that_violates_is_never_the_best(phantom_config: Make, opened: Open, url: str) -> None:
    config = phantom_config({"search": RANGE, "study": BOUNDS})
    study = opened(config)
    for parameters, auc in ((300.0, 0.9), (100.0, 0.7), (200.0, 0.6), (100.0, 0.4)):
        claimed = claim(study, config, url)
        assert claimed is not None
        record_constraints(config, claimed[0], {"parameters": parameters, "val_auc": auc})
        study.tell(claimed[0], auc)
    trials = study.get_trials()
    assert trials[0].constraints == pytest.approx({"parameters <= 200": 0.5, "val_auc >= 0.5": -0.8})
    assert [feasible(trial) for trial in trials] == [False, True, True, False]
    assert [trial.number for trial in ranked_trials(study)] == [1, 2]
    best = best_trial(study)
    assert best is not None
    assert best.number == study.best_trial.number == 1  # Optuna agrees
    assert violations(trials[0]) == ("parameters <= 200 (is 300)",)
    assert summarize(trials[3]).violates == ("val_auc >= 0.5 (is 0.4)",)
    table = leaderboard(study, config.study).set_index("number")
    assert table["violates"].to_dict() == {0: violations(trials[0])[0], 1: "", 2: "", 3: violations(trials[3])[0]}


def test_what_a_stopped_trial_lacks_is_left_out(phantom_config: Make) -> None:
    config = phantom_config({"search": RANGE, "study": BOUNDS})
    study = optuna.create_study()
    trial = study.ask()
    assert record_constraints(config, trial, {"parameters": 100.0}) == []
    study.tell(trial, state=TrialState.PRUNED)
    assert list(study.trials[0].constraints) == ["parameters <= 200"]


def test_a_score_without_a_value_meets_no_constraint(phantom_config: Make) -> None:
    config = phantom_config({"search": RANGE, "study": BOUNDS})
    trial = optuna.create_study().ask()
    assert record_constraints(config, trial, {"parameters": 1.0, "val_auc": math.nan}) is not None
    assert violations(trial.study.trials[0])[0].startswith("val_auc >= 0.5")


def test_without_constraints_nothing_is_told(phantom_config: Make) -> None:
    config = phantom_config({"search": RANGE})
    trial = optuna.create_study().ask()
    assert record_constraints(config, trial, {"val_auc": 0.5}) is None
    assert trial.study.trials[0].constraints == {}
    assert constrained_metrics(config) == set()
