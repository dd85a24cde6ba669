"""Augmentation, loss, optimizer and stages: ranges, what belongs together, and the phases of stage 2."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from mobilenet_chest.config import Config


def config(**fields: Any) -> Config:
    return Config.model_validate({"name": "x"} | fields)


@pytest.mark.parametrize(
    ("fields", "part"),
    [
        ({"augment": {"hflip": 1.1}}, "less than or equal to 1"),
        ({"loss": {"focal_gamma": 2}}, "focal_gamma belongs to name: focal, not to 'bce'"),
        ({"loss": {"name": "focal", "label_smoothing": 0.1}}, "label_smoothing 0.1 needs name: bce"),
        ({"loss": {"pos_weight": 0}}, "greater than 0"),
        ({"optimizer": {"momentum": 0.9}}, "momentum belongs to name: sgd, not to 'adamw'"),
        ({"stage2": {"lr_decay": 0}}, "greater than 0"),
        ({"stage2": {"ema": 1}}, "less than 1"),
        ({"augment": {"policy": "auto"}}, "'trivial', 'rand' or 'scanner'"),
        ({"augment": {"crop": {"scale": [1, 0.5]}}}, "scale [1, 0.5] must rise; swap the two"),
        ({"augment": {"crop": {"ratio": [2, 0.5]}}}, "ratio [2, 0.5] must rise; swap the two"),
        ({"augment": {"crop": {"scale": [0, 1]}}}, "greater than 0"),
        ({"augment": {"crop": {"scale": [0.5]}}}, "Field required"),
        ({"augment": {"jpeg": 101}}, "less than or equal to 100"),
        ({"optimizer": {"clip_norm": 0}}, "greater than 0"),
        ({"stage1": {"lr": float("nan")}}, "finite number"),
        ({"stage2": {"epochs": 3, "warmup_epochs": 3}}, "warmup_epochs 3 must be less than epochs 3"),
        ({"stage2": {"unfreeze_from": [0, 3]}}, "unfreeze_from [0, 3] must fall"),
        ({"stage2": {"unfreeze_from": []}}, "unfreeze_from [] must fall"),
        ({"stage2": {"unfreeze_from": -1}}, "greater than or equal to 0"),
        ({"stage2": {"resolutions": [128, 64]}}, "resolutions [128, 64] must rise"),
        ({"stage2": {"resolutions": [8, 128]}}, "greater than or equal to 16"),
        ({"stage2": {"unfreeze_from": [3, 0], "resolutions": [64, 96, 128]}}, "has 2 phases, resolutions 3"),
        ({"stage2": {"epochs": 1, "resolutions": [64, 128]}}, "epochs 1: too few for 2 phases"),
    ],
)
def test_refused(fields: dict[str, Any], part: str) -> None:
    with pytest.raises(ValidationError) as caught:
        config(**fields)
    assert part in str(caught.value)


@pytest.mark.parametrize(
    ("stage2", "phases"),
    [
        ({}, [(120, 0, 128)]),
        ({"unfreeze_from": 7}, [(120, 7, 128)]),
        ({"unfreeze_from": [13, 0], "epochs": 5}, [(2, 13, 128), (5, 0, 128)]),
        ({"resolutions": [64, 96, 128], "epochs": 7}, [(2, 0, 64), (4, 0, 96), (7, 0, 128)]),
        ({"resolutions": [64, 128], "unfreeze_from": 4, "epochs": 2}, [(1, 4, 64), (2, 4, 128)]),
        ({"resolutions": [64, 128], "unfreeze_from": [4, 4], "epochs": 0}, [(0, 4, 64), (0, 4, 128)]),
    ],
)
def test_phases_of_stage_2(stage2: dict[str, Any], phases: list[tuple[int, int, int]]) -> None:
    assert list(config(stage2=stage2).stage2.phases(128)) == phases
