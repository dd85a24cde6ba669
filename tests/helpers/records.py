"""Records of epochs, and the experiment that they are of."""

from __future__ import annotations

from mobilenet_chest.config import Config, parse
from mobilenet_chest.training.epoch import Record


def nine_epochs() -> Config:
    """Three frozen epochs and six of fine-tuning; the accuracy chooses."""
    return parse(
        {"name": "x", "stage1": {"epochs": 3}, "stage2": {"epochs": 6}, "evaluation": {"metric": "val_accuracy"}}
    )


def record(stage: int, auc: float, accuracy: float = 0.5, seconds: float = 2.0) -> Record:
    return {
        "stage": float(stage), "train_loss": 1 - auc, "val_loss": 1 - auc, "val_auc": auc, "val_accuracy": accuracy,
        "images_per_second": 100.0, "epoch_seconds": seconds, "lr": 0.1,
    }  # fmt: skip
