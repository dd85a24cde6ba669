"""What is found wrong with a sweep before anything is trained, and what is left to do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.sweeps import SMALL

from mobilenet_chest.config import Config, ModelConfig
from mobilenet_chest.errors import ConfigError, WeightsError
from mobilenet_chest.models.zoo import build_model
from mobilenet_chest.sweep import check, remaining_trials, run_sweep

Make = Callable[..., Config]

RANGE = {"stage2.lr": {"low": 1e-4, "high": 1e-2, "log": True}}
TOO_HIGH = 1e30
"""A learning rate after which nothing is finite any more."""


@pytest.mark.parametrize("search", [{"low": 0, "high": 17}, {"choices": [0, [20, 3]]}])
def test_a_block_that_the_network_lacks(here: Path, tiny_search: Make, search: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"search\.stage2\.unfreeze_from: (17|20), .*mobilenet_v3_large .*\b17\b"):
        check(tiny_search({"stage2.unfreeze_from": search}, {"stage2.epochs": 2, "model.name": "mobilenet_v3_large"}))
    check(tiny_search({"stage2.unfreeze_from": {"low": 0, "high": 16}}, {"model.name": "mobilenet_v3_large"}))


def test_what_cannot_be_searched_is_refused_before_anything_is_created(here: Path, tiny_search: Make) -> None:
    before = sorted(path.name for path in here.iterdir())
    with pytest.raises(ConfigError, match=r"^tiny: .*\bsearch\b"):
        check(tiny_search({}))
    with pytest.raises(ConfigError, match=r"^search\.\S+: .*\bgrid\b.*choices"):
        run_sweep(tiny_search(RANGE, sampler="grid"))
    assert remaining_trials(tiny_search(RANGE)) == 2
    assert sorted(path.name for path in here.iterdir()) == before


@pytest.mark.parametrize("batches", [{"choices": [4, 1]}, {"low": 1, "high": 4}])
def test_batches_of_one_image_that_cannot_be_trained(here: Path, tiny_search: Make, batches: dict[str, Any]) -> None:
    small = {"model.name": "mobilenet_v3_small"}
    with pytest.raises(ConfigError, match=r"optimizer\.batch_size: 1, but mobilenet_v3_small"):
        check(tiny_search({"optimizer.batch_size": batches}, small))
    check(tiny_search({"optimizer.batch_size": batches}, small | {"data.image_size": 64}))
    check(tiny_search({"optimizer.batch_size": batches}, small | {"stage2.batchnorm": "frozen"}))


def test_weights_that_do_not_fit_a_searched_network(here: Path, tiny_search: Make) -> None:
    torch.save(build_model(ModelConfig(name="mobilenet_v3_small", weights="none", hidden=(8,)), 1).state_dict(), "w.pt")
    model = {"model.name": "mobilenet_v3_small", "model.weights": "w.pt"}
    for search, part in (
        ({"model.weights": {"choices": ["none", "gone.pt"]}}, "no file gone.pt"),
        ({"model.name": {"choices": ["mobilenet_v3_small", SMALL]}}, "does not fit the model"),
        ({"model.hidden": {"choices": [[8], [9]]}}, "not \\(9, 576\\)"),
    ):
        with pytest.raises(WeightsError, match=part):
            check(tiny_search(search, model))
    check(tiny_search({"model.weights": {"choices": ["none", "w.pt"]}}, model))
