"""The state of a training between two epochs: what a checkpoint holds, the best epoch, and what stage 1 cost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor

from mobilenet_chest.config.metrics import as_score, best_direction
from mobilenet_chest.training.epoch import Record


class BestEpoch(NamedTuple):
    """The epoch with the best value of the selection metric.

    Attributes:
        epoch: Counted over both stages from 1; 0 for none.
        value: Its value of the metric.
        model: The model's state after it, on the CPU.
    """

    epoch: int
    value: float
    model: dict[str, Tensor]


@dataclass(frozen=True)
class StageCost:
    """What stage 1 cost.

    Attributes:
        epochs_trained: Epochs trained for this run.
        epochs_reused: Epochs reused from an equal, earlier stage 1.
        saved_seconds: Seconds that the reused epochs had taken.
    """

    epochs_trained: int = 0
    epochs_reused: int = 0
    saved_seconds: float = 0.0

    def metrics(self) -> dict[str, float]:
        """Return the cost by its metric names."""
        return {
            "stage1_epochs_trained": float(self.epochs_trained),
            "stage1_epochs_reused": float(self.epochs_reused),
            "saved_seconds": self.saved_seconds,
        }


@dataclass
class Progress:
    """The state of a training after an epoch, enough to resume it exactly as if it had never been interrupted.

    Attributes:
        stage: 1 or 2.
        epoch: Epochs done, over both stages.
        stage_epoch: Epochs done in this stage.
        history: One record for each epoch done.
        val_logits: float32 (n,) of the validation rows, without TTA, for each epoch done.
        best_epoch: Number, over both stages, of this stage's best epoch; 0 for none.
        best_value: Its value of the selection metric.
        best_model: Deep copy of the model's state after it, on the CPU.
        previous_best: Best epoch of the stage before.
        resume: State of model, optimiser, schedule, scaler and random generators at the end of ``epoch``.
        elapsed: Seconds spent in epochs.
        threads: Of the CPU that computed them; 0 before the first epoch, and in older checkpoints.
        stage1: What stage 1 cost, once it is over.
    """

    stage: int = 1
    epoch: int = 0
    stage_epoch: int = 0
    history: list[Record] = field(default_factory=list)
    val_logits: list[Tensor] = field(default_factory=list)
    best_epoch: int = 0
    best_value: float = float("nan")
    best_model: dict[str, Tensor] = field(default_factory=dict)
    previous_best: BestEpoch | None = None
    resume: dict[str, Any] = field(default_factory=dict)
    elapsed: float = 0.0
    threads: int = 0
    stage1: StageCost = StageCost()

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Progress:
        """Return what :meth:`state` was made from. Fields that an older checkpoint lacks keep their defaults."""
        previous = state.get("previous_best")
        if previous is not None:
            previous = BestEpoch(previous["best_epoch"], previous["best_value"], previous["best_model"])
        return cls(**{**state, "previous_best": previous, "stage1": StageCost(**state.get("stage1", {}))})

    def state(self) -> dict[str, Any]:
        """Return the state as numbers, tensors, lists and dicts, as checkpoints hold it."""
        state = vars(self) | {"stage1": vars(self.stage1)}
        if self.previous_best is not None:
            epoch, value, model = self.previous_best
            state["previous_best"] = {"best_epoch": epoch, "best_value": value, "best_model": model}
        return state

    @contextmanager
    def same_threads(self) -> Iterator[None]:
        """Compute with as many threads as this training began with: other numbers sum in another order."""
        before = torch.get_num_threads()
        self.threads = self.threads or before
        torch.set_num_threads(self.threads)
        try:
            yield
        finally:
            torch.set_num_threads(before)

    def update(self, **fields: Any) -> None:
        """Set some fields in one step: an interrupt between two of them would leave a state that never was."""
        vars(self).update(fields)

    @property
    def best(self) -> BestEpoch:
        """The best epoch of this stage."""
        return BestEpoch(self.best_epoch, self.best_value, self.best_model)

    def improves(self, value: float, metric: str) -> bool:
        """Return whether a value of the selection metric is better than this stage's best."""
        direction = best_direction(metric)
        return not self.best_epoch or as_score(value, direction) > as_score(self.best_value, direction)

    def overall_best(self, metric: str) -> BestEpoch:
        """Return the better stage's best epoch; stage 2's where they are equal."""
        previous, direction = self.previous_best, best_direction(metric)
        if previous is None:
            return self.best
        if self.best_epoch and as_score(self.best_value, direction) >= as_score(previous.value, direction):
            return self.best
        return previous

    def start_stage2(self) -> None:
        """Begin stage 2, with stage 1's best set aside: stage 2's patience counts from what stage 2 itself reaches.

        Of the state to resume from, only the random generators carry over: the stages have different optimisers.
        """
        self.update(
            stage=2,
            stage_epoch=0,
            best_epoch=0,
            previous_best=self.best if self.best_epoch else self.previous_best,
            resume={name: state for name, state in self.resume.items() if name == "random"},
        )
