"""Where a training stands: what a checkpoint holds, and what stage 1 cost."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from mobilenet_chest.training.epoch import Record


@dataclass
class Progress:
    """Where a training stands after an epoch; plain data, enough to go on exactly as if never interrupted.

    Attributes:
        stage: 1 or 2.
        epoch: Epochs done, over both stages.
        stage_epoch: Epochs done in this stage.
        history: One record for each epoch done.
        val_logits: float32 (n,) of the validation rows, without TTA, for each epoch done.
        best_epoch: Epoch, over both stages, with the best value of the selection metric in this stage; 0 for none.
        best_value: That value.
        best_model: Deep copy of the model's state then, on the CPU.
        previous_best: ``best_epoch``, ``best_value`` and ``best_model`` of the stage before.
        resume: State of model, optimiser, schedule, scaler and random generators at the end of ``epoch``.
        elapsed: Seconds spent in epochs.
        stage1: What stage 1 has cost, once it is over.
    """

    stage: int = 1
    epoch: int = 0
    stage_epoch: int = 0
    history: list[Record] = field(default_factory=list)
    val_logits: list[Tensor] = field(default_factory=list)
    best_epoch: int = 0
    best_value: float = float("nan")
    best_model: dict[str, Tensor] = field(default_factory=dict)
    previous_best: dict[str, Any] | None = None
    resume: dict[str, Any] = field(default_factory=dict)
    elapsed: float = 0.0
    stage1: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class StageCost:
    """What stage 1 cost.

    Attributes:
        epochs_trained: Epochs trained for this run.
        epochs_reused: Epochs taken over from an earlier, equal stage 1.
        saved_seconds: What those had taken.
    """

    epochs_trained: int = 0
    epochs_reused: int = 0
    saved_seconds: float = 0.0

    def metrics(self) -> dict[str, float]:
        """By the names they have in MLflow."""
        return {
            "stage1_epochs_trained": float(self.epochs_trained),
            "stage1_epochs_reused": float(self.epochs_reused),
            "saved_seconds": self.saved_seconds,
        }
