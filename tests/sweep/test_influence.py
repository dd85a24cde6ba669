"""Ranks of trials, places in ranges, and the tests of an influence."""

from __future__ import annotations

import numpy as np
import optuna
import pytest

from mobilenet_chest.config import Distribution
from mobilenet_chest.sweep.influence import bounds, greater_p, influence_p, is_preferred, place_in_range, rank


def test_pruned_trials_are_behind_all_complete_ones() -> None:
    complete = [optuna.create_trial(value=value) for value in (0.5, -2.0)]
    pruned = [optuna.create_trial(state=optuna.trial.TrialState.PRUNED) for _ in range(2)]
    scores = [trial.score for trial in rank("minimize", complete, pruned)]
    assert scores[:2] == [-0.5, 2.0]
    assert scores[2] == scores[3] < -0.5
    assert rank("maximize", [], pruned) == []


def test_the_place_of_a_value_in_its_range() -> None:
    for distribution, values in (
        (Distribution(low=1, high=3), (1, 2, 3)),
        (Distribution(low=1e-4, high=1e-2, log=True), (1e-4, 1e-3, 1e-2)),
        (Distribution(choices=(0.01, 1e-4, 0.001)), (1e-4, 1e-3, 1e-2)),
        (Distribution(choices=(1, 2, 3)), (1, 2, 3)),
    ):
        place = place_in_range(distribution)
        assert place is not None
        assert [place(value) for value in values] == pytest.approx([0, 0.5, 1])
    for distribution in (
        Distribution(choices=(1, 2)),
        Distribution(choices=("a", "b", "c")),
        Distribution(choices=(True, False, None)),
        Distribution(low=1, high=1),
    ):
        assert place_in_range(distribution) is None
    assert bounds(Distribution(choices=(8, 32, 16))) == (8, 32, False)


def test_greater_is_one_sided() -> None:
    assert greater_p([5, 6, 7], [1, 2, 3, 4]) == pytest.approx(1 / 35)
    assert greater_p([1, 2], [5, 6, 7]) == pytest.approx(1.0)
    assert greater_p([], [1]) == greater_p([1, 1], [1]) == 1.0


def test_an_influence_is_seen_in_one_direction_and_in_the_middle() -> None:
    lr, random = Distribution(low=0, high=1), np.random.default_rng(0)
    values = random.random(24).tolist()
    noise = random.random(24).tolist()
    rising = influence_p(lr, values, [v + 0.1 * n for v, n in zip(values, noise, strict=True)])
    middle = influence_p(lr, values, [-((v - 0.5) ** 2) for v in values])
    none = influence_p(lr, values, noise)
    assert rising is not None
    assert middle is not None
    assert none is not None
    assert max(rising, middle) < 0.01 < 0.2 < none
    names = ["a", "b", "c"] * 8
    by_name = influence_p(Distribution(choices=("a", "b", "c")), names, [{"a": 0, "b": 1, "c": 2}[n] for n in names])
    assert by_name is not None
    assert by_name < 0.01


def test_what_cannot_be_tested() -> None:
    lr = Distribution(low=0, high=1)
    assert influence_p(lr, [0.1, 0.2, 0.3], [1, 1, 1]) is None
    assert influence_p(lr, [0.1, 0.1, 0.1], [1, 2, 3]) is None


def test_a_sampler_that_comes_back_to_one_part_has_seen_an_influence() -> None:
    lr, names = Distribution(low=1e-4, high=1e-1, log=True), Distribution(choices=("a", "b"))
    assert is_preferred(lr, [2e-3] * 15 + [2e-4] * 3 + [5e-2] * 2)
    assert not is_preferred(lr, [2e-3] * 10 + [2e-4] * 5 + [5e-2] * 5)
    assert is_preferred(names, ["a"] * 15 + ["b"] * 5)
    assert not is_preferred(names, ["a"] * 12 + ["b"] * 8)
