"""A plugin with one function of each kind, and experiments that name it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from helpers.experiments import tiny_fields
from mobilenet_chest import plugins
from mobilenet_chest.config import Config, load

HEAD = "from mobilenet_chest import register_augmentation, register_metric, register_model\n"

PLUGIN = (
    HEAD
    + """import torch
from torch import nn


@register_augmentation("gamma")
def gamma(images, strength):
    power = 1 + (torch.rand(len(images), 1, 1, 1, device=images.device) * 2 - 1) * strength
    return 255 * (images / 255) ** power


@register_metric("val_f2")
def f2(labels, probabilities):
    positive = probabilities >= 0.5
    return 5 * (positive & (labels == 1)).sum() / (4 * (labels == 1).sum() + positive.sum())


@register_model("small_net")
def small_net(pretrained):
    if pretrained:
        raise ValueError("no pretrained weights; set model.weights: none")
    layers = [nn.Conv2d(3, 8, 3, 2), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 16, 3, 2), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(1))
"""
)

ALL = {
    "model": {"name": "small_net", "weights": "none", "hidden": [8]},
    "augment": {"custom": {"gamma": 0.3}},
    "evaluation": {"metric": "val_f2"},
}
"""Sections that use every function of the plugin."""

Make = Callable[..., Config]


@pytest.fixture
def forgotten() -> Iterator[Callable[[], None]]:
    """Forgets all plugins before and after the test, and whenever it is called: then it is as in a new process."""

    def forget() -> None:
        plugins._loaded.clear()
        plugins.activate([])

    forget()
    yield forget
    forget()


@pytest.fixture
def plugin_file(tmp_path: Path, forgotten: Callable[[], None]) -> Path:
    """The plugin in a folder of its own."""
    folder = tmp_path / "code"
    folder.mkdir()
    path = folder / "mine.py"
    path.write_text(PLUGIN, encoding="utf-8")
    return path


@pytest.fixture
def with_plugin(plugin_file: Path, chest_file: Path) -> Make:
    """Builds a tiny experiment that names the plugin; takes ``{dotted path: value}``."""

    def make(*changes: dict[str, Any]) -> Config:
        return load(tiny_fields(chest_file, {"plugins": [str(plugin_file)]}, *changes))

    return make
