"""Search spaces in Optuna's form, values of a trial, and the points of a grid."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FixedTrial

from mobilenet_chest.config import Config, with_values
from mobilenet_chest.errors import ConfigError
from mobilenet_chest.sweep.sampler import TrialSeededSampler
from mobilenet_chest.sweep.space import (
    grid_points,
    suggest,
    to_optuna,
)

FOCAL = {
    # the conditional one first: the order in the file must not matter
    "loss.focal_gamma": {"low": 1.0, "high": 3.0, "step": 1.0, "when": {"loss.name": "focal"}},
    "loss.name": {"choices": ["bce", "focal"]},
}
Make = Callable[..., Config]

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
    first, again, other = (grid_points(phantom_config({"search": search, "seed": seed})) for seed in (1, 1, 2))
    assert first == again
    assert first != other
    values = sorted(point["model.dropout"] for point in first)
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
