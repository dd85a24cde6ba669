"""Distributions and the study: what a sweep can be."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from mobilenet_chest.config import Config, Distribution, StudyConfig

SEARCH = {"stage2.lr": {"low": 1e-4, "high": 1e-3}}


def config(**fields: Any) -> Config:
    return Config.model_validate({"name": "x"} | fields)


@pytest.mark.parametrize(
    ("fields", "part"),
    [
        ({"metric": "val_acuracy"}, "unknown metric 'val_acuracy'; did you mean 'val_accuracy'?"),
        ({"metric": "val_loss"}, "set direction: minimize"),
        ({"direction": "minimize"}, "set direction: maximize"),
        ({"metric": "val_accuracy_crossfit"}, "pruner 'median' needs a metric known after every epoch"),
        ({"metric": "test_auc"}, "unknown metric 'test_auc'"),
        ({"also": ["parameters"]}, "pruner 'median' cannot prune with several objectives (also: parameters)"),
        ({"also": ["parameters", "parameters"], "pruner": "none"}, "twice: parameters, parameters"),
        ({"also": ["speed"], "pruner": "none"}, "'latency_1_ms', 'parameters' or 'train_seconds'"),
        ({"folds": 3}, "folds 3 are for resampling: kfold, not holdout"),
        ({"folds": 3, "resampling": "reshuffle"}, "folds 3 are for resampling: kfold, not reshuffle"),
        ({"folds": 1, "resampling": "kfold"}, "greater than or equal to 2"),
        ({"leave_out": "site", "resampling": "holdout"}, "the folds of resampling: kfold, and resampling is holdout"),
        ({"leave_out": "site", "folds": 3}, "as many folds as there are sites; remove folds 3"),
        ({"leave_out": "patient"}, "'site'"),
        ({"resampling": "kfold", "budget": "phase"}, "with resampling: kfold"),
        ({"pruner": "wilcoxon"}, "resampling is holdout; set resampling: kfold"),
        ({"pruner": "wilcoxon", "resampling": "kfold", "folds": 4}, "folds is 4; set folds: 5 or more"),
        ({"resampling": "reshuffle", "metric": "val_sensitivity"}, "needs a metric known after every epoch"),
        ({"resampling": "bootstrap"}, "'holdout', 'reshuffle' or 'kfold'"),
        ({"confirm": {"top": 0}}, "greater than or equal to 1"),
        ({"confirm": {"seeds": 1}}, "greater than or equal to 2"),
    ],
)
def test_a_study_that_cannot_be(fields: dict[str, Any], part: str) -> None:
    with pytest.raises(ValidationError) as caught:
        StudyConfig.model_validate(fields)
    assert part in str(caught.value)


def test_leaving_out_sites_is_a_way_of_folds() -> None:
    assert StudyConfig.model_validate({"leave_out": "site"}).resampling == "kfold"
    assert StudyConfig.model_validate({"leave_out": None}).resampling == "holdout"
    again = StudyConfig.model_validate(StudyConfig.model_validate({"leave_out": "site"}).model_dump())
    assert (again.leave_out, again.resampling) == ("site", "kfold")


def test_what_a_trial_has_become_of() -> None:
    # what a trial has become of: one training
    assert config(data={"split_seed": 2}, study={"resampling": "reshuffle"}).data.divided


@pytest.mark.parametrize(
    ("fields", "part"),
    [
        ({}, "low and high"),
        ({"low": 2, "high": 1}, "low 2 is greater than high 1"),
        ({"low": 0, "high": 1, "log": True}, "low above 0, not 0"),
        ({"low": 1, "high": 2, "log": True, "step": 0.1}, "log and step 0.1"),
        ({"low": 1, "high": 2, "choices": [1]}, "choices and a range"),
        ({"choices": [1, 2, 1]}, "choices [1, 2, 1]"),
        ({"choices": []}, "choices"),
        ({"low": 1, "high": 2, "step": 0}, "step"),
        ({"low": 1, "high": 2, "prior": 3}, "prior 3 is outside of the range; write a number from 1 to 2"),
        ({"low": 1, "high": 2, "prior": "2e"}, "prior '2e' is not a number"),
        ({"low": 0, "high": 2, "prior": True}, "prior True is not a number"),
        ({"low": 1, "high": 2, "prior": float("nan")}, "finite number"),
        ({"low": 1, "high": 3, "step": 0.5, "prior": 1.2}, "prior 1.2 is between two steps of 0.5 from 1"),
        ({"low": 1, "high": 1, "prior": 1}, "prior 1: the field has one value only"),
        ({"choices": ["a"], "prior": "a"}, "prior 'a': the field has one value only"),
    ],
)
def test_a_distribution_that_cannot_be(fields: dict[str, Any], part: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Distribution.model_validate(fields)
    assert part in str(caught.value)


def test_studies_to_learn_from() -> None:
    assert StudyConfig().learn_from == ()
    assert StudyConfig.model_validate({"learn_from": "all"}).learn_from == "all"
    assert StudyConfig.model_validate({"learn_from": "a"}).learn_from == ("a",)
    assert StudyConfig.model_validate({"learn_from": ["a", "all"]}).learn_from == ("a", "all")
    with pytest.raises(ValidationError, match="sampler grid tries every combination once"):
        StudyConfig.model_validate({"learn_from": "a", "sampler": "grid"})
