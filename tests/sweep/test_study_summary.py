"""Studies in short: what they keep of a study, and which studies have one."""

from __future__ import annotations

from typing import Any

import optuna
import pytest
from helpers.studies import LR, Tell, summary
from pydantic import ValidationError

from mobilenet_chest.sweep import attributes
from mobilenet_chest.sweep.study_summary import StudySummary, summaries, summarize_study

SIZES = {"model.hidden": {"choices": [[64], []]}}


def test_a_study_in_short(tell: Tell, url: str) -> None:
    tell(url, "a", [({"stage2.lr": 1e-4}, 0.8), ({"stage2.lr": 1e-3}, None), ({"stage2.lr": 1e-2}, 0.9)])
    (found,) = summaries(url)
    assert (found.name, found.metric, found.direction) == ("a", "val_auc", "maximize")
    assert (found.data.dataset, found.data.digest) == ("chestmnist", None)
    assert found.search["stage2.lr"].high == 1e-2
    assert [(t.number, t.state, t.params, t.value) for t in found.trials] == [
        (0, "COMPLETE", {"stage2.lr": 1e-4}, 0.8),
        (1, "FAIL", {"stage2.lr": 1e-3}, None),
        (2, "COMPLETE", {"stage2.lr": 1e-2}, 0.9),
    ]
    assert all(trial.seconds is not None and 0 <= trial.seconds < 60 for trial in found.trials)


def test_a_users_data_have_the_users_name(tell: Tell, url: str) -> None:
    own = {"dataset": None, "path": "films/ward.npz", "classes": ["well", "ill"]}
    trials: list[tuple[dict[str, float], float]] = [({"stage2.lr": 1e-4}, 0.8)]
    study = tell(url, "named", trials, data=own | {"name": "clinic"})
    tell(url, "nameless", trials, data=own)
    other = tell(url, "other", trials, data={"dataset": "pneumoniamnist", "path": "films/copy.npz"})
    assert [each.data.dataset for each in summaries(url)] == ["clinic", "ward", "pneumoniamnist"]
    for each in (study, other):
        each.set_user_attr(attributes.DATA_NAME, None)  # of before the name was kept
    assert [each.data.dataset for each in summaries(url)] == ["ward", "ward", "pneumoniamnist"]


def test_a_list_is_a_list_again(tell: Tell, url: str) -> None:
    study = tell(url, "a", [], search=SIZES)
    study.enqueue_trial({"model.hidden": "[64]"})
    trial = study.ask()
    trial.suggest_categorical("model.hidden", ["[64]", "[]"])
    study.tell(trial, 0.5)
    (found,) = summaries(url)
    assert found.trials[0].params == {"model.hidden": (64,)}


def test_what_has_no_complete_trial_or_goes_on_is_not_there(tell: Tell, url: str) -> None:
    tell(url, "failed", [({"stage2.lr": 1e-4}, None)])
    going = tell(url, "going", [({"stage2.lr": 1e-4}, 0.8)])
    going.enqueue_trial({"stage2.lr": 1e-3})
    assert [each.name for each in summaries(url)] == ["going"]
    assert summaries(url, resting=True) == []
    paused = going.ask()
    paused.set_user_attr(attributes.PAUSED, 2)
    paused.suggest_float("stage2.lr", 1e-5, 1e-2, log=True)
    (resting,) = summaries(url, resting=True)
    assert [trial.state for trial in resting.trials] == ["COMPLETE", "PRUNED"]


def test_a_study_of_another_program_has_none(url: str) -> None:
    assert summarize_study(optuna.create_study(study_name="other")) is None


@pytest.mark.parametrize(
    ("trial", "part"),
    [
        ({"params": {"stage2.lr": 1.0}}, "trial 0 has stage2.lr = 1.0; allowed: low 1e-05, high 0.01"),
        ({"params": {"stage2.lrr": 1e-3}}, "stage2.lrr = 0.001, which is not searched"),
        ({"value": None}, "trial 0 is COMPLETE and has no value"),
        ({"value": float("nan")}, "finite number"),
        ({"params": {"stage2.lr": float("inf")}}, "finite number"),
        ({"number": -1}, "greater than or equal to 0"),
        ({"seconds": -1}, "greater than or equal to 0"),
        ({"state": "RUNNING"}, "'COMPLETE', 'PRUNED' or 'FAIL'"),
    ],
)
def test_a_summary_that_cannot_be(trial: dict[str, Any], part: str) -> None:
    fields = summary("a", {1e-3: 0.9}).model_dump()
    fields["trials"] = [fields["trials"][0] | trial]
    with pytest.raises(ValidationError) as caught:
        StudySummary.model_validate(fields)
    assert part in str(caught.value)


def test_fields_of_another_version_are_taken() -> None:
    newer = {"stage2.of_tomorrow": {"low": 1e-5, "high": 1e-2}}
    assert summary("a", {1e-3: 0.9}, "stage2.of_tomorrow", newer).trials[0].params == {"stage2.of_tomorrow": 1e-3}
    assert summary("a", {1e-3: 0.9}, search=LR).data.dataset is None
