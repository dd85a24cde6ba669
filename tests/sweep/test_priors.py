"""Draws around priors: where they lie, how they fade, and what a misleading prior costs."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from mobilenet_chest.config import Config, parse
from mobilenet_chest.sweep.priors import PriorDraws, prior_share, prior_values
from mobilenet_chest.sweep.sampler import TrialSeededSampler
from mobilenet_chest.sweep.space import suggest

Make = Callable[..., Config]

LR = {"low": 1e-5, "high": 1e-2, "log": True}
DROPOUT = {"low": 0.0, "high": 0.9}
REVERSED = (9e-3, 0.85)


def draws(config: Config, path: str, distribution: Any, count: int = 400) -> list[Any]:
    """Return the draws of many trials."""
    drawn = PriorDraws(config)
    return [drawn.draw(number, path, distribution) for number in range(count)]


def test_draws_lie_around_the_prior_on_the_scale_of_the_range(phantom_config: Make) -> None:
    config = phantom_config({"search": {"stage2.lr": LR | {"prior": 1e-3}}})
    values = draws(config, "stage2.lr", FloatDistribution(1e-5, 1e-2, log=True))
    places = [math.log10(value) for value in values]
    assert statistics.mean(places) == pytest.approx(-3, abs=0.05)
    assert statistics.stdev(places) == pytest.approx(0.3, abs=0.03)  # a tenth of three decades
    assert len(set(values)) == 400


def test_draws_are_cut_off_at_the_ends(phantom_config: Make) -> None:
    config = phantom_config({"search": {"model.dropout": DROPOUT | {"prior": 0.9}}})
    values = draws(config, "model.dropout", FloatDistribution(0.0, 0.9))
    assert 0.5 < min(values) < max(values) <= 0.9
    assert sum(value == 0.9 for value in values) == 0  # nothing is clipped


def test_draws_of_whole_numbers_steps_and_choices(phantom_config: Make) -> None:
    config = phantom_config({
        "search": {
            "optimizer.batch_size": {"low": 8, "high": 64, "step": 8, "prior": 32},
            "model.dropout": {"low": 0.1, "high": 0.5, "step": 0.2, "prior": 0.3},
            "model.stem": {"choices": ["mean", "sum"], "prior": "sum"},
        }
    })  # fmt: skip
    sizes = draws(config, "optimizer.batch_size", IntDistribution(8, 64, step=8))
    assert {type(size) for size in sizes} == {int}
    assert {16, 24, 32, 40, 48} <= set(sizes) <= set(range(8, 65, 8))
    assert {round(v, 9) for v in draws(config, "model.dropout", FloatDistribution(0.1, 0.5, step=0.2))} == {
        0.1, 0.3, 0.5
    }  # fmt: skip
    stems = draws(config, "model.stem", CategoricalDistribution(("mean", "sum")))
    assert stems.count("sum") / 400 == pytest.approx(0.75, abs=0.06)


def test_the_share_of_draws_fades(phantom_config: Make) -> None:
    assert [prior_share(number) for number in (0, 1, 7, 8)] == [1, 1 / 2, 1 / 8, 0]
    config = phantom_config({"search": {"stage2.lr": LR | {"prior": 1e-3}}})
    chosen = [PriorDraws(config.model_copy(update={"seed": seed})).chosen(3) for seed in range(60)]
    assert 7 <= sum(chosen) <= 23
    assert not PriorDraws(phantom_config({"search": {"stage2.lr": LR}})).chosen(0)


def test_priors_whose_conditions_do_not_hold_are_left_out(phantom_config: Make) -> None:
    gamma = {"low": 1.0, "high": 3.0, "when": {"loss.name": "focal"}, "prior": 2}
    search = {"loss.name": {"choices": ["bce", "focal"], "prior": "bce"}, "loss.focal_gamma": gamma, "stage2.lr": LR}
    assert prior_values(phantom_config({"search": search})) == {"loss.name": "bce"}
    search["loss.name"]["prior"] = "focal"
    assert prior_values(phantom_config({"search": search})) == {"loss.name": "focal", "loss.focal_gamma": 2.0}


def trials_to_target(sampler: str, prior: tuple[float, float] | None, seed: int, target: float, most: int = 80) -> int:
    """Return the number of trials until an artificial objective, best at 5e-4 and 0.4, comes near its best."""
    lr, dropout = (LR, DROPOUT) if prior is None else (LR | {"prior": prior[0]}, DROPOUT | {"prior": prior[1]})
    search = {"stage2.lr": lr, "model.dropout": dropout}
    config = parse({"name": "x", "seed": seed, "search": search, "study": {"sampler": sampler}})
    study = optuna.create_study(direction="maximize", sampler=TrialSeededSampler(config))
    if priors := prior_values(config):
        study.enqueue_trial(priors)
    for count in range(1, most):
        trial = study.ask()
        values = suggest(trial, config.search)
        lost = ((math.log10(values["stage2.lr"]) + 3.3) / 3) ** 2 + ((values["model.dropout"] - 0.4) / 0.9) ** 2
        study.tell(trial, -lost)
        if lost < target:
            return count
    return most


def median_trials(sampler: str, prior: tuple[float, float] | None, target: float, seeds: int) -> float:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return statistics.median(trials_to_target(sampler, prior, seed, target) for seed in range(seeds))


def test_a_good_prior_saves_trials_and_a_misleading_one_costs_few() -> None:
    none, good, misled = (median_trials("random", prior, 0.012, 21) for prior in (None, (1e-3, 0.3), REVERSED))
    assert none >= 10  # no easy target
    assert good <= 0.8 * none
    assert misled <= 1.2 * none


@pytest.mark.slow
def test_a_misleading_prior_costs_a_sampler_that_learns_few_trials() -> None:
    none, misled = (median_trials("tpe", prior, 0.006, 42) for prior in (None, REVERSED))
    assert none >= 10
    assert misled <= 1.2 * none
