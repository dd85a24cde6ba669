"""Every choice of an experiment file trains: through the real function, with its own effect on the numbers."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from helpers.experiments import tiny_fields

from mobilenet_chest.config import Config, parse
from mobilenet_chest.data import phantom
from mobilenet_chest.models import weights
from mobilenet_chest.training.stages import prepare
from mobilenet_chest.two_stage import RunResult, train

Make = Callable[..., Config]

pytestmark = pytest.mark.slow

CHOICES: dict[str, dict[str, Any]] = {
    "rotation": {"augment.rotation": 15},
    "shift and scale": {"augment.shift": 0.1, "augment.scale": 0.2},
    "brightness and contrast": {"augment.brightness": 0.2, "augment.contrast": 0.3},
    "blur": {"augment.blur": 1.0},
    "noise": {"augment.noise": 0.1},
    "erasing": {"augment.erasing": 0.5},
    "crop": {"augment.crop": {"scale": [0.5, 1.0]}},
    "tone": {"augment.gamma": 0.5, "augment.local_contrast": 0.3, "augment.sharpness": 1.0},
    "resampling and JPEG": {"augment.resample": 0.5, "augment.jpeg": 30},
    "TrivialAugment": {"augment.policy": "trivial"},
    "scanner": {"augment.policy": "scanner"},
    "RandAugment": {"augment.policy": "rand"},
    "mixup": {"augment.mixup": 0.4},
    "cutmix": {"augment.cutmix": 1.0},
    "mixup and cutmix": {"augment.mixup": 0.4, "augment.cutmix": 1.0},
    "oversampling": {"data.sampling": "oversample"},
    "balanced batches": {"data.sampling": "balanced"},
    "a fold": {"data.folds": 3, "data.fold": 1},
    "weighted cross-entropy": {"loss.pos_weight": "auto"},
    "label smoothing": {"loss.label_smoothing": 0.2},
    "focal": {"loss.name": "focal", "loss.pos_weight": 2.0},
    "maximum pooling": {"model.pooling": "max"},
    "generalised mean": {"model.pooling": "gem"},
    "squeeze and excitation": {"model.attention": "se"},
    "CBAM": {"model.attention": "cbam"},
    "SGD": {"optimizer.name": "sgd", "optimizer.momentum": 0.8, "stage2.lr": 8.0},
    "schedule-free": {"optimizer.name": "schedulefree_adamw"},
    "SAM": {"optimizer.sam_rho": 0.5},
    "one cycle": {"stage2.schedule": "onecycle"},
    "layer-wise rates": {"stage2.lr_decay": 0.7},
    "moving average": {"stage2.ema": 0.5},
    "fixed statistics": {"stage2.batchnorm": "frozen"},
}


CANCELLED = re.compile(r"blocks\.0\.0\.bn2\.bias$|\.bn3\.bias$")
"""Shifts of a block's output, which the next 1×1 convolution and its batch norm take away again: their gradient is
rounding errors alone. SGD moves them on one processor and not on another; AdamW divides by the gradient's size."""


def small(make: Make, values: dict[str, Any]) -> Config:
    fields = {
        # the maps of random blocks are next to nothing, and so are gradients of what looks at them
        "model": {"name": "efficientnet_lite0", "weights": "imagenet", "hidden": [16]},
        # without decay a weight moves by its gradient alone
        "optimizer": {"batch_size": 16, "accumulation": 1, "weight_decay": 0},
        "data.image_size": 48,
        "stage1": {"epochs": 0},
        "stage2": {"epochs": 1, "lr": 1e-3},
    }
    return make(fields | values)


@pytest.fixture(scope="module", autouse=True)
def _weights_are_read_once() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(weights, "load_state_dict", cache(weights.load_state_dict))
        yield


@pytest.fixture(scope="module")
def phantom_config(tmp_path_factory: pytest.TempPathFactory) -> Make:
    """Builds a tiny experiment of two batches for each epoch."""
    path = tmp_path_factory.mktemp("few") / "few.npz"
    np.savez(path, **phantom.generate(32, {"train": 24, "val": 16}))
    return lambda values: parse(tiny_fields(path, values))


@pytest.fixture(scope="module")
def baseline() -> dict[str, RunResult]:
    """Trained by the first test that asks for it."""
    return {}


@pytest.mark.parametrize("name", CHOICES)
def test_a_choice_trains(phantom_config: Make, baseline: dict[str, RunResult], name: str) -> None:
    config = small(phantom_config, CHOICES[name])
    if not baseline:
        baseline["plain"] = train(small(phantom_config, {}))
    plain, result = baseline["plain"], train(config)
    assert np.ptp(result.predictions.probability) > 1e-5
    assert [record["stage"] for record in result.history] == [2]
    assert all(math.isfinite(value) for record in result.history for value in record.values())
    start = prepare(config).model.state_dict()
    still = [name for name, value in result.model.named_parameters() if torch.equal(value, start[name])]
    if config.optimizer.name == "sgd":
        still = [name for name in still if not CANCELLED.search(name)]
    assert still == []  # a gradient has reached every weight
    if name == "a fold":
        assert len(result.predictions.row) == 12  # of 35
        assert set(result.predictions.row) != set(plain.predictions.row)
    else:
        assert result.predictions.row.tolist() == plain.predictions.row.tolist()
        assert np.abs(result.predictions.probability - plain.predictions.probability).max() > 1e-4


@pytest.mark.parametrize(
    "values", [{"stage1.ema": 0.5}, {"model.attention": "cbam", "model.pooling": "gem"}, {"model.attention": "se"}]
)
def test_a_choice_trains_in_stage_1(phantom_config: Make, values: dict[str, Any]) -> None:
    """Everything of the head, and nothing else."""
    config = small(phantom_config, {"stage1": {"epochs": 2}, "stage2": {"epochs": 0}} | values)
    result, start = train(config), prepare(config).model.state_dict()
    moved = {name for name, value in result.model.named_parameters() if not torch.equal(value, start[name])}
    assert moved == {name for name in dict(result.model.named_parameters()) if name.startswith("head.")}


def test_drop_path_trains(phantom_config: Make) -> None:
    fields = {"name": "efficientnet_b0", "weights": "none", "hidden": [16]}
    plain, dropping = (
        train(small(phantom_config, {"model": fields | {"drop_path": chance}})).history[-1]["train_loss"]
        for chance in (0, 0.8)
    )
    assert math.isfinite(dropping)
    assert dropping != plain
