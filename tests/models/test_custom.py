"""Backbones of plugins: what they may return, and that they are networks like all others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from helpers.plugin_files import HEAD

from mobilenet_chest import plugins
from mobilenet_chest.config import Config, load
from mobilenet_chest.errors import ConfigError
from mobilenet_chest.models.zoo import build_model

IMPORTS = (
    HEAD
    + """import torch
from torch import nn
from mobilenet_chest.models.classifier import Backbone
"""
)

IN_BLOCKS = """
def net(pretrained):
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 6, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(1))
    return Backbone(network, 6, blocks=(("0",), ("1",)), pool=("2", "3"))
"""

Write = Callable[[str], Config]


@pytest.fixture
def written(plugin_file: Path) -> Write:
    """Puts a plugin with the model ``net`` to work, and returns an experiment with it."""

    def write(function: str) -> Config:
        plugin_file.write_text(f"{IMPORTS}\n@register_model('net')\n{function.lstrip()}")
        fields = {"plugins": [str(plugin_file)], "model": {"name": "net", "weights": "none", "hidden": [5]}}
        config = load({"name": "x"} | fields)
        plugins.activate(config.plugins)
        return config

    return write


def body(line: str) -> str:
    return f"def net(pretrained):\n    {line}\n"


def test_a_module_is_one_block(plugin_file: Path) -> None:
    config = load(
        {"name": "x", "plugins": [str(plugin_file)], "model": {"name": "small_net", "weights": "none", "hidden": [5]}}
    )
    plugins.activate(config.plugins)
    for channels in (1, 3):
        model = build_model(config.model, channels).eval()
        assert model.block_count == 1
        assert model.architecture == "small_net"
        logits = model(torch.zeros(2, channels, 40, 40, dtype=torch.uint8))
        assert logits.shape == (2,)
        model.freeze(1)
        assert [name for name, p in model.named_parameters() if p.requires_grad] == [
            name for name, _ in model.named_parameters() if name.startswith("head.")
        ]


def test_a_backbone_has_blocks(written: Write) -> None:
    model = build_model(written(IN_BLOCKS).model, 1).eval()
    images = torch.randint(0, 256, (2, 1, 16, 16), dtype=torch.uint8)
    assert model.block_count == 2
    assert torch.equal(model.from_block(1, model.up_to(1, images)), model(images))


@pytest.mark.parametrize(
    ("function", "part"),
    [
        (body("raise RuntimeError('no')"), "raised RuntimeError: no (line 8)"),
        (body("return 3"), "returned int; return a torch.nn.Module"),
        (body("return nn.Linear(3, 3)"), "cannot take images"),
        (body("return nn.Conv2d(3, 8, 3)"), "returned (2, 8, 62, 62) for images"),
        (IN_BLOCKS.replace(", 6, blocks", ", 7, blocks"), "says 7 features and gives 6"),
        (IN_BLOCKS.replace('("1",)', '("conv",)'), "names the block 'conv'"),
        (body("return nn.Sequential(nn.Flatten(1), nn.LazyLinear(4))"), "stem"),
    ],
)
def test_what_is_no_backbone(written: Write, function: str, part: str) -> None:
    config = written(function)
    with pytest.raises(ConfigError) as error:
        build_model(config.model, 1)
    (line,) = error.value.problems
    assert part in line


def test_the_random_state_is_left_as_it_is(written: Write) -> None:
    from mobilenet_chest.models.custom import custom_backbone

    written(body("return nn.Sequential(nn.Dropout(0.5), nn.AdaptiveAvgPool2d(1), nn.Flatten(1))"))
    before = torch.get_rng_state()
    custom_backbone("net", imagenet=False)
    assert torch.equal(torch.get_rng_state(), before)


def test_pretrained_is_asked_for_imagenet_only(written: Write) -> None:
    config = written(body("return nn.Sequential(nn.Conv2d(3, 5 if pretrained else 4, 1), nn.AdaptiveAvgPool2d(1), "
                          "nn.Flatten(1))"))  # fmt: skip
    widths = {
        weights: build_model(config.model.model_copy(update={"weights": weights}), 1).backbone[0].out_channels
        for weights in ("none", "imagenet")
    }
    assert widths == {"none": 4, "imagenet": 5}
