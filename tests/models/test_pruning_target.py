"""The share of channels that reaches a target of operations or milliseconds."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from helpers.models import built

from mobilenet_chest.config.compress import TargetConfig
from mobilenet_chest.errors import ConfigError
from mobilenet_chest.models.pruning import prune_channels
from mobilenet_chest.models.pruning_target import Stopwatch, find_fast_ratio, find_ratio, first_step, flops

FIELDS = {"name": "timm:mobilenetv2_050", "hidden": (8,), "stem": "repeat"}


@pytest.mark.parametrize(("target", "found"), [(0.5, (5, 0.5)), (0.55, (5, 0.5)), (0.95, (1, 0.9)), (0.05, (9, 0.1))])
def test_the_first_step_that_is_cheap_enough(target: float, found: tuple[int, float]) -> None:
    asked: list[int] = []

    def cost(step: int) -> float:
        asked.append(step)
        return 1 - step / 10

    assert first_step(cost, target, 9) == pytest.approx(found)
    assert len(asked) == len(set(asked)) <= 5


@pytest.mark.slow
def test_half_of_the_operations() -> None:
    model, target = built(**FIELDS), TargetConfig(flops=0.5)
    before = copy.deepcopy(model.state_dict())
    ratio, reached = find_ratio(model, 32, target)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert 0.4 < reached <= 0.5
    pruned = copy.deepcopy(model)
    prune_channels(pruned, ratio, 32)
    assert flops(pruned, 32) / flops(model, 32) == reached
    pruned = copy.deepcopy(model)
    prune_channels(pruned, ratio - 1 / 200, 32)  # the step before does not reach it
    assert flops(pruned, 32) / flops(model, 32) > 0.5


@pytest.mark.slow
def test_milliseconds_of_an_answer(tmp_path: Path) -> None:
    model = built(**FIELDS)
    clock = Stopwatch(model, 64, tmp_path)  # another, a second later, may have a busier machine
    ratio, reached = find_fast_ratio(model, 64, 0.7 * clock.whole_ms, clock)
    assert reached <= 0.7 * clock.whole_ms
    assert 0.005 < ratio < 0.995
    with pytest.raises(ConfigError, match="latency_ms: 1e-06 is out of reach"):
        find_ratio(model, 64, TargetConfig(latency_ms=1e-6))
    with pytest.raises(ConfigError, match="latency_ms: 1e.06, but the parent takes"):
        find_ratio(model, 64, TargetConfig(latency_ms=1e6))


def test_a_share_of_operations_out_of_reach() -> None:
    with pytest.raises(ConfigError, match="flops: 0.0001 is out of reach"):
        find_ratio(built(**FIELDS), 32, TargetConfig(flops=1e-4))
