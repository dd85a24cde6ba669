"""Settings that are read from a run again: of its tag, or of the parameters of an early version."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from mlflow.entities import Param, Run, RunData, RunInfo, RunTag

from mobilenet_chest.config import flatten, parse
from mobilenet_chest.tracking.run_settings import FIELDS, STUDY_FIELDS, settings_of, settings_text

SEARCH = {"search": {"model.dropout": {"low": 0.2, "high": 0.6}}}


def run(tags: Mapping[str, str], params: Mapping[str, str]) -> Run:
    data = RunData(params=[Param(*item) for item in params.items()], tags=[RunTag(*item) for item in tags.items()])
    return Run(RunInfo("run", "1", "me", "FINISHED", 0, 0, "active"), data)


def as_params(fields: Mapping[str, Any]) -> dict[str, str]:
    """The parameters of a run of an early version: all fields."""
    return {path: value if isinstance(value, str) else json.dumps(value) for path, value in flatten(fields).items()}


def test_a_training_has_its_fields() -> None:
    config = parse({"name": "one", "seed": 7, "stage1": {"epochs": 3}})
    settings = settings_of(run({"settings": settings_text(config)}, {}))
    assert settings.keys() == set(FIELDS)
    assert (settings["seed"], settings["stage1.epochs"]) == (7, 3)
    assert settings["evaluation.threshold_low"] == config.evaluation.threshold_low


def test_a_study_has_those_of_its_choice_too() -> None:
    config = parse({"name": "one", "study": {"trials": 9, "confirm": {"seeds": 3, "top": 2}}, **SEARCH})
    settings = settings_of(run({"settings": settings_text(config)}, {}))
    assert settings.keys() == {*FIELDS, *STUDY_FIELDS}
    assert (settings["study.trials"], settings["study.confirm.seeds"], settings["study.resampling"]) == (
        9,
        3,
        "holdout",
    )


def test_a_run_of_an_early_version_has_the_same() -> None:
    config = parse({"name": "one", "study": {"confirm": {"seeds": 3, "top": 2}}, **SEARCH})
    early = settings_of(run({}, as_params(config.resolved())))
    assert early == settings_of(run({"settings": settings_text(config)}, {}))


def test_a_run_of_another_program_has_none() -> None:
    assert settings_of(run({}, {"lr": "0.1"})) == {}


def test_the_tag_is_short() -> None:
    config = parse({"name": "one", "study": {"confirm": {"seeds": 3, "top": 2}}, **SEARCH})
    assert len(settings_text(config)) < 500  # MLflow takes 8,000 characters, and shows tags to people
