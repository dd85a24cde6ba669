"""The networks: exact sizes, the normalisation inside, and a frozen stage that is really frozen."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from helpers.models import built
from torch import nn

from mobilenet_chest.errors import ConfigError
from mobilenet_chest.models.zoo import RANDOM_START_MOMENTUM, parameter_counts


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


def test_the_seed_makes_the_model() -> None:
    first, second = built(), built()
    assert all(torch.equal(value, second.state_dict()[name]) for name, value in first.state_dict().items())


def test_a_random_start_has_quick_statistics() -> None:
    momenta = {module.momentum for module in built().modules() if isinstance(module, nn.BatchNorm2d)}
    assert momenta == {RANDOM_START_MOMENTUM}
