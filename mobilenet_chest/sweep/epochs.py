"""What a trial's epochs have brought so far: written by its worker into the study, read by live views and findings."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

from optuna.trial import FrozenTrial, Trial

from mobilenet_chest.config import EPOCH_METRICS, Config
from mobilenet_chest.config.metrics import as_score, best_direction
from mobilenet_chest.errors import WriteFailed
from mobilenet_chest.sweep import attributes
from mobilenet_chest.training.epoch import Record

WRITE_SECONDS = 1.0
"""Shortest time between two writes of a trial's epochs: a live view looks once a second."""

VALUES_KEPT = 120
"""Most values of the metric that a live view gets: more than a terminal has room for."""


@dataclass(frozen=True)
class Epochs:
    """The epochs of a trial's current training.

    Attributes:
        done: Epochs done, over both stages.
        total: Epochs in all, unless patience ends a stage earlier.
        stage: 1 or 2.
        metric: The study's, or the one that chooses the epoch, where the study's is known only at the end.
        values: Of the metric, the latest last; without those of a stage 1 that was reused.
        best: The best of all values; ``None`` before the first.
        loss: The latest training loss.
        images_per_second: In the latest epoch.
        stage_epochs: How many epochs each stage is to have.
        stage_seconds: Mean seconds of an epoch by stage, of those stages that were trained here.
        fold: Number of the current fold, from 0.
        folds: Trainings of the trial.
        resumed: Epochs that were done when the training was resumed.
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
    resumed: int = 0

    def seconds_left(self, usual: Mapping[int, float]) -> float | None:
        """Return how long the trial will take from here; ``None`` where a stage's epochs have not been timed.

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


def shown_metric(config: Config) -> str:
    """Return the metric whose epochs are followed: the study's, or else the one that chooses the best epoch."""
    return config.study.metric if config.study.metric in EPOCH_METRICS else config.evaluation.metric


def stored_epochs(trial: FrozenTrial) -> Epochs | None:
    """Return the epochs that a trial's worker has written, if any."""
    stored = trial.user_attrs.get(attributes.EPOCHS)
    if stored is None:
        return None
    seconds = {int(stage): value for stage, value in stored["stage_seconds"].items()}
    return Epochs(**{**stored, "values": tuple(stored["values"]), "stage_epochs": tuple(stored["stage_epochs"]),
                     "stage_seconds": seconds})  # fmt: skip


def summarize_epochs(
    config: Config, done: int, history: Sequence[Record], fold: int = 0, resumed: int = 0
) -> Epochs:  # fmt: skip
    """Return what a live view shows of a training.

    Args:
        config: The trial's.
        done: Epochs done, over both stages.
        history: Records of the epochs that are known, in order.
        fold: Number of the fold, from 0.
        resumed: Epochs that were done when the training was resumed.
    """
    metric, latest = shown_metric(config), history[-1] if history else None
    values = [record[metric] for record in history]
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
        loss=None if latest is None else latest["train_loss"],
        images_per_second=None if latest is None else latest["images_per_second"],
        stage_epochs=(config.stage1.epochs, config.stage2.epochs),
        stage_seconds=_by_stage(history),
        fold=fold,
        folds=config.study.trainings,
        resumed=resumed,
    )


def _by_stage(history: Sequence[Record]) -> dict[int, float]:
    stages = {int(record["stage"]) for record in history}
    return {stage: fmean(r["epoch_seconds"] for r in history if r["stage"] == stage) for stage in sorted(stages)}


def reached(config: Config, history: Sequence[Record]) -> dict[str, Any]:
    """Return what each stage of a finished training has reached, as :data:`~.attributes.TRAININGS` holds it.

    Args:
        config: The trial's.
        history: One record for each epoch.
    """
    metric, chooses = shown_metric(config), config.evaluation.metric

    def best_of(records: Sequence[tuple[int, Record]], name: str) -> tuple[int, float]:
        # of equal values the last: it belongs to stage 2, as in the choice of a run's best epoch
        direction = best_direction(name)
        epoch, record = max(records, key=lambda item: (as_score(item[1][name], direction), item[0]))
        return epoch, record[name]

    numbered = list(enumerate(history, 1))
    summary: dict[str, Any] = {"metric": metric, "best_epoch": best_of(numbered, chooses)[0]}
    for stage in (1, 2):
        if records := [(epoch, record) for epoch, record in numbered if record["stage"] == stage]:
            epoch, value = best_of(records, metric)
            summary[f"stage{stage}"] = {"epochs": len(records), "best_epoch": epoch, "best": value}
    return summary


class EpochReporter:
    """Writes a trial's epochs into its attributes, once in :data:`WRITE_SECONDS` at most.

    Args:
        config: The trial's.
        trial: The trial that this process runs.
        history: Records of the epochs that were done before a resume.
        fold: Number of the fold, from 0.
    """

    def __init__(self, config: Config, trial: Trial, history: Sequence[Record] = (), fold: int = 0) -> None:
        self._config, self._trial, self._fold = config, trial, fold
        self._history, self._resumed, self._done = list(history), len(history), len(history)
        self.write()

    def add(self, epoch: int, record: Record) -> None:
        """Note an epoch, and write it unless the last write was less than :data:`WRITE_SECONDS` ago."""
        self._history.append(record)
        self._done = epoch
        if time.monotonic() - self._written >= WRITE_SECONDS:
            self.write()

    def write(self) -> None:
        """Write what is known now; a full disk does not end a training because of its live view."""
        epochs = summarize_epochs(self._config, self._done, self._history, self._fold, self._resumed)
        with suppress(WriteFailed):
            self._trial.set_user_attr(attributes.EPOCHS, asdict(epochs))
        self._written = time.monotonic()

    def finish(self, history: Sequence[Record]) -> None:
        """Write the whole training, and what its stages have reached.

        Args:
            history: One record for each epoch, those of a stage 1 that was reused among them.
        """
        self._history, self._done = list(history), len(history)
        self.write()
        trainings = [*self._trial.user_attrs.get(attributes.TRAININGS, []), reached(self._config, history)]
        self._trial.set_user_attr(attributes.TRAININGS, trainings)
