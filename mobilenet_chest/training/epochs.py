"""What the epochs of a training have brought so far, in the few numbers that a live view and a verdict need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from mobilenet_chest.config import Config
from mobilenet_chest.config.metrics import as_score, best_direction
from mobilenet_chest.training.epoch import Record

VALUES_KEPT = 120
"""Most values of the metric that a live view gets: more than a terminal has room for."""


@dataclass(frozen=True)
class Epochs:
    """The epochs of a training.

    Attributes:
        done: Epochs done, over both stages.
        total: Epochs in all, unless patience ends a stage earlier.
        stage: 1 or 2.
        metric: Which one is followed.
        values: Of the metric, the latest last; without those of a stage 1 that was reused.
        best: The best of all values; ``None`` before the first.
        loss: The latest training loss.
        images_per_second: In the latest epoch.
        stage_epochs: How many epochs each stage is to have.
        stage_seconds: Mean seconds of an epoch by stage, of those stages that were trained here.
        fold: Number of the current fold, from 0.
        folds: Trainings of the trial, one on each fold.
    """

    done: int
    total: int
    stage: int
    metric: str
    values: tuple[float, ...]
    best: float | None
    loss: float | None
    images_per_second: float | None
    stage_epochs: tuple[int, int]
    stage_seconds: dict[int, float]
    fold: int = 0
    folds: int = 1

    def seconds_left(self, usual: Mapping[int, float]) -> float | None:
        """Return the seconds that the trial will take from here; ``None`` where a stage's epochs have not been timed.

        Args:
            usual: Seconds of an epoch by stage in other trials, for a stage that this one has not reached.
        """
        seconds = {**usual, **self.stage_seconds}
        to_come = {1: self.stage_epochs[0] if self.stage == 1 else 0, 2: self.total - self.done}
        if self.stage == 1:
            to_come = {1: max(0, self.stage_epochs[0] - self.done), 2: self.stage_epochs[1]}
        if any(count and stage not in seconds for stage, count in to_come.items()):
            return None
        left = sum(count * seconds[stage] for stage, count in to_come.items() if count)
        training = sum(count * seconds.get(stage, 0.0) for stage, count in enumerate(self.stage_epochs, 1))
        return left + (self.folds - self.fold - 1) * training


def summarize_epochs(
    config: Config, done: int, history: Sequence[Record], metric: str, folds: int = 1
) -> Epochs:  # fmt: skip
    """Return what a live view shows of a training.

    Args:
        config: The experiment.
        done: Epochs done, over both stages.
        history: Records of the epochs that are known, in order.
        metric: Which one is followed.
        folds: Trainings of the trial, one on each fold.
    """
    latest = history[-1] if history else None
    values = [record[metric] for record in history if metric in record]
    stage = 1 if config.stage1.epochs else 2
    total = config.stage1.epochs + config.stage2.epochs
    if latest is not None and (stage := int(latest["stage"])) == 2:  # patience may have ended stage 1 earlier
        total = done - sum(record["stage"] == 2 for record in history) + config.stage2.epochs
    direction = best_direction(metric)
    return Epochs(
        done=done,
        total=total,
        stage=stage,
        metric=metric,
        values=tuple(values[-VALUES_KEPT:]),
        best=max(values, key=lambda value: as_score(value, direction)) if values else None,
        loss=None if latest is None else latest.get("train_loss"),
        images_per_second=None if latest is None else latest.get("images_per_second"),
        stage_epochs=(config.stage1.epochs, config.stage2.epochs),
        stage_seconds=_by_stage(history),
        fold=config.data.fold if folds > 1 else 0,
        folds=folds,
    )


def _by_stage(history: Sequence[Record]) -> dict[int, float]:
    """Return the mean seconds of an epoch by stage; records of early versions may lack them."""
    timed = [(int(record["stage"]), record["epoch_seconds"]) for record in history if "epoch_seconds" in record]
    return {stage: fmean(s for each, s in timed if each == stage) for stage in sorted({stage for stage, _ in timed})}


def reached(config: Config, history: Sequence[Record], metric: str) -> dict[str, Any]:
    """Return what each stage of a finished training has reached, by the value of a metric.

    Args:
        config: The experiment.
        history: One record for each epoch.
        metric: Which one is followed; the best epoch is chosen by the experiment's.
    """
    chooses = config.evaluation.metric

    def best_of(records: Sequence[tuple[int, Record]], name: str) -> tuple[int, float]:
        # of equal values the last: it belongs to stage 2, as in the choice of a run's best epoch
        direction = best_direction(name)
        known = [(epoch, record) for epoch, record in records if name in record]
        epoch, record = max(known, key=lambda item: (as_score(item[1][name], direction), item[0]))
        return epoch, record[name]

    numbered = list(enumerate(history, 1))
    summary: dict[str, Any] = {"metric": metric, "best_epoch": best_of(numbered, chooses)[0]}
    for stage in (1, 2):
        if records := [(epoch, record) for epoch, record in numbered if record["stage"] == stage]:
            epoch, value = best_of(records, metric)
            summary[f"stage{stage}"] = {"epochs": len(records), "best_epoch": epoch, "best": value}
    return summary
