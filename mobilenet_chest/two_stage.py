"""The story of a training, top to bottom: prepare, stage 1, stage 2, evaluate, store."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from torch import Tensor

from mobilenet_chest import interrupts, plugins
from mobilenet_chest.config import Config
from mobilenet_chest.config.formats import with_interval
from mobilenet_chest.config.metrics import label
from mobilenet_chest.display import html_table
from mobilenet_chest.errors import TrainingPaused
from mobilenet_chest.evaluation.intervals import Interval
from mobilenet_chest.evaluation.metric_intervals import metric_intervals
from mobilenet_chest.evaluation.predictions import Predictions
from mobilenet_chest.evaluation.run_predictions import RunPredictions
from mobilenet_chest.models.classifier import Classifier
from mobilenet_chest.tracking.artifact_writer import ArtifactWriter, remove_last
from mobilenet_chest.tracking.artifacts import ResumePoint
from mobilenet_chest.tracking.notes import Outcome
from mobilenet_chest.tracking.parents import parent_weights, with_parent
from mobilenet_chest.tracking.runs import short_id
from mobilenet_chest.tracking.tracker import NullTracker, Tracker
from mobilenet_chest.training.epoch import Record
from mobilenet_chest.training.final_metrics import evaluate_best
from mobilenet_chest.training.progress import Progress
from mobilenet_chest.training.stages import prepare, to_device, train_stage1, train_stage2
from mobilenet_chest.training.stress import stress_table

OnEpoch = Callable[[int, Record], bool | None]
"""Called with the epoch, counted over both stages from 1, and its record; True ends the training.

