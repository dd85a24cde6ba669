"""Values that were tried are not trained again: the result is taken, or another seed is trained."""

from __future__ import annotations

import optuna
import pytest
from helpers.claims import STEMS, Make, Open, taken_by
from optuna.trial import TrialState

from mobilenet_chest.sweep import attributes
from mobilenet_chest.sweep.claims import best_trial, claim, counted_trials, ranked_trials, requeue
from mobilenet_chest.sweep.leaderboard import leaderboard
from mobilenet_chest.sweep.repeats import Repeat, repeat_fields, repeat_of, took_result

BY_HAND = {attributes.ADDED: "someone@here"}


def test_an_added_configuration_takes_the_result_that_is_known(phantom_config: Make, opened: Open, url: str) -> None:
    config = phantom_config({"search": STEMS, "study": {"trials": 3, "sampler": "random"}})
    study = opened(config)
    first = claim(study, config, url)
    assert first is not None
    first[0].set_user_attr(attributes.RUN_ID, "abc")
    study.tell(first[0], 0.7)
    study.enqueue_trial(first[0].params, user_attrs=BY_HAND)
    second = claim(study, config, url)
    assert second is not None
    assert second[0].params != first[0].params  # the worker went on to values that are new
    copy = study.get_trials()[1]
    assert (copy.state, copy.values, copy.user_attrs[attributes.RUN_ID]) == (TrialState.COMPLETE, [0.7], "abc")
    assert repeat_of(copy) == Repeat(0, "result")
    assert [trial.number for trial in counted_trials(study)] == [0, 1]
    assert [trial.number for trial in ranked_trials(study)] == [0]  # it is no second opinion
    study.tell(second[0], 0.6)
    assert best_trial(study).number == 0  # type: ignore[union-attr]
    table = leaderboard(study, config.study).set_index("number")
    assert table["repeats"].to_dict() == {0: "", 1: "result of 0", 2: ""}


def test_a_pruned_result_is_taken_as_pruned(phantom_config: Make, opened: Open, url: str) -> None:
    config = phantom_config({"search": STEMS, "study": {"trials": 2, "sampler": "random"}})
    study = opened(config)
    first = claim(study, config, url)
    assert first is not None
    first[0].report(0.4, 1)
    study.tell(first[0], state=TrialState.PRUNED)
    study.enqueue_trial(first[0].params, user_attrs=BY_HAND)
    assert claim(study, config, url) is None
    copy = study.get_trials()[1]
    assert (copy.state, copy.intermediate_values, took_result(copy)) == (TrialState.PRUNED, {1: 0.4}, True)


def test_values_that_are_being_trained_get_another_seed(phantom_config: Make, opened: Open, url: str) -> None:
    config = phantom_config({"search": STEMS, "study": {"trials": 2, "sampler": "random"}})
    study = opened(config)
    first = claim(study, config, url)
    assert first is not None
    study.enqueue_trial(first[0].params, user_attrs=BY_HAND)
    second = claim(study, config, url)
    assert second is not None
    seed = repeat_fields(second[0])["seed"]
    assert 0 <= seed < 2**32
    assert seed != config.seed
    assert repeat_of(second[0]) == Repeat(0, "seed", seed)
    requeue(study, study.get_trials()[1], deaths=0)  # an interrupt: the run goes on with the same seed
    assert repeat_of(study.get_trials()[2]) == Repeat(0, "seed", seed)


def test_with_splits_of_their_own_trials_are_repeated(phantom_config: Make, opened: Open, url: str) -> None:
    config = phantom_config(
        {"search": STEMS, "study": {"trials": 2, "sampler": "random", "resampling": "reshuffle", "pruner": "none"}}
    )
    study = opened(config)
    first = claim(study, config, url)
    assert first is not None
    study.tell(first[0], 0.5)
    study.enqueue_trial(first[0].params, user_attrs=BY_HAND)
    second = claim(study, config, url)
    assert second is not None
    assert repeat_of(second[0]) == Repeat(0, "split")
    assert repeat_fields(second[0]) == {}


def test_a_configuration_that_failed_is_tried_again(phantom_config: Make, opened: Open, url: str) -> None:
    config = phantom_config({"search": STEMS, "study": {"trials": 2, "sampler": "random"}})
    study = opened(config)
    first = claim(study, config, url)
    assert first is not None
    study.tell(first[0], state=TrialState.FAIL)
    study.enqueue_trial(first[0].params, user_attrs=BY_HAND)
    second = claim(study, config, url)
    assert second is not None
    assert second[1] == first[1]
    assert repeat_of(second[0]) is None


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_an_exhausted_space_trains_nothing_twice(phantom_config: Make, opened: Open, url: str, sampler: str) -> None:
    config = phantom_config({"search": STEMS, "study": {"trials": 6, "sampler": sampler}})
    study: optuna.Study = opened(config)
    assert len(taken_by(study, config, url)) == 3
    assert [took_result(trial) for trial in counted_trials(study)] == [False] * 3 + [True] * 3
