"""The whole training, top to bottom: data, model, frozen stage, fine-tuning, evaluation, what is kept of it."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mobilenet_chest import interrupts
from mobilenet_chest.config import Config, best_direction
from mobilenet_chest.evaluation.crossfit import crossfit_all_accuracy
from mobilenet_chest.evaluation.metrics import selection_metrics
from mobilenet_chest.evaluation.predictions import Predictions
from mobilenet_chest.models.classifier import Classifier
from mobilenet_chest.models.zoo import parameter_counts
from mobilenet_chest.tracking import NullTracker, Tracker
from mobilenet_chest.tracking.artifact_writer import ArtifactWriter, remove_last
from mobilenet_chest.tracking.artifacts import ResumePoint
from mobilenet_chest.tracking.tags import RESULT
from mobilenet_chest.training.epoch import Record
from mobilenet_chest.training.memory import keep_freed_memory
from mobilenet_chest.training.predict import predict
from mobilenet_chest.training.progress import Progress, StageCost
from mobilenet_chest.training.stages import prepare, train_stage1, train_stage2


@dataclass(frozen=True, eq=False)
class RunResult:
    """What a training came to.

    Attributes:
        run_id: Run in MLflow, if it was tracked.
        status: ``finished``, or ``stopped`` when ``on_epoch`` ended it.
        metrics: The contract's figures at the end, of the best epoch.
        history: One record for each epoch.
        predictions: Of the validation split, by the best epoch's weights.
        model: With the best epoch's weights, in evaluation mode.
    """

    run_id: str | None
    status: str
    metrics: dict[str, float]
    history: list[Record]
    predictions: Predictions
    model: Classifier


def train(
    config: Config,
    tracker: Tracker | None = None,
    on_epoch: Callable[[int, Record], bool | None] | None = None,
    resume: ResumePoint | None = None,
    teacher_logits: Tensor | None = None,
) -> RunResult:
    """Train in two stages, the second from the best state of the first, and evaluate the best epoch.

    The same config and seed give the same numbers, bit for bit on the CPU with the same number of threads. Only
    training and validation rows are read; the test split stays sealed.

    Args:
        config: The experiment.
        tracker: Where to write; nowhere by default.
        on_epoch: Called with the epoch, counted over both stages from 1, and its record; True ends the training
            there, and the best epoch so far is evaluated.
        resume: Where an unfinished run of the same config stands, as
            :func:`~mobilenet_chest.tracking.artifacts.resume_point` finds it: goes on from there.
        teacher_logits: float (n,) of another network for the training rows, where ``loss.distill_weight`` is not 0.

    Raises:
        UserError: Something wrong with the input, before a run is made.
        TrainingDiverged: The loss, or a prediction, is NaN or infinite.
    """
    tracker = tracker or NullTracker()
    started = time.perf_counter()
    prepared = prepare(config, teacher_logits)
    model, data = prepared.model.to(prepared.device), prepared.data
    if prepared.device.type == "cpu":
        keep_freed_memory()
    progress = resume.progress if resume else Progress()
    # what an interrupted run had spent is part of what the result cost
    earlier_seconds = progress.elapsed

    def after_epoch(record: Record) -> bool:
        artifacts.save_last(progress)  # before the metrics: those that are logged need not be trained again
        tracker.log_metrics(record, progress.epoch)
        return bool(on_epoch and on_epoch(progress.epoch, record))

    with (
        tracker.run(config, data),
        interrupts.translated(),
        tempfile.TemporaryDirectory(prefix="mobilenet-chest-") as folder,
    ):
        artifacts = ArtifactWriter(tracker, config, Path(folder), resume.file if resume else None)
        tracker.log_history(progress.history)  # a resumed run may have been killed before it logged its last epoch
        try:
            stopped = False
            with interrupts.translated():
                if progress.stage == 1:
                    stopped, spent = train_stage1(config, prepared, progress, after_epoch)
                    tracker.log_history(progress.history[: spent.epochs_reused])
                    progress.stage1 = vars(spent)
                    if progress.best_epoch:
                        artifacts.checkpoint("stage1_best.pt", progress)
                    if not stopped:
                        _start_stage2(progress)
                if not stopped:
                    if progress.stage_epoch == 0 and progress.previous_best is not None:
                        model.load_state_dict(progress.previous_best["best_model"])
                    stopped = train_stage2(config, prepared, progress, after_epoch)
        except KeyboardInterrupt:
            artifacts.save_interrupted(progress, _overall_best(progress, config.evaluation.metric))
            raise
        best = _overall_best(progress, config.evaluation.metric)
        model.load_state_dict(best["best_model"])
        predictions = predict(model, data.val, prepared.device)
        metrics = selection_metrics(predictions, config.evaluation, config.seed)
        spent = StageCost(**progress.stage1)
        metrics |= _crossfit_metrics(config, progress, best["best_epoch"], predictions)
        metrics |= _run_metrics(progress, best["best_epoch"], model) | spent.metrics()
        if config.data.drop_duplicates:
            metrics["dropped_duplicates"] = float(data.dropped)
        if resume is None:  # otherwise it is in what had been spent before
            earlier_seconds += spent.saved_seconds
        metrics["train_seconds"] = earlier_seconds + time.perf_counter() - started
        # one step past the last epoch, so that MLflow shows the figures of the best epoch as the run's own
        tracker.log_metrics(metrics, progress.epoch + 1)
        artifacts.checkpoint("best.pt", progress, best, metrics)
        artifacts.predictions(predictions, "val")
        artifacts.plots(data, predictions, progress, best["best_epoch"], metrics["threshold"])
        status = "stopped" if stopped else "finished"
        tracker.log_tags({RESULT: status})
    remove_last(tracker)
    return RunResult(tracker.run_id, status, metrics, progress.history, predictions, model.eval())


def _start_stage2(progress: Progress) -> None:
    """Stage 1's best is set aside: stage 2's patience counts on what stage 2 itself reaches."""
    after: dict[str, Any] = {"stage": 2, "stage_epoch": 0, "best_epoch": 0}
    after["resume"] = {name: state for name, state in progress.resume.items() if name == "random"}
    if progress.best_epoch:
        after["previous_best"] = {
            "best_epoch": progress.best_epoch,
            "best_value": progress.best_value,
            "best_model": progress.best_model,
        }
    vars(progress).update(after)  # in one step: an interrupt may strike between any two


def _overall_best(progress: Progress, metric: str) -> dict[str, Any]:
    """The better stage's best epoch; stage 2's where they are equal."""
    own: dict[str, Any] = {
        "best_epoch": progress.best_epoch,
        "best_value": progress.best_value,
        "best_model": progress.best_model,
    }
    earlier = progress.previous_best
    if earlier is None or not progress.best_epoch:
        return own if progress.best_epoch else earlier or own
    sign = -1 if best_direction(metric) == "minimize" else 1
    return own if sign * own["best_value"] >= sign * earlier["best_value"] else earlier


def _crossfit_metrics(
    config: Config, progress: Progress, best_epoch: int, predictions: Predictions
) -> dict[str, float]:  # fmt: skip
    """Nothing for a run resumed from a checkpoint that lacks the logits of its first epochs."""
    if len(progress.val_logits) < len(progress.history):
        return {}
    logits = torch.stack(progress.val_logits).double().numpy()
    stages = [record["stage"] for record in progress.history]
    accuracy = crossfit_all_accuracy(predictions, logits, stages, best_epoch, config.evaluation, config.seed)
    return {"val_accuracy_crossfit_all": accuracy}


def _run_metrics(progress: Progress, best_epoch: int, model: Classifier) -> dict[str, float]:
    parameters, parameters_stage1 = parameter_counts(model)
    metrics = {
        "best_epoch": float(best_epoch),
        "val_loss": progress.history[best_epoch - 1]["val_loss"],
        "parameters": float(parameters),
        "parameters_stage1": float(parameters_stage1),
    }
    for stage in (1, 2):
        reached = [record["val_accuracy"] for record in progress.history if record["stage"] == stage]
        if reached:
            metrics[f"stage{stage}_best_val_accuracy"] = max(reached)
    return metrics
