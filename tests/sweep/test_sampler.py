"""A sampler that never repeats its suggestions, whichever process makes it and however often."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import optuna
import pytest

from mobilenet_chest.config import Config
from mobilenet_chest.sweep.optuna_adapter import trial_id
from mobilenet_chest.sweep.sampler import TrialSeededSampler
from mobilenet_chest.sweep.space import suggest

FOCAL = {
    # the conditional one first: the order in the file must not matter
    "loss.focal_gamma": {"low": 1.0, "high": 3.0, "step": 1.0, "when": {"loss.name": "focal"}},
    "loss.name": {"choices": ["bce", "focal"]},
}
CONTINUOUS = {
    "stage2.lr": {"low": 1e-5, "high": 1e-2, "log": True},
    "model.dropout": {"low": 0.0, "high": 0.9},
}

KINDS = [
    *("tpe", "gp", "random", "qmc"),
    pytest.param("cmaes", marks=pytest.mark.skipif(find_spec("cmaes") is None, reason="needs the extra 'cmaes'")),
]

Make = Callable[..., Config]

# Optuna warns of the experimental class; test_making_a_sampler_warns_of_nothing is about what a user sees
pytestmark = pytest.mark.filterwarnings("ignore:QMCSampler is experimental")


def run(study: optuna.Study, config: Config, trials: int) -> list[dict[str, Any]]:
    """Suggest and finish trials with a value that depends on the suggestion only."""
    suggested = []
    for _ in range(trials):
        trial = study.ask()
        values = suggest(trial, config.search)
        # best inside of both ranges: a sampler that learns would try their ends twice
        study.tell(trial, -((values["model.dropout"] - 0.4) ** 2) - (math.log10(values["stage2.lr"]) + 3.3) ** 2)
        suggested.append(values)
    return suggested


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_sampler_continues_as_one_that_was_never_stopped(phantom_config: Make, kind: str) -> None:
    config = phantom_config({"search": CONTINUOUS, "study": {"sampler": kind}})
    storage = optuna.storages.InMemoryStorage()
    optuna.create_study(storage=storage, study_name="s", direction="maximize")

    def opened() -> optuna.Study:
        return optuna.load_study(storage=storage, study_name="s", sampler=TrialSeededSampler(config))

    continued = run(opened(), config, 3) + run(opened(), config, 4)
    unbroken = run(optuna.create_study(sampler=TrialSeededSampler(config), direction="maximize"), config, 7)
    assert continued == unbroken
    for path in CONTINUOUS:
        assert len({values[path] for values in continued}) == 7, path


@pytest.mark.parametrize("kind", KINDS)
def test_another_seed_gives_other_values(phantom_config: Make, kind: str) -> None:
    first, second = (
        run(optuna.create_study(sampler=TrialSeededSampler(config)), config, 2)
        for config in (
            phantom_config({"search": CONTINUOUS, "study": {"sampler": kind}, "seed": seed}) for seed in (1, 2)
        )
    )
    assert not any(values in second for values in first)


def test_random_values_depend_on_the_trials_number_alone(phantom_config: Make) -> None:
    """Whatever else was asked of the sampler before, and in whichever process."""
    config = phantom_config({"search": CONTINUOUS, "study": {"sampler": "random"}})
    unbroken = run(optuna.create_study(sampler=TrialSeededSampler(config)), config, 4)
    study = optuna.create_study(sampler=TrialSeededSampler(config))
    first = study.ask()
    second = study.ask()
    third = study.ask()
    assert suggest(third, config.search) == unbroken[2]
    values = [suggest(optuna.trial.Trial(study, trial_id(trial)), config.search) for trial in (second, first)]
    study.sampler = TrialSeededSampler(config)
    assert suggest(study.ask(), config.search) == unbroken[3]
    assert len(values) == 2


@pytest.mark.parametrize("kind", ["random", "tpe"])
def test_draws_around_priors_continue_as_they_would_have(phantom_config: Make, kind: str) -> None:
    search = {path: fields | {"prior": 0.005} for path, fields in CONTINUOUS.items()}
    config = phantom_config({"search": search, "study": {"sampler": kind}})
    storage = optuna.storages.InMemoryStorage()
    optuna.create_study(storage=storage, study_name="s", direction="maximize")

    def opened() -> optuna.Study:
        return optuna.load_study(storage=storage, study_name="s", sampler=TrialSeededSampler(config))

    continued = run(opened(), config, 3) + run(opened(), config, 4)
    unbroken = run(optuna.create_study(sampler=TrialSeededSampler(config), direction="maximize"), config, 7)
    assert continued == unbroken
    assert continued[0]["model.dropout"] < 0.3  # around the prior
    without = phantom_config({"search": CONTINUOUS, "study": {"sampler": kind}})
    plain = run(optuna.create_study(sampler=TrialSeededSampler(without), direction="maximize"), without, 7)
    assert continued[0] != plain[0]
    if kind == "random":
        assert any(values in plain for values in continued)  # the others are as they were


@pytest.mark.parametrize("kind", ["qmc", "gp"])
def test_a_sequence_and_a_model_have_no_draws_around_priors(phantom_config: Make, kind: str) -> None:
    search = {path: fields | {"prior": 0.005} for path, fields in CONTINUOUS.items()}
    with_priors, without = (
        phantom_config({"search": each, "study": {"sampler": kind}}) for each in (search, CONTINUOUS)
    )
    studies = [optuna.create_study(sampler=TrialSeededSampler(c), direction="maximize") for c in (with_priors, without)]
    if kind == "gp":  # once it has a model
        for study in studies:
            run(study, without, 4)
    first, second = (run(s, c, 2) for s, c in zip(studies, (with_priors, without), strict=True))
    assert (first == second) == (kind == "qmc")


@pytest.mark.parametrize("kind", KINDS)
def test_making_a_sampler_warns_of_nothing(phantom_config: Make, kind: str) -> None:
    """A sampler is made for every trial, and each would repeat the warning."""
    config = phantom_config({"search": CONTINUOUS, "study": {"sampler": kind}})
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        sampler = TrialSeededSampler(config)
    assert isinstance(sampler, optuna.samplers.BaseSampler)
    assert warned == []


def test_qmc_covers_the_range_evenly(phantom_config: Make) -> None:
    """Eight points of a Sobol sequence, scrambled, put one into each eighth: random ones do not."""
    config = phantom_config({"search": CONTINUOUS, "study": {"sampler": "qmc"}})
    values = run(optuna.create_study(sampler=TrialSeededSampler(config)), config, 8)
    assert sorted(int(v["model.dropout"] / 0.9 * 8) for v in values) == list(range(8))


def test_qmc_takes_conditional_fields_too(phantom_config: Make) -> None:
    config = phantom_config({"search": FOCAL | CONTINUOUS, "study": {"sampler": "qmc"}})
    values = run(optuna.create_study(sampler=TrialSeededSampler(config)), config, 8)
    assert {v["loss.name"] for v in values} == {"bce", "focal"}
    assert all(("loss.focal_gamma" in v) == (v["loss.name"] == "focal") for v in values)
