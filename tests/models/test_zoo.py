"""The networks: exact sizes, the normalisation inside, and a frozen stage that is really frozen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from mobilenet_chest.config import Config, ModelConfig
from mobilenet_chest.models.zoo import RANDOM_START_MOMENTUM, Classifier, build_model, parameter_counts
from mobilenet_chest.stages import prepare, set_up
from mobilenet_chest.training.loop import Progress, fit


def built(channels: int = 1, **fields: Any) -> Classifier:
    torch.manual_seed(0)
    return build_model(ModelConfig.model_validate({"weights": "none"} | fields), channels).eval()


@pytest.mark.parametrize(
    ("channels", "fields", "expected"),
    [
        (1, {}, (5_022_225, 2_050_561)),
        (1, {"stem": "sum"}, (5_022_225, 2_050_561)),
        (1, {"stem": "repeat"}, (5_022_513, 2_050_561)),
        (3, {}, (5_022_513, 2_050_561)),
        (1, {"hidden": []}, (5_022_225 - 2_050_561 + 961, 961)),
        (1, {"name": "densenet121"}, (9_080_065, 2_132_481)),
    ],
)
def test_parameters(channels: int, fields: dict[str, Any], expected: tuple[int, int]) -> None:
    assert parameter_counts(built(channels, **fields)) == expected


@pytest.mark.parametrize(
    ("name", "features"),
    [("mobilenet_v3_large", 960), ("densenet121", 1024), ("efficientnet_lite0", 1280), ("timm:resnet10t", 512)],
)
def test_forward(name: str, features: int) -> None:
    model = built(name=name)
    images = torch.randint(0, 256, (3, 1, 48, 48), dtype=torch.uint8)
    with torch.inference_mode():
        assert model.features(images).shape == (3, features)
        logits = model(images)
    assert logits.shape == (3,)
    assert logits.dtype == torch.float32
    assert torch.isfinite(logits).all()


@pytest.mark.parametrize(
    ("name", "count"),
    [("mobilenet_v3_large", 17), ("densenet121", 8), ("efficientnet_lite0", 9), ("timm:resnet10t", 1)],
)
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
            torch.testing.assert_close(model.onwards(block, model.up_to(block, images)), model(images))


@pytest.mark.parametrize("name", ["mobilenet_v3_large", "densenet121", "efficientnet_lite0", "timm:resnet10t"])
def test_freezing_some_blocks(name: str) -> None:
    """Every parameter of the backbone belongs to a block, and those of the first ones stay as they are."""
    model = built(name=name)
    for blocks in {0, 1, model.block_count // 2, model.block_count}:
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


def test_normalisation_is_inside_and_not_in_checkpoints() -> None:
    gray, colour = built(), built(3)
    torch.testing.assert_close(colour.mean.flatten(), torch.tensor([0.485, 0.456, 0.406]) * 255)
    torch.testing.assert_close(colour.std.flatten(), torch.tensor([0.229, 0.224, 0.225]) * 255)
    torch.testing.assert_close(gray.mean.flatten(), torch.tensor([0.449]) * 255)
    torch.testing.assert_close(gray.std.flatten(), torch.tensor([0.226]) * 255)
    assert {"mean", "std"}.isdisjoint(gray.state_dict())


def test_the_seed_makes_the_model() -> None:
    first, second = built(), built()
    assert all(torch.equal(value, second.state_dict()[name]) for name, value in first.state_dict().items())


def test_a_random_start_has_quick_statistics() -> None:
    momenta = {module.momentum for module in built().modules() if isinstance(module, nn.BatchNorm2d)}
    assert momenta == {RANDOM_START_MOMENTUM}


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
    config = phantom_config()
    prepared = prepare(config)
    model = prepared.model
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model.freeze(model.block_count)
    fit(model, config.stage1, set_up(config, prepared, 32), Progress(), lambda record: False)
    after = model.state_dict()
    changed = {name for name, value in before.items() if not torch.equal(value, after[name])}
    assert changed == {f"head.{layer}.{part}" for layer in (0, 3, 6) for part in ("weight", "bias")}

    model.freeze(0)
    fit(model, config.stage2, set_up(config, prepared, 32), Progress(stage=2), lambda record: False)
    moved = {name for name, value in before.items() if not torch.equal(value, model.state_dict()[name])}
    assert moved == set(before)
