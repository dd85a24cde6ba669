"""Trials of earlier studies before a sampler: which values they get, how they fade, and what misleading ones cost."""

from __future__ import annotations

import math
import statistics
from typing import Any

import numpy as np
import optuna
import pytest
from helpers.studies import Make
from optuna.trial import FrozenTrial, TrialState, create_trial

from mobilenet_chest.config import Config, parse
from mobilenet_chest.sweep import attributes
from mobilenet_chest.sweep.earlier_trials import EarlierTrials
from mobilenet_chest.sweep.portfolio import portfolio, sample_trials
from mobilenet_chest.sweep.sampler import TrialSeededSampler
from mobilenet_chest.sweep.space import suggest
from mobilenet_chest.sweep.study_summary import StudySummary

SEARCH = {"stage2.lr": {"low": 1e-5, "high": 1e-2, "log": True}, "model.dropout": {"low": 0.0, "high": 0.9}}
ENDED = (TrialState.COMPLETE, TrialState.PRUNED)


def learner(make: Make = parse, **study: Any) -> Config:
    return make({"name": "new", "search": SEARCH, "study": {"sampler": "tpe", "learn_from": "all"} | study})


def told(config: Config, trials: list[Any]) -> optuna.Study:
    """Return a study that has trials of earlier ones: their values, and the rank of each."""
    study = optuna.create_study(direction=config.study.direction, sampler=TrialSeededSampler(config))
    study.set_user_attr(attributes.EARLIER_TRIALS, [(trial[0], trial[1], "a") for trial in trials])
    return study


def beside(config: Config, trials: list[tuple[dict[str, Any], float]], own: list[FrozenTrial]) -> list[FrozenTrial]:
    earlier = EarlierTrials(config, ENDED)
    earlier.read(told(config, trials))
    return earlier.beside(own)


def own_trials(*values: float) -> list[FrozenTrial]:
    return [create_trial(value=value) for value in values]


@pytest.mark.parametrize(
    ("metric", "own", "values"),
    [
        ("val_auc", [], [0.5, -0.5, 0.0]),
        ("val_auc", [0.8], [1.3, 0.3, 0.8]),
        ("val_auc", [0.9, 0.7, 0.6], [0.9, 0.6, 0.7]),
        ("val_loss", [0.2, 0.9, 0.4], [0.2, 0.9, 0.4]),
    ],
)
def test_ranks_become_values_of_the_study(metric: str, own: list[float], values: list[float]) -> None:
    place = {"stage2.lr": 1e-4, "model.dropout": 0.5}
    config = learner(metric=metric, direction="minimize" if metric == "val_loss" else "maximize")
    many = [(place, rank) for rank in (1.0, 0.0, 0.5)] * 5  # the last of them have faded
    seen = beside(config, many, own_trials(*own))
    assert [trial.value for trial in seen[:3]] == pytest.approx(values)
    assert {trial.state for trial in seen} == {TrialState.COMPLETE}
    assert seen[0].params == place
    assert [trial.number for trial in seen[:2]] == [-1, -1]  # older than all: Optuna gives old trials less weight


def test_each_own_trial_takes_the_place_of_four() -> None:
    trials = [({"stage2.lr": 1e-4, "model.dropout": n / 20}, n / 19) for n in range(18)]
    running = create_trial(state=TrialState.RUNNING)
    pruned = create_trial(state=TrialState.PRUNED, value=0.1)
    for own, left in (
        ([], 18),
        ([running], 18),
        ([pruned], 14),
        (own_trials(*range(4)), 2),
        (own_trials(*range(5)), 0),
    ):
        seen = beside(learner(), trials, own)
        assert [t.params["model.dropout"] for t in seen] == [n / 20 for n in range(left)]


def test_who_learns_nothing_sees_none() -> None:
    assert beside(learner(learn_from=[]), [({"stage2.lr": 1e-4, "model.dropout": 0.5}, 1.0)], []) == []
    assert EarlierTrials(learner(sampler="random"), ()).beside([]) == []


@pytest.mark.parametrize("kind", ["tpe", "gp"])
def test_a_sampler_begins_where_earlier_studies_were_good(kind: str) -> None:
    config = learner(sampler=kind)
    trials = sample_trials(config.search, [summary("a", 0, 1)], 0)

    def opened(storage: optuna.storages.InMemoryStorage) -> optuna.Study:
        return optuna.load_study(storage=storage, study_name="s", sampler=TrialSeededSampler(config))

    storage = optuna.storages.InMemoryStorage()
    study = optuna.create_study(storage=storage, study_name="s", direction="maximize")
    study.set_user_attr(attributes.EARLIER_TRIALS, trials)
    continued = run(opened(storage), config, 2) + run(opened(storage), config, 3)
    assert continued == run(told(config, trials), config, 5)  # whichever process asks
    assert all(loss(values, 0) < 0.1 for values in continued[:2])
    plain = run(told(learner(sampler=kind, learn_from=[]), trials), config, 2)
    assert not any(loss(values, 0) < 0.1 for values in plain)


