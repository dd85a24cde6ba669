"""Pruned networks: smaller, the same when they are built again from their weights, and what is 0 stays 0."""

from __future__ import annotations

import sys
from typing import Any

import pytest
import torch
from helpers.models import built
from torch import nn

from mobilenet_chest.errors import ConfigError, MissingExtraError
from mobilenet_chest.models.pruning import fit_to, keep_zeros, prune_channels, zero_share, zero_weights
from mobilenet_chest.models.zoo import parameter_counts

SMALL = {"name": "mobilenet_v3_small", "hidden": (16,)}


@pytest.mark.parametrize(
    ("fields", "before", "after"),
    [
        (SMALL, 935_969, 428_953),
        ({"name": "timm:mobilenetv2_050", "hidden": (8,), "stem": "repeat"}, 697_937, 330_577),
    ],
)
def test_a_pruned_network_is_built_again_from_its_weights(fields: dict[str, Any], before: int, after: int) -> None:
    model, images = built(**fields), torch.randint(0, 256, (3, 1, 40, 40), dtype=torch.uint8)
    assert parameter_counts(model)[0] == before
    random = torch.get_rng_state()
    prune_channels(model, 0.3, 40)
    assert parameter_counts(model)[0] == after
    assert torch.equal(torch.get_rng_state(), random)
    again = built(**fields)
    fit_to(again, model.state_dict())
    again.load_state_dict(model.state_dict())
    with torch.inference_mode():
        assert torch.equal(again.eval()(images), model.eval()(images))


def test_a_network_that_is_pruned_can_be_pruned_again() -> None:
    model = built(**SMALL)
    prune_channels(model, 0.3, 40)
    once = parameter_counts(model)[0]
    prune_channels(model, 0.3, 40)
    assert parameter_counts(model)[0] < once


def test_narrow_layers_keep_16_channels_and_no_more() -> None:
    model = built(**SMALL)
    before = [layer.weight.shape[0] for layer in model.modules() if isinstance(layer, nn.Conv2d)]
    prune_channels(model, 0.95, 40)
    after = [layer.weight.shape[0] for layer in model.modules() if isinstance(layer, nn.Conv2d)]
    assert {left for width, left in zip(before, after, strict=True) if width > 16} == {16}
    assert all(left == width for width, left in zip(before, after, strict=True) if width <= 16)


def test_all_that_is_left_learns() -> None:
    model = built(**SMALL)
    prune_channels(model, 0.5, 40)
    model.train()(torch.randint(0, 256, (2, 1, 40, 40), dtype=torch.uint8)).sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_a_network_that_cannot_be_followed_is_refused() -> None:
    with pytest.raises(ConfigError, match="prune cannot be done to timm:test_vit"):
        prune_channels(built(name="timm:test_vit"), 0.3, 160)


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch_pruning", None)
    with pytest.raises(MissingExtraError, match=r"\[compress\]"):
        prune_channels(built(**SMALL), 0.3, 40)


def test_zeros_stay_zeros() -> None:
    model, images = built(**SMALL), torch.randint(0, 256, (4, 1, 40, 40), dtype=torch.uint8)
    zero_weights(model, 0.75)
    keep_zeros(model)
    assert zero_share(model) == pytest.approx(0.75, abs=1e-3)
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01, weight_decay=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        model.train()(images).square().sum().backward()
        optimizer.step()
    assert zero_share(model) == pytest.approx(0.75, abs=1e-3)
    still = [name for name, value in model.named_parameters() if value.ndim > 1 and torch.equal(value, before[name])]
    assert still == []
