"""A network small enough to follow by hand, and stages on it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from mobilenet_chest.config import AugmentConfig, LossConfig, OptimizerConfig, StageConfig
from mobilenet_chest.training.epoch import (
    Record,
    StageSetup,
    Validation,
    train_epoch,
)
from mobilenet_chest.training.features import Inputs
from mobilenet_chest.training.losses import build_loss


class Tiny(nn.Module):
    """One linear layer on nine pixels, without BatchNorm."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(4)
        self.linear = nn.Linear(9, 1)

    def forward(self, images: Tensor) -> Tensor:
        return self.linear(images.float().flatten(1) / 255).squeeze(1)


def validation(record: dict[str, float]) -> Validation:
    """Of a single row, whose logit is the AUC, if there is one."""
    return Validation(record, torch.tensor([record.get("val_auc", 0.0)]))


def scripted(*values: float) -> Callable[[nn.Module], Validation]:
    """A validation that gives these values of ``val_auc``, one each epoch."""
    remaining = iter(values)
    return lambda model: validation({"val_auc": next(remaining), "val_loss": 0.5, "val_accuracy": 0.5})


def setup(rows: int = 11, validate: Callable[[nn.Module], Validation] | None = None, **optimizer: Any) -> StageSetup:
    generator = torch.Generator().manual_seed(8)
    images = torch.randint(0, 256, (rows, 1, 3, 3), dtype=torch.uint8, generator=generator)
    return StageSetup(
        inputs=Inputs(0, images, images),
        labels=(torch.arange(rows) % 3 == 0).float(),
        loss=build_loss(LossConfig(), {}),
        validate=validate or (lambda model: validation({"val_auc": 0.5, "val_loss": 0.5, "val_accuracy": 0.5})),
        metric="val_auc",
        optimizer=OptimizerConfig.model_validate({"clip_norm": None} | optimizer),
        augment=AugmentConfig(hflip=0),
        precision=torch.float32,
        generator=generator,
    )


def one_epoch(setup: StageSetup, model: nn.Module) -> Record:
    """With plain gradient descent, rate 1: the parameters move by the gradients."""
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1.0)
    return train_epoch(model, setup, optimizer, schedule, torch.amp.GradScaler("cpu", enabled=False))


def stage(**fields: Any) -> StageConfig:
    return StageConfig.model_validate({"epochs": 3, "lr": 0.01} | fields)


def go_on(record: Record) -> bool:
    return False
