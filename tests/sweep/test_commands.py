"""What a person may ask of a study, and what is refused."""

from __future__ import annotations

from typing import Any

import optuna
import pytest
from helpers.claims import RANGE, Make
from optuna.trial import TrialState

from mobilenet_chest.config import Config
from mobilenet_chest.errors import StudyError
from mobilenet_chest.sweep import attributes, commands
from mobilenet_chest.sweep.claims import claim
from mobilenet_chest.sweep.control import event_lines
from mobilenet_chest.sweep.stored_study import open_or_create

FOCAL: dict[str, Any] = {
    "loss.name": {"choices": ["bce", "focal"]},
    "loss.focal_gamma": {"low": 1.0, "high": 3.0, "when": {"loss.name": "focal"}},
    "model.hidden": {"choices": [[64], []]},
    "optimizer.batch_size": {"low": 8, "high": 32},
}


@pytest.fixture
def config(phantom_config: Make) -> Config:
    return phantom_config({"search": RANGE | FOCAL, "study": {"trials": 2, "sampler": "random"}})


@pytest.fixture
def study(config: Config, url: str) -> Any:
    opened = open_or_create(config, url)
    yield opened
    backend = getattr(opened._storage, "_backend", opened._storage)
    backend.remove_session()
    backend.engine.dispose()


def test_an_added_configuration_is_next_and_complete(study: optuna.Study, config: Config, url: str) -> None:
    given = {"loss.name": "focal", "stage2.lr": 1e-4, "model.hidden": [64], "optimizer.batch_size": 16.0}
    assert "trial 0" in commands.add(study, url, given)
    claimed = claim(study, config, url)
    assert claimed is not None
    trial, values = claimed
    assert (values["loss.name"], values["stage2.lr"], values["model.hidden"]) == ("focal", 1e-4, (64,))
    assert values["optimizer.batch_size"] == 16
    assert isinstance(values["optimizer.batch_size"], int)
    assert 1 <= values["loss.focal_gamma"] <= 3  # the sampler gave what was left out
    assert trial.user_attrs[attributes.ADDED]


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({}, "stage2.lr"),
        ({"stage2.lrr": 1e-4}, "stage2.lr"),
        ({"stage2.lr": 1.0}, "low 1e-05"),
        ({"stage2.lr": "much"}, "'much'"),
        ({"optimizer.batch_size": 8.5}, "8.5"),
        ({"loss.name": "mse"}, "bce"),
        ({"loss.name": "bce", "loss.focal_gamma": 2.0}, "loss.name=focal"),
    ],
)
def test_what_is_wrong_with_a_configuration_is_named(
    study: optuna.Study, url: str, values: dict[str, Any], named: str
) -> None:  # fmt: skip
    with pytest.raises(StudyError) as caught:
        commands.add(study, url, values)
    assert named in str(caught.value)
    assert "\n" not in str(caught.value)
    assert study.get_trials() == []


def test_a_complete_study_says_how_an_added_trial_is_run(study: optuna.Study, config: Config, url: str) -> None:
    while (claimed := claim(study, config, url)) is not None:
        study.tell(claimed[0], 0.5)
    done = commands.add(study, url, study.get_trials()[0].params | {"model.hidden": [64]})
    assert "trials=3" in done


def test_a_queued_trial_is_taken_out_and_an_ended_one_is_not(study: optuna.Study, config: Config, url: str) -> None:
    commands.add(study, url, {"stage2.lr": 1e-4})
    commands.stop_trial(study, url, number=0)
    claimed = claim(study, config, url)
    assert claimed is not None
    assert claimed[0].number == 1
    assert study.get_trials()[0].state == TrialState.FAIL
    for number, said in ((0, "fail"), (7, "no such trial")):
        with pytest.raises(StudyError, match=said) as caught:
            commands.stop_trial(study, url, number=number)
        assert str(caught.value).endswith("queued: 1")


@pytest.mark.parametrize(("field", "value"), [("workers", 2), ("trials", 0), ("trials", "many"), ("trials", True)])
def test_a_wrong_total_is_refused(study: optuna.Study, url: str, field: str, value: object) -> None:
    with pytest.raises(StudyError, match="trials"):
        commands.set_field(study, url, field, value)


def test_events_are_kept_in_order(study: optuna.Study, url: str) -> None:
    commands.pause(study, url)
    assert "already" in commands.pause(study, url)
    commands.resume(study, url)
    assert "nothing to do" in commands.resume(study, url)
    commands.set_field(study, url, "study.trials", 40)
    commands.stop(study, url)
    assert [line.split(" ", 1)[1].partition(" (by")[0] for line in event_lines(study)] == [
        "paused", "resumed", "trials set to 40 (was 2)", "stopped",
    ]  # fmt: skip


def test_an_unknown_study_is_answered_with_those_there_are(study: optuna.Study, url: str) -> None:
    with pytest.raises(StudyError) as caught:
        commands.command("tin", url, commands.pause)
    assert study.study_name in str(caught.value)
    assert commands.command(study.study_name, url, commands.pause)["study"] == study.study_name


def test_a_study_whose_workers_would_not_obey_is_left_alone(study: optuna.Study, url: str) -> None:
    study.set_user_attr(attributes.ASKED_TRIALS, None)
    with pytest.raises(StudyError, match="sweep command"):
        commands.command(study.study_name, url, commands.pause)
    assert attributes.STUDY_PAUSED not in study.user_attrs
