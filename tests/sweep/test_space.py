"""Search spaces as Optuna sees them, grids, and a sampler that never repeats itself however often it is made."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.pruners import HyperbandPruner, MedianPruner, NopPruner
from optuna.trial import FixedTrial

from mobilenet_chest.config import Config, with_values
from mobilenet_chest.errors import ConfigError
from mobilenet_chest.sweep.space import (
    STARTUP_TRIALS,
    TrialSeededSampler,
    build_pruner,
    grid_points,
    suggest,
    to_optuna,
)

FOCAL = {
    # the conditional one first: the order in the file must not matter
    "loss.focal_gamma": {"low": 1.0, "high": 3.0, "step": 1.0, "when": {"loss.name": "focal"}},
    "loss.name": {"choices": ["bce", "focal"]},
}
CONTINUOUS = {
    "stage2.lr": {"low": 1e-5, "high": 1e-2, "log": True},
    "model.dropout": {"low": 0.0, "high": 0.9},
}

Make = Callable[..., Config]

# Optuna says so of the class as such; test_making_a_sampler_says_nothing is about who hears it
pytestmark = pytest.mark.filterwarnings("ignore:QMCSampler is experimental")


# --- suggest and to_optuna -----------------------------------------------------------------------------------------


def test_a_conditional_field_is_suggested_only_where_its_condition_holds(phantom_config: Make) -> None:
    search = phantom_config({"search": FOCAL}).search
    assert suggest(FixedTrial({"loss.name": "bce"}), search) == {"loss.name": "bce"}  # type: ignore[arg-type]
    focal = {"loss.name": "focal", "loss.focal_gamma": 2.0}
    assert suggest(FixedTrial(focal), search) == focal  # type: ignore[arg-type]


def test_choices_that_are_lists(phantom_config: Make) -> None:
    """Optuna stores no lists: it gets their text, the trial gets the list."""
    sizes = {
        "stage2.resolutions": {"choices": [[16, 32], [32], None]},
        "stage2.unfreeze_from": {"choices": [0, [9, 3]]},
    }
    config = phantom_config({"search": sizes, "stage2.epochs": 2})
    drawn = FixedTrial({"stage2.resolutions": "[16, 32]", "stage2.unfreeze_from": "[9, 3]"})
    values = suggest(drawn, config.search)  # type: ignore[arg-type]
    stage2 = with_values(config, values).stage2
    assert (stage2.resolutions, stage2.unfreeze_from) == ((16, 32), (9, 3))
    plain = suggest(FixedTrial({"stage2.resolutions": None, "stage2.unfreeze_from": "[0]"}), config.search)  # type: ignore[arg-type]
    assert with_values(config, plain).stage2.resolutions is None
    points = grid_points(config)
    assert len(points) == 6
    assert {"stage2.resolutions": "[16, 32]", "stage2.unfreeze_from": "[9, 3]"} in points


def test_a_range_of_blocks(phantom_config: Make) -> None:
    config = phantom_config({"search": {"stage2.unfreeze_from": {"low": 0, "high": 16}}})
    assert to_optuna("stage2.unfreeze_from", config.search["stage2.unfreeze_from"]) == IntDistribution(0, 16)
    values = suggest(FixedTrial({"stage2.unfreeze_from": 13}), config.search)  # type: ignore[arg-type]
    assert with_values(config, values).stage2.unfreeze_from == (13,)


def test_a_field_of_whole_numbers_gets_whole_numbers(phantom_config: Make) -> None:
    config = phantom_config(
        {
            "search": {
                "optimizer.batch_size": {"low": 8, "high": 64, "step": 8},
                "optimizer.accumulation": {"low": 1, "high": 16, "log": True},
                "stage2.patience": {"low": 2, "high": 4},
                "model.dropout": {"low": 0.1, "high": 0.5, "step": 0.2},
                "stage2.lr": {"low": 1e-5, "high": 1e-3, "log": True},
                "model.stem": {"choices": ["mean", "sum"]},
            }
        }
    )
    assert {path: to_optuna(path, distribution) for path, distribution in config.search.items()} == {
        "optimizer.batch_size": IntDistribution(8, 64, step=8),
        "optimizer.accumulation": IntDistribution(1, 16, log=True),
        "stage2.patience": IntDistribution(2, 4),
        "model.dropout": FloatDistribution(0.1, 0.5, step=0.2),
        "stage2.lr": FloatDistribution(1e-5, 1e-3, log=True),
        "model.stem": CategoricalDistribution(("mean", "sum")),
    }
    values = suggest(optuna.create_study(sampler=TrialSeededSampler(config)).ask(), config.search)
    kinds = {path: type(value) for path, value in values.items()}
    assert kinds == {
        "optimizer.batch_size": int,
        "optimizer.accumulation": int,
        "stage2.patience": int,
        "model.dropout": float,
        "stage2.lr": float,
        "model.stem": str,
    }


# --- grids ---------------------------------------------------------------------------------------------------------


def test_a_grid_holds_each_combination_once(phantom_config: Make) -> None:
    config = phantom_config(
        {"search": {**FOCAL, "optimizer.batch_size": {"low": 8, "high": 16, "step": 8}}, "study": {"sampler": "grid"}}
    )
    points = grid_points(config)
    expected: list[dict[str, Any]] = [{"loss.name": "bce", "optimizer.batch_size": size} for size in (8, 16)]
    expected += [
        {"loss.name": "focal", "loss.focal_gamma": gamma, "optimizer.batch_size": size}
        for gamma in (1.0, 2.0, 3.0)
        for size in (8, 16)
    ]
    assert len(points) == len(expected) == 8
    assert all(point in points for point in expected)


def test_the_order_of_a_grid_is_the_seeds(phantom_config: Make) -> None:
    search = {"model.dropout": {"low": 0.0, "high": 0.9, "step": 0.1}}
    one, again, other = (grid_points(phantom_config({"search": search, "seed": seed})) for seed in (1, 1, 2))
    assert one == again
    assert one != other
    values = sorted(point["model.dropout"] for point in one)
    assert values == [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
    assert sorted(point["model.dropout"] for point in other) == values


@pytest.mark.parametrize(
    ("path", "distribution"),
    [
        ("model.dropout", {"low": 0.1, "high": 0.5}),
        ("stage2.lr", {"low": 1e-5, "high": 1e-3, "log": True}),
        ("optimizer.accumulation", {"low": 1, "high": 16, "log": True}),
    ],
)
def test_a_range_without_a_finite_grid_is_refused(
    phantom_config: Make, path: str, distribution: dict[str, Any]
) -> None:
    config = phantom_config({"search": {path: distribution}, "study": {"sampler": "grid"}})
    with pytest.raises(ConfigError) as caught:
        grid_points(config)
    assert caught.value.problems == (
        f"search.{path}: sampler grid needs choices, or low, high and step (without log); or choose another sampler",
    )


def test_whole_numbers_have_a_grid_without_a_step(phantom_config: Make) -> None:
    config = phantom_config({"search": {"stage2.patience": {"low": 2, "high": 4}}})
    assert sorted(point["stage2.patience"] for point in grid_points(config)) == [2, 3, 4]


# --- the sampler ---------------------------------------------------------------------------------------------------


def run(study: optuna.Study, config: Config, trials: int) -> list[dict[str, Any]]:
    """Suggest and finish trials with a value that depends on the suggestion only."""
    suggested = []
    for _ in range(trials):
        trial = study.ask()
        values = suggest(trial, config.search)
        study.tell(trial, values["model.dropout"] - 10 * values["stage2.lr"])
        suggested.append(values)
    return suggested


@pytest.mark.parametrize("kind", ["tpe", "random", "qmc"])
def test_a_sampler_made_anew_goes_on_as_one_that_never_stopped(phantom_config: Make, kind: str) -> None:
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


@pytest.mark.parametrize("kind", ["tpe", "random", "qmc"])
def test_another_seed_gives_other_values(phantom_config: Make, kind: str) -> None:
    first, second = (
        run(optuna.create_study(sampler=TrialSeededSampler(config)), config, 2)
        for config in (
            phantom_config({"search": CONTINUOUS, "study": {"sampler": kind}, "seed": seed}) for seed in (1, 2)
        )
    )
    assert not any(values in second for values in first)


def test_random_values_belong_to_the_number_of_the_trial_alone(phantom_config: Make) -> None:
    """Whatever else was asked of the sampler before, and in whichever process."""
    config = phantom_config({"search": CONTINUOUS, "study": {"sampler": "random"}})
    unbroken = run(optuna.create_study(sampler=TrialSeededSampler(config)), config, 4)
    study = optuna.create_study(sampler=TrialSeededSampler(config))
    first = study.ask()
    second = study.ask()
    third = study.ask()
    assert suggest(third, config.search) == unbroken[2]
    values = [suggest(optuna.trial.Trial(study, trial._trial_id), config.search) for trial in (second, first)]
    study.sampler = TrialSeededSampler(config)
    assert suggest(study.ask(), config.search) == unbroken[3]
    assert len(values) == 2


@pytest.mark.parametrize("kind", ["tpe", "random", "qmc"])
def test_making_a_sampler_says_nothing(phantom_config: Make, kind: str) -> None:
    """It is made for every trial: a warning would stand in the output as often."""
    config = phantom_config({"search": CONTINUOUS, "study": {"sampler": kind}})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        TrialSeededSampler(config)


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


# --- pruners -------------------------------------------------------------------------------------------------------


def test_each_pruner_by_its_name(phantom_config: Make) -> None:
    made = {
        name: build_pruner(phantom_config({"study": {"pruner": name}, "stage1.epochs": 3}))
        for name in ("median", "hyperband", "none")
    }
    assert {name: type(pruner) for name, pruner in made.items()} == {
        "median": MedianPruner,
        "hyperband": HyperbandPruner,
        "none": NopPruner,
    }


def test_the_median_spares_the_first_trials_and_the_frozen_stage(phantom_config: Make) -> None:
    config = phantom_config({"study": {"pruner": "median"}, "stage1.epochs": 2})
    study = optuna.create_study(direction="maximize", pruner=build_pruner(config))

    def pruned_at(value: float) -> int | None:
        trial = study.ask()
        for epoch in range(1, 5):
            trial.report(value, epoch)
            if trial.should_prune():
                study.tell(trial, state=optuna.trial.TrialState.PRUNED)
                return epoch
        study.tell(trial, value)
        return None

    good_then_bad = [pruned_at(value) for value in (0.9, 0.9, 0.9, *[0.1] * (STARTUP_TRIALS - 3))]
    assert good_then_bad == [None] * STARTUP_TRIALS
    assert pruned_at(0.95) is None
    # at the end of epoch 2 the frozen stage is over, and nothing of stage 2 is known yet
    assert pruned_at(0.1) == 3


def test_the_mean_of_the_folds_so_far_is_held_against_the_median_of_means(phantom_config: Make) -> None:
    """Optuna's own takes the best that a trial has reported: an easy first fold would spare it for good."""
    config = phantom_config({"study": {"pruner": "median", "resampling": "kfold", "folds": 3}, "stage1.epochs": 2})
    study = optuna.create_study(direction="maximize", pruner=build_pruner(config))

    def pruned_after(*means: float) -> int | None:
        trial = study.ask()
        for fold, mean in enumerate(means, 1):
            trial.report(mean, fold)
            if trial.should_prune():
                study.tell(trial, state=optuna.trial.TrialState.PRUNED)
                return fold
        study.tell(trial, means[-1])
        return None

    assert [pruned_after(0.9, 0.8, 0.8) for _ in range(STARTUP_TRIALS)] == [None] * STARTUP_TRIALS
    assert pruned_after(0.85, 0.85, 0.85) == 1
    assert pruned_after(0.95, 0.79, 0.8) == 2
    assert pruned_after(0.9, 0.85, 0.8) is None