def test_constraints_and_conditions_are_met(phantom_config: Make) -> None:
    gamma = {"low": 1.0, "high": 3.0, "when": {"loss.name": "focal"}}
    search = SEARCH | {"loss.name": {"choices": ["bce", "focal"]}, "loss.focal_gamma": gamma}
    study = {"sampler": "tpe", "learn_from": "all", "constraints": ["parameters <= 5.1e6"]}
    config = phantom_config({"search": search, "study": study})
    place = {"stage2.lr": 1e-4, "model.dropout": 0.5}
    trials: list[Any] = [(place | {"loss.name": "focal", "loss.focal_gamma": 2.0}, 1.0)]
    trials += [(place | {"loss.name": "bce"}, rank / 5) for rank in range(5)]
    study = told(config, trials)
    for number in range(3):
        trial = study.ask()
        values = suggest(trial, config.search)
        assert ("loss.focal_gamma" in values) == (values["loss.name"] == "focal")
        trial.set_constraint("parameters", 1.0 if number else -1.0)
        study.tell(trial, 0.5)


def test_each_study_gives_its_best_its_worst_and_what_lies_between() -> None:
    studies = [summary(name, 0, 1) for name in ("a", "b", "c")]
    trials = sample_trials(parse({"name": "x", "search": SEARCH}).search, studies, seed=3, most=9)
    assert sorted(trial.rank for trial in trials) == pytest.approx([0, 0, 0, 10 / 19, 10 / 19, 10 / 19, 1, 1, 1])
    assert sample_trials(parse({"name": "x", "search": SEARCH}).search, studies, seed=3, most=9) == trials
    assert [trial.rank for trial in trials] != sorted(trial.rank for trial in trials)
    assert len(sample_trials(parse({"name": "x", "search": SEARCH}).search, studies, seed=3)) == 39


def test_many_studies_give_one_trial_each_and_not_their_worst() -> None:
    studies = [summary(f"s{number}", number, 1) for number in range(25)]
    trials = sample_trials(parse({"name": "x", "search": SEARCH}).search, studies, seed=3)
    assert len({trial.study for trial in trials}) == len(trials) == 25
    ranks = sorted(trial.rank for trial in trials)
    assert (ranks[0], ranks[12], ranks[-1]) == pytest.approx((0, 0.5, 1), abs=0.06)


def test_trials_without_a_field_are_left_out() -> None:
    more = SEARCH | {"model.stem": {"choices": ["mean", "sum"]}}
    assert sample_trials(parse({"name": "x", "search": more}).search, [summary("a", 0, 1)], 0) == []
    narrow = SEARCH | {"model.dropout": {"low": 0.3, "high": 0.5}}
    inside = sample_trials(parse({"name": "x", "search": narrow}).search, [summary("a", 0, 1)], 0)
    assert inside
    assert all(0.3 <= trial.values["model.dropout"] <= 0.5 for trial in inside)


def loss(values: dict[str, Any], task: int) -> float:
    """Return how far values are from the best ones of a task: they lie near to each other for all tasks."""
    shift = np.random.default_rng(task).normal(0, [0.25, 0.08])
    places = math.log10(values["stage2.lr"]) + 3.3 + shift[0], values["model.dropout"] - 0.4 + shift[1]
    return float((places[0] / 3) ** 2 + (places[1] / 0.9) ** 2)


def summary(name: str, task: int, sign: float) -> StudySummary:
    """Return a study of 20 random trials of a task; with ``sign`` -1 the worst of them look best."""
    generator = np.random.default_rng(1000 + task)
    trials = []
    for number in range(20):
        values = {"stage2.lr": 10 ** generator.uniform(-5, -2), "model.dropout": generator.uniform(0, 0.9)}
        trials.append({"number": number, "state": "COMPLETE", "params": values, "value": -sign * loss(values, task),
                       "seconds": 1.0})  # fmt: skip
    fields = {"name": name, "metric": "val_auc", "direction": "maximize", "search": SEARCH, "trials": trials}
    return StudySummary.model_validate(fields)


def run(study: optuna.Study, config: Config, trials: int, task: int = 0, target: float = -1) -> list[dict[str, Any]]:
    """Run trials of a task until one is near enough to the best."""
    values: list[dict[str, Any]] = []
    while len(values) < trials and not (values and loss(values[-1], task) < target):
        trial = study.ask()
        values.append(suggest(trial, config.search))
        study.tell(trial, -loss(values[-1], task))
    return values


def median_trials(sign: float | None, seeds: int, kind: str = "tpe") -> float:
    """Return after how many trials a study is near the best: ``None`` for one that learns from no other."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    counts = []
    for seed in range(seeds):
        config = learner(sampler=kind).model_copy(update={"seed": seed})
        earlier = [summary(f"s{n}", 1 + 3 * seed + n, sign) for n in range(3)] if sign is not None else []
        study = told(config, sample_trials(config.search, earlier, seed))
        for member in portfolio(config.search, earlier, most=1):
            study.enqueue_trial(member.values)
        counts.append(len(run(study, config, 80, task=1000 + seed, target=0.006)))
    return statistics.median(counts)


@pytest.mark.slow
def test_what_earlier_studies_save_and_what_misleading_ones_cost() -> None:
    none, learned, misled = (median_trials(sign, 31) for sign in (None, 1.0, -1.0))
    print(none, learned, misled)
    assert none >= 10  # no easy target
    assert learned <= 0.6 * none
    assert misled <= 1.2 * none
