"""What a study begins with: priors, then configurations of the studies that it learns from; chosen once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from helpers.studies import LR, Make, Tell
from mlflow import MlflowClient

from mobilenet_chest.config import Config
from mobilenet_chest.errors import StudyError
from mobilenet_chest.sweep import attributes, run_sweep
from mobilenet_chest.sweep.claims import claim
from mobilenet_chest.sweep.first_trials import FirstTrial, first_trials, learned_from, queue_first_trials
from mobilenet_chest.sweep.storage import DEFAULT
from mobilenet_chest.sweep.stored_study import open_or_create

PRIOR = {"stage2.lr": LR["stage2.lr"] | {"prior": 5e-4}, "model.dropout": {"low": 0.1, "high": 0.5}}


@pytest.fixture
def earlier(tell: Tell, url: str) -> str:
    """The storage of two studies, best at 0.0001 and 0.002, and of one with another field."""
    tell(url, "a", [({"stage2.lr": lr}, auc) for lr, auc in ((1e-5, 0.6), (1e-4, 0.9), (1e-2, 0.5))])
    tell(url, "b", [({"stage2.lr": lr}, auc) for lr, auc in ((2e-5, 0.5), (2e-3, 0.8), (5e-3, 0.6))])
    stems = {"model.stem": {"choices": ["mean", "sum"]}}
    tell(url, "stems", [({"model.stem": "sum"}, 0.8)], search=stems)
    return url


def new(make: Make, learn_from: Any = (), search: Any = PRIOR, **study: Any) -> Config:
    fields = {"trials": 20, "sampler": "random", "learn_from": learn_from} | study
    return make({"name": "new", "search": search, "study": fields})


def test_priors_are_first_and_then_the_portfolio(earlier: str, phantom_config: Make) -> None:
    config = new(phantom_config, "all")
    found = first_trials(config, earlier)
    assert found[0] == FirstTrial({"stage2.lr": 5e-4})
    assert str(found[0]) == "priors: stage2.lr=0.0005"
    assert {(each.study, each.values["stage2.lr"]) for each in found[1:]} >= {("a", 1e-4), ("b", 2e-3)}
    assert len(found) <= 5
    assert FirstTrial({"stage2.lr": 1e-4}, "a", 1) in found
    (only,) = first_trials(new(phantom_config, ["a"], LR), earlier)
    assert str(only) == "trial 1 of study 'a': stage2.lr=0.0001"
    assert first_trials(new(phantom_config), earlier) == found[:1]


def test_they_are_run_first_and_the_sampler_gives_the_rest(earlier: str, phantom_config: Make) -> None:
    config = new(phantom_config, "a")
    study = open_or_create(config, earlier)
    assert [each.study for each in queue_first_trials(config, study, earlier)] == [None, "a"]
    assert learned_from(study) == ["a"]
    begun = [claim(study, config, earlier) for _ in range(2)]
    assert [values["stage2.lr"] for _, values in begun if values] == [5e-4, 1e-4]  # type: ignore[misc]
    assert all(0.1 <= each[1]["model.dropout"] <= 0.5 for each in begun if each)


@pytest.mark.parametrize(
    "study",
    [
        {"sampler": "tpe"},
        {"sampler": "gp"},
        {"sampler": "tpe", "also": ["parameters"], "pruner": "none"},
        {"sampler": "qmc"},
    ],
)
def test_a_sampler_that_learns_sees_their_trials_and_begins_with_one(
    earlier: str, phantom_config: Make, study: dict[str, Any]
) -> None:
    config = new(phantom_config, "all", LR, **study)
    made = open_or_create(config, earlier)
    first = queue_first_trials(config, made, earlier)
    seen = made.user_attrs.get(attributes.EARLIER_TRIALS)
    if study["sampler"] == "qmc" or "also" in study:
        assert len(first) == 2
        assert seen is None
        return
    assert len(first) == 1
    assert sorted(seen, key=lambda each: each[0]["stage2.lr"]) == [
        [{"stage2.lr": 1e-5}, 0.5, "a"], [{"stage2.lr": 2e-5}, 0.0, "b"], [{"stage2.lr": 1e-4}, 1.0, "a"],
        [{"stage2.lr": 2e-3}, 1.0, "b"], [{"stage2.lr": 5e-3}, 0.5, "b"], [{"stage2.lr": 1e-2}, 0.0, "a"],
    ]  # fmt: skip
    assert sorted(learned_from(made)) == ["a", "b"]
    queue_first_trials(config, made, earlier)
    assert made.user_attrs[attributes.EARLIER_TRIALS] == seen


def test_they_are_queued_once_and_later_studies_change_nothing(earlier: str, phantom_config: Make, tell: Tell) -> None:
    config = new(phantom_config, "all", trials=2)
    study = open_or_create(config, earlier)
    first = queue_first_trials(config, study, earlier)
    assert len(study.get_trials()) == 2  # no more than the study is to have
    tell(earlier, "later", [({"stage2.lr": 9e-5}, 0.99), ({"stage2.lr": 9e-3}, 0.1)])
    assert queue_first_trials(config, study, earlier) == first == first_trials(config, earlier)
    assert len(study.get_trials()) == 2
    more = new(phantom_config, "all", trials=20)
    assert queue_first_trials(more, study, earlier) == first
    queued = [trial.system_attrs["fixed_params"] for trial in study.get_trials()]
    assert queued == [each.values for each in first]


def test_a_study_that_has_begun_without_them_goes_on_without(url: str, phantom_config: Make, tell: Tell) -> None:
    study = tell(url, "new", [({"stage2.lr": 1e-4}, 0.8)])
    assert queue_first_trials(new(phantom_config), study, url) == []
    assert first_trials(new(phantom_config), url) == []


def test_a_study_that_teaches_nothing(earlier: str, phantom_config: Make, tell: Tell) -> None:
    tell(earlier, "empty", [])
    for name, part in (
        ("aa", "no study 'aa' in"),
        ("stems", "study 'stems' searches none of these fields, but model.stem; allowed: a, b"),
        ("new", "'new' is this study itself"),
        ("empty", "study 'empty' has no complete trial"),
    ):
        with pytest.raises(StudyError) as caught:
            first_trials(new(phantom_config, [name]), earlier)
        assert part in str(caught.value)
        assert str(caught.value).startswith("study.learn_from: ")


def test_with_all_there_may_be_none(url: str, phantom_config: Make, caplog: pytest.LogCaptureFixture) -> None:
    assert first_trials(new(phantom_config, "all", LR), url) == []
    assert "nothing is learned" in caplog.text


@pytest.mark.slow
def test_a_sweep_says_what_it_begins_with(
    tracking: Path, tiny_search: Make, tell: Tell, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    tell(DEFAULT, "earlier", [({"stage2.lr": 2e-3}, 0.9), ({"stage2.lr": 1e-5}, 0.5)])
    config = tiny_search(LR, {"stage2.epochs": 1}, trials=1, learn_from="all")
    result = run_sweep(config, workers=1)
    assert [trial.params for trial in result.trials] == [{"stage2.lr": 2e-3}]
    run = MlflowClient().get_run(result.run_id)
    assert json.loads(run.data.tags["learned_from"]) == ["earlier"]
    assert "first trials: trial 0 of study 'earlier': stage2.lr=0.002" in caplog.text