def test_hyperband_has_folds_for_its_resource(phantom_config: Make) -> None:
    pruner = build_pruner(phantom_config({"study": {"pruner": "hyperband", "resampling": "kfold", "folds": 9}}))
    assert isinstance(pruner, HyperbandPruner)
    assert (pruner._min_resource, pruner._max_resource) == (1, 9)


def test_pruning_over_folds_spares_trainings_and_finds_as_good_a_trial(phantom_config: Make) -> None:
    """Thirty simulated studies: configurations that differ, folds that do, and chance in each training."""
    settings = {"resampling": "kfold", "sampler": "random"}
    trainings, behind = {}, {}
    for name in ("none", "median"):
        config, random = phantom_config({"study": settings | {"pruner": name}}), np.random.default_rng(0)
        trainings[name], behind[name] = 0, []
        for _ in range(30):
            quality, easy = random.normal(0.9, 0.02, 20), random.normal(0, 0.02, 5)
            study = optuna.create_study(direction="maximize", pruner=build_pruner(config))
            for values in quality[:, None] + easy + random.normal(0, 0.01, (20, 5)):
                trial, state = study.ask(), optuna.trial.TrialState.COMPLETE
                for fold in range(1, 6):
                    trainings[name] += 1
                    trial.report(values[:fold].mean(), fold)
                    if trial.should_prune() and fold < 5:
                        state = optuna.trial.TrialState.PRUNED
                        break
                study.tell(trial, values.mean() if state.name == "COMPLETE" else None, state=state)
            behind[name].append(quality.max() - quality[study.best_trial.number])
    assert trainings["none"] == 30 * 20 * 5
    assert 0.45 < trainings["median"] / trainings["none"] < 0.65
    assert np.mean(behind["median"]) - np.mean(behind["none"]) < 0.001
    assert np.mean(behind["median"]) < 0.003  # a trial at random is 0.037 behind
