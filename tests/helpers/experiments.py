"""The one builder of small experiments: a second or two to train, and predictions that still differ."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mobilenet_chest.config import Config, parse

SMALL_MODEL = {
    # its BatchNorm statistics adapt within a few steps, so that predictions differ between images
    "model": {"name": "timm:mobilenetv2_050", "weights": "none", "hidden": [8]}
}
"""Replaces the model by the smallest one that learns something in a few steps."""

LARGE_MODEL = {"model": {"name": "mobilenet_v3_large", "weights": "none"}}
"""Replaces the model by that of the source report, with its large head."""

STRESSED = {"evaluation": {"metric": "stress_auc_mean", "stress": {"every": 1, "table": False}}}
"""Stressed validation after each epoch, which chooses the best one."""

CONDITIONAL_SEARCH = """
name: searched
search:
  stage2.lr:        {low: 1.0e-5, high: 1.0e-3, log: true}
  loss.name:        {choices: [bce, focal]}
  loss.focal_gamma: {low: 1.0, high: 3.0, when: {loss.name: focal}}
"""
"""An experiment file with a field that is searched under a condition only."""


def tiny_fields(data: Path, *changes: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a tiny experiment (1 + 1 epochs, 32 pixels, no weights) as its YAML file would have them.

    Args:
        data: A ``.npz`` in ChestMNIST's layout.
        changes: ``{section: {field: value}}`` or ``{dotted path: value}``; a section given whole replaces the default.
    """
    fields: dict[str, Any] = {
        "name": "tiny",
        "seed": 7,
        "device": "cpu",
        "data": {
            "dataset": "chestmnist",
            "classes": ["cardiomegaly", "pneumothorax"],
            "path": str(data),
            "image_size": 32,
        },
        "model": {"name": "mobilenet_v3_small", "weights": "none", "hidden": [16]},
        "optimizer": {"batch_size": 16},
        "stage1": {"epochs": 1},
        "stage2": {"epochs": 1, "lr": 1e-3},
        "tracking": {"plots": False},  # they take as long as the training
    }
    for change in changes:
        for path, value in change.items():
            section, _, leaf = path.partition(".")
            if leaf:
                fields[section] = fields.get(section, {}) | {leaf: value}
            else:
                fields[section] = value
    return fields


@pytest.fixture(scope="session")
def phantom_config(chest_file: Path) -> Callable[..., Config]:
    """Builds a tiny experiment on ``chest_file``; takes ``{dotted path: value}``."""

    def make(values: dict[str, Any] | None = None) -> Config:
        return parse(tiny_fields(chest_file, values or {}))

    return make