It may raise ``TrainingPaused``: the epoch is saved, and the run waits until it is resumed.
"""

OnHistory = Callable[[Sequence[Record]], None]
"""Called with the records of all epochs so far, where those were not trained just now; may raise likewise."""

Check = Callable[[Tracker, Classifier, Predictions], None]
"""Called with the best epoch's model, in evaluation mode, and its predictions, when the run has all results and has not
ended: it may log further ones, and what it raises makes the run FAILED."""

SHOWN_METRICS = ("val_auc", "val_auc_tta", "val_accuracy_crossfit", "val_sensitivity", "val_specificity", "threshold")
"""Metrics that a notebook shows of a result."""

PREFIX = "mobilenet-chest-"
"""Beginning of the names of temporary folders."""


@dataclass(frozen=True, eq=False, repr=False)
class RunResult:
    """The result of a training.

    Attributes:
        run_id: Run in MLflow, if it was tracked.
        status: ``finished``, or ``stopped`` when ``on_epoch`` ended it.
        metrics: Of the best epoch, by their names in MLflow.
        history: One record for each epoch.
        predictions: Of the validation split, by the best epoch's model.
        model: With the best epoch's weights, in evaluation mode.
        config: The experiment.
        stress_rows: Rows of ``stress/val.json``; empty where there is none.
    """

    run_id: str | None
    status: str
    metrics: dict[str, float]
    history: list[Record]
    predictions: Predictions
    model: Classifier
    config: Config
    stress_rows: Sequence[Mapping[str, Any]] = ()

    def intervals(self, *names: str) -> dict[str, Interval]:
        """Return 95% intervals of metrics, by name; of all that can have one where none is named."""
        chosen = {name: self.metrics[name] for name in names or self.metrics}
        scored = RunPredictions(self.predictions, self.metrics, self.config.evaluation, self.config.seed)
        with plugins.using(self.config.plugins):
            return metric_intervals("val", chosen, scored)

    def __repr__(self) -> str:
        value = with_interval(self.metrics["val_auc"], self.intervals("val_auc").get("val_auc"))
        run = f"run {short_id(self.run_id)}" if self.run_id else "not tracked"
        return f"<{self.config.name}: {self.status}, {run}, {len(self.history)} epochs, val_auc {value}>"

    def _repr_html_(self) -> str:
        names = [name for name in (*SHOWN_METRICS, self.config.study.metric) if name in self.metrics]
        intervals = self.intervals(*names)
        rows = [(label(name), with_interval(self.metrics[name], intervals.get(name))) for name in dict.fromkeys(names)]
        run = f"run {short_id(self.run_id)}" if self.run_id else "not tracked"
        note = f"{self.status} after {len(self.history)} epochs; in brackets: 95% intervals."
        return html_table(f"{self.config.name}, {run}", ("metric", "value"), rows, note)


def train(
    config: Config,
    tracker: Tracker | None = None,
    on_epoch: OnEpoch | None = None,
    resume: ResumePoint | None = None,
    teacher_logits: Tensor | None = None,
    check: Check | None = None,
    on_history: OnHistory | None = None,
) -> RunResult:
    """Train in two stages, the second from the best state of the first, and evaluate the best epoch.

    The same config and seed give the same numbers, bit for bit on the CPU with the same number of threads; a
    resumed training keeps the number that it began with. Only training and validation rows are read; the test split
    stays sealed.

    Args:
        config: The experiment.
        tracker: Where to write; nowhere by default.
        on_epoch: Called after each epoch; True ends the training there, and the best epoch so far is evaluated. After
            the last epoch nothing is left to end: such a training is finished, as one that was killed there is.
        resume: Where to resume an unfinished run of the same config: :func:`~.tracking.artifacts.resume_point`.
        teacher_logits: float (n,) of another network for the training rows, where ``loss.distill_weight`` is not 0.
        check: Decides whether the run may finish.
        on_history: Called with the epochs of a training that resumes, and after a stage 1 that was reused.

    Raises:
        UserError: Something is wrong with the input; raised before a run is made.
        TrainingPaused: ``on_epoch`` or ``on_history`` has raised it.
        TrainingDiverged: The loss, or a prediction, is NaN or infinite.
    """
    started, tracker = time.perf_counter(), tracker or NullTracker()
    # 1. Prepare. What is wrong with the input shows here, before a run exists.
    config = with_parent(config)
    prepared = prepare(config, teacher_logits, parent_weights(config))
    to_device(prepared)
    progress = resume.progress if resume else Progress()
    seconds_before_resume, stopped = progress.elapsed, False
    with (
        tracker.run(config, prepared.data),
        progress.same_threads(),
        interrupts.translated(),
        TemporaryDirectory(prefix=PREFIX) as folder,
    ):
        artifacts = ArtifactWriter(tracker, config, Path(folder), resume.file if resume else None)
        after_epoch = partial(_after_epoch, config, artifacts, tracker, progress, on_epoch)
        tracker.log_history(progress.history)  # a killed run may not have logged its last epoch
        with _saving_when_interrupted(artifacts, progress, config):
            if on_history and progress.history:
                on_history(progress.history)
            # 2. Stage 1: the head learns on the frozen backbone, or an equal earlier stage 1 is reused.
            if progress.stage == 1:
                stopped = train_stage1(config, prepared, progress, after_epoch)
                tracker.log_history(progress.history[: progress.stage1.epochs_reused])
                if on_history and progress.stage1.epochs_reused:
                    on_history(progress.history)
                if progress.best_epoch:
                    artifacts.checkpoint("stage1_best.pt", progress, progress.best)
            # 3. Stage 2: fine-tuning, from the best state of stage 1.
            stopped = stopped or train_stage2(config, prepared, progress, after_epoch)
        # 4. Evaluate the best epoch of both stages. What was spent before, or saved, is part of what the result cost.
        best, predictions, metrics = evaluate_best(config, prepared, progress)
        earlier = seconds_before_resume if resume else progress.stage1.saved_seconds
        metrics["train_seconds"] = earlier + time.perf_counter() - started
        # 5. Store.
        tracker.log_metrics(metrics)
        artifacts.checkpoint("best.pt", progress, best, metrics)
        artifacts.predictions(predictions, "val")
        stress, table = config.evaluation.stress, list[dict[str, Any]]()
        if stress is not None and stress.table and tracker.run_id is not None and not stopped:
            table = stress_table(prepared.model, prepared.data.val, prepared.device)
            artifacts.stress(table)
        artifacts.plots(prepared.data, predictions, progress, best.epoch, metrics["threshold"])
        model = prepared.model.eval()
        if check is not None:
            check(tracker, model, predictions)
        status = "stopped" if stopped else "finished"
        planned = config.stage1.epochs + config.stage2.epochs
        tracker.log_outcome(Outcome(status, metrics, progress.epoch, planned, predictions))
    remove_last(tracker)
    return RunResult(tracker.run_id, status, metrics, progress.history, predictions, model, config, table)


def _after_epoch(
    config: Config,
    artifacts: ArtifactWriter,
    tracker: Tracker,
    progress: Progress,
    on_epoch: OnEpoch | None,
    record: Record,
) -> bool:
    """Save and log an epoch; return whether ``on_epoch`` ends the training before its last epoch."""
    artifacts.save_last(progress)  # before the metrics: an epoch that was logged is never trained again
    tracker.log_history([record], progress.epoch)
    ends = bool(on_epoch and on_epoch(progress.epoch, record))
    to_come = config.stage1.epochs + config.stage2.epochs if progress.stage == 1 else config.stage2.epochs
    return ends and progress.stage_epoch < to_come


@contextmanager
def _saving_when_interrupted(artifacts: ArtifactWriter, progress: Progress, config: Config) -> Iterator[None]:
    """Save the best and the last epoch when an interrupt ends the block, and the last one when a pause does."""
    try:
        yield
    except TrainingPaused:
        artifacts.save_paused(progress)
        raise
    except BaseException as error:
        if interrupts.caused(error):
            artifacts.save_interrupted(progress, progress.overall_best(config.evaluation.metric))
        raise
