"""The networks: exact sizes, the normalisation inside, and a frozen stage that is really frozen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from mobilenet_chest.config import MODEL_NAMES, Config, ModelConfig
from mobilenet_chest.errors import ConfigError
from mobilenet_chest.models.classifier import Classifier
from mobilenet_chest.models.zoo import RANDOM_START_MOMENTUM, build_model, parameter_counts
from mobilenet_chest.training.loop import fit
from mobilenet_chest.training.progress import Progress
from mobilenet_chest.training.stages import build_setup, prepare


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
        # torchvision's published counts, less the classifier of 1,000 classes, plus the head
        (3, {"name": "densenet121", "hidden": []}, (7_978_856 - 1_025_000 + 1025, 1025)),
        (3, {"name": "resnet50", "hidden": []}, (25_557_032 - 2_049_000 + 2049, 2049)),
        (3, {"name": "efficientnet_b0", "hidden": []}, (5_288_548 - 1_281_000 + 1281, 1281)),
        (3, {"name": "mobilenet_v2", "hidden": []}, (3_504_872 - 1_281_000 + 1281, 1281)),
        (3, {"name": "mobilenet_v3_small", "hidden": []}, (2_542_856 - 590_848 - 1_025_000 + 577, 577)),
        (1, {"pooling": "max"}, (5_022_225, 2_050_561)),
        (1, {"pooling": "gem"}, (5_022_226, 2_050_562)),
        (1, {"attention": "se"}, (5_022_225 + 116_220, 2_050_561 + 116_220)),
        (1, {"attention": "cbam"}, (5_022_225 + 116_220 + 99, 2_050_561 + 116_220 + 99)),
    ],
)
def test_parameters(channels: int, fields: dict[str, Any], expected: tuple[int, int]) -> None:
    assert parameter_counts(built(channels, **fields)) == expected


@pytest.mark.parametrize(
    ("name", "features"),
    [
        ("mobilenet_v3_large", 960),
        ("mobilenet_v3_small", 576),
        ("mobilenet_v2", 1280),
        ("densenet121", 1024),
        ("resnet50", 2048),
        ("efficientnet_b0", 1280),
        ("efficientnet_lite0", 1280),
        ("timm:resnet10t", 512),
        ("timm:mobilenetv3_small_050", 1024),
    ],
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


@pytest.mark.parametrize(
    ("fields", "shape"),
    [
        ({"pooling": "max"}, (2, 576)),
        ({"pooling": "gem"}, (2, 576, 2, 2)),
        ({"attention": "se"}, (2, 576, 2, 2)),
        ({"attention": "cbam", "pooling": "max"}, (2, 576, 2, 2)),
    ],
)
def test_what_learns_with_the_head_is_not_part_of_the_features(fields: dict[str, str], shape: tuple[int, ...]) -> None:
    model = built(name="mobilenet_v3_small", **fields)
    images = torch.randint(0, 256, (2, 1, 48, 48), dtype=torch.uint8)
    model.freeze(model.block_count)
    model.train()
    features = model.features(images)
    assert features.shape == shape
    assert not features.requires_grad
    logits = model.from_block(model.block_count, features)
    torch.testing.assert_close(model.eval()(images), model.from_block(model.block_count, features))
    logits.sum().backward()
    assert all(parameter.grad is not None for parameter in model.head.parameters())
    assert all(parameter.grad is None for parameter in model.backbone.parameters())


@pytest.mark.parametrize("name", [*MODEL_NAMES, "timm:resnet10t"])
def test_layers_are_all_that_learns(name: str) -> None:
    model = built(name=name)
    layers = model.layers()
    assert len(layers) == model.block_count + 1
    assert [id(p) for p in layers[-1]] == [id(p) for p in model.head.parameters()]
    assert {id(p) for layer in layers for p in layer} == {id(p) for p in model.parameters()}
    model.freeze(model.block_count)
    assert [len(layer) for layer in model.layers()[:-1]] == [0] * model.block_count


@pytest.mark.parametrize("name", ["efficientnet_b0", "efficientnet_lite0", "timm:mobilenetv3_small_050"])
def test_drop_path(name: str) -> None:
    """In training two passes differ, in evaluation they do not."""
    model = built(name=name, drop_path=0.6, dropout=0)
    images = torch.randint(0, 256, (4, 1, 48, 48), dtype=torch.uint8)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 0.0
    with torch.inference_mode():
        torch.testing.assert_close(model(images), model(images))
        model.train()
        assert not torch.allclose(model(images), model(images))


def test_drop_path_needs_branches() -> None:
    with pytest.raises(ConfigError, match="model.drop_path: timm:vgg11_bn"):
        built(name="timm:vgg11_bn", drop_path=0.1)


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
    fit(model, config.stage1, build_setup(config, prepared, 32), Progress(), lambda record: False)
    after = model.state_dict()
    changed = {name for name, value in before.items() if not torch.equal(value, after[name])}
    assert changed == {f"head.{layer}.{part}" for layer in (0, 3, 6) for part in ("weight", "bias")}

    model.freeze(0)
    fit(model, config.stage2, build_setup(config, prepared, 32), Progress(stage=2), lambda record: False)
    moved = {name for name, value in before.items() if not torch.equal(value, model.state_dict()[name])}
    assert moved == set(before)
