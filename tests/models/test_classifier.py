"""Blocks, freezing and normalisation of a classifier, whatever its backbone."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from helpers.experiments import LARGE_MODEL
from helpers.models import built
from torch import nn

from mobilenet_chest.config import MODEL_NAMES, Config
from mobilenet_chest.training.loop import fit
from mobilenet_chest.training.progress import Progress
from mobilenet_chest.training.stages import build_setup, prepare


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("mobilenet_v3_large", 17), ("mobilenet_v3_small", 13), ("mobilenet_v2", 19), ("densenet121", 8),
        ("resnet50", 17), ("efficientnet_b0", 9), ("efficientnet_lite0", 9), ("timm:resnet10t", 1),
    ],
)  # fmt: skip
@pytest.mark.parametrize("stem", ["mean", "repeat"])
def test_blocks_one_after_the_other_are_the_backbone(name: str, count: int, stem: str) -> None:
    model = built(name=name, stem=stem)
    assert model.block_count == count
    images = torch.randint(0, 256, (2, 1, 48, 48), dtype=torch.uint8)
    pixels = (images.float() - model.mean) / model.std
    with torch.inference_mode():
        expected = model.backbone(pixels.expand(-1, 3, -1, -1) if stem == "repeat" else pixels)
        torch.testing.assert_close(model.features(images), expected)
        for block in range(count + 1):
            torch.testing.assert_close(model.from_block(block, model.up_to(block, images)), model(images))


@pytest.mark.parametrize("name", [*MODEL_NAMES, "timm:resnet10t"])
def test_freezing_some_blocks(name: str) -> None:
    """Every parameter of the backbone belongs to a block, and those of the first ones stay as they are."""
    model = built(name=name)
    for blocks in sorted({0, 1, model.block_count // 2, model.block_count}):
        model.freeze(blocks)
        model.train()
        frozen = {parameter for parameter in model.backbone.parameters() if not parameter.requires_grad}
        state = model.frozen_state()
        assert sum(p.numel() for p in frozen) == sum(
            value.numel()
            for entry, value in state.items()
            if not entry.endswith(("running_mean", "running_var", "num_batches_tracked"))
        )
        learning = [m for m in model.backbone.modules() if isinstance(m, nn.BatchNorm2d) and m.training]
        assert bool(learning) == (blocks < model.block_count)
        assert (not frozen) == (blocks == 0)
    assert not any(parameter.requires_grad for parameter in model.backbone.parameters())


@pytest.mark.parametrize("name", [*MODEL_NAMES, "timm:resnet10t"])
def test_layers_are_all_that_learns(name: str) -> None:
    model = built(name=name)
    layers = model.layers()
    assert len(layers) == model.block_count + 1
    assert [id(p) for p in layers[-1]] == [id(p) for p in model.head.parameters()]
    assert {id(p) for layer in layers for p in layer} == {id(p) for p in model.parameters()}
    model.freeze(model.block_count)
    assert [len(layer) for layer in model.layers()[:-1]] == [0] * model.block_count


def test_statistics_may_stay_fixed_while_weights_learn() -> None:
    model = built(name="mobilenet_v3_small")
    model.fixed_statistics = True
    for blocks in (0, 5):
        model.freeze(blocks)
        model.train()
        norms = [module for module in model.backbone.modules() if isinstance(module, nn.BatchNorm2d)]
        assert not any(norm.training for norm in norms)
        assert norms[-1].weight.requires_grad
        assert model.training
        assert model.head.training


def test_normalisation_is_inside_and_not_in_checkpoints() -> None:
    gray, colour = built(), built(3)
    torch.testing.assert_close(colour.mean.flatten(), torch.tensor([0.485, 0.456, 0.406]) * 255)
    torch.testing.assert_close(colour.std.flatten(), torch.tensor([0.229, 0.224, 0.225]) * 255)
    torch.testing.assert_close(gray.mean.flatten(), torch.tensor([0.449]) * 255)
    torch.testing.assert_close(gray.std.flatten(), torch.tensor([0.226]) * 255)
    assert {"mean", "std"}.isdisjoint(gray.state_dict())


def test_a_frozen_backbone_stays_in_evaluation_mode() -> None:
    model = built()
    model.freeze(model.block_count)
    model.train()
    assert model.training
    assert all(module.training for module in model.head.modules())
    assert not any(module.training for module in model.backbone.modules())
    assert not any(parameter.requires_grad for parameter in model.backbone.parameters())
    assert all(parameter.requires_grad for parameter in model.head.parameters())
    model.freeze(0)
    model.train()
    assert all(module.training for module in model.modules())
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_stage_1_changes_the_head_and_nothing_else(phantom_config: Callable[..., Config]) -> None:
    config = phantom_config(LARGE_MODEL)
    prepared = prepare(config)
    model = prepared.model
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model.freeze(model.block_count)
    fit(model, config.stage1, build_setup(config, prepared, 32), Progress(), lambda record: False)
    after = model.state_dict()
    changed = {name for name, value in before.items() if not torch.equal(value, after[name])}
    assert changed == {f"head.{layer}.{part}" for layer in (0, 3, 6) for part in ("weight", "bias")}

    model.freeze(0)
    fit(model, config.stage2, build_setup(config, prepared, 32), Progress(stage=2), lambda record: False)
    moved = {name for name, value in before.items() if not torch.equal(value, model.state_dict()[name])}
    assert moved == set(before)
