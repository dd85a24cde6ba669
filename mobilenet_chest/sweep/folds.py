"""A trial of ``study.resampling: kfold``: a training on each fold, and their means as the trial's figures."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mobilenet_chest import interrupts
from mobilenet_chest.config import Config, with_values
from mobilenet_chest.data.dataset import load_train_val
from mobilenet_chest.evaluation.predictions import Predictions, concatenate
from mobilenet_chest.tracking import MlflowTracker
from mobilenet_chest.tracking.artifact_writer import predictions_from_table, predictions_table, remove_last
from mobilenet_chest.tracking.artifacts import ResumePoint, resume_point, stored_predictions
from mobilenet_chest.tracking.runs import nested_runs
from mobilenet_chest.tracking.store import connect, store_required
from mobilenet_chest.tracking.tags import FOLDS, OUT_OF_FOLD, RESULT, SCORED_ON
from mobilenet_chest.tracking.tracker import Status

if TYPE_CHECKING:
    from mlflow.entities import Run

    Track = Callable[[int, str | None, Callable[[str], None]], MlflowTracker]
    Train = Callable[[Config, MlflowTracker, ResumePoint | None], tuple[dict[str, float], Predictions]]

SUMS = ("train_seconds", "stage1_epochs_trained", "stage1_epochs_reused", "saved_seconds")
"""Figures of a trial that are sums over its folds, not means."""

OF_EPOCHS = ("train_loss", "train_accuracy", "lr", "epoch_seconds", "images_per_second", "stage")
"""What a run's metrics have besides the figures of its end."""


def train_folds(
    config: Config,
    tracker: MlflowTracker,
    track: Track,
    train: Train,
    report: Callable[[int, dict[str, float]], bool],
    on_start: Callable[[Sequence[str]], None],
) -> tuple[dict[str, float], str]:
    """Train one fold after the other, each in a run nested under the trial's.

    Folds whose run has all its results are not trained again, and one that was interrupted goes on after its last
    epoch. The trial's run has the figures of each fold at its step, the means one step later, and out-of-fold
    predictions of all rows, each by the network that has not trained on it.

    Args:
        config: The trial's.
        tracker: Of the trial's run.
        track: Gives the tracker of a fold: its number, the run to go on with, and what is called with its run's id.
        train: Trains one fold; its figures and predictions.
        report: Called after each fold with how many there are by now and their means; True ends the trial there,
            where the next fold is not begun yet.
        on_start: Called with the ids of all folds' runs whenever one is added.

    Returns:
        Means over the folds (sums of :data:`SUMS`), and ``finished`` or ``stopped``.
    """
    data = load_train_val(config.data)
    with tracker.run(config, data), interrupts.translated():
        assert tracker.run_id is not None
        begun = _begun(tracker.run_id)
        found: list[dict[str, float]] = []
        predictions, runs, stopped = list[Predictions](), list[str](), False
        for fold in range(config.study.trainings):

            def started(run_id: str) -> None:
                runs.append(run_id)
                on_start(runs)

            metrics, predicted = _one(config, track, train, fold, begun.get(fold), started)
            found.append(metrics)
            predictions.append(replace(predicted, fold=np.full(len(predicted.row), fold)))
            tracker.log_metrics(metrics, step=fold + 1)
            if report(fold + 1, _together(found)) and fold + 1 not in begun:
                stopped = fold + 1 < config.study.trainings
                break
        metrics = _together(found)
        tracker.log_metrics(metrics, step=config.study.trainings + 1)
        if not stopped:
            with tempfile.TemporaryDirectory(prefix="mobilenet-chest-") as folder:
                file = Path(folder) / "val.parquet"
                predictions_table(concatenate(predictions)).to_parquet(file, index=False)
                tracker.log_file(file, "predictions")
        result = "stopped" if stopped else "finished"
        tracker.log_tags({RESULT: result})
    return metrics, result


def tags(config: Config) -> dict[str, str]:
    """Tags of a trial's run that say what its figures are of."""
    if config.study.resampling != "kfold":
        return {}
    return {FOLDS: str(config.study.trainings), SCORED_ON: OUT_OF_FOLD}


def has_all_results(run: Run, config: Config) -> bool:
    """Whether a run of a trial, or of a fold, was trained to its end and has what the study wants of it."""
    return RESULT in run.data.tags and {config.study.metric, *config.study.also} <= run.data.metrics.keys()


def _begun(trial_run: str) -> dict[int, Run]:
    with store_required():
        return {int(run.data.tags["fold"]): run for run in nested_runs(connect(), trial_run)}


def _one(
    config: Config, track: Track, train: Train, fold: int, run: Run | None, started: Callable[[str], None]
) -> tuple[dict[str, float], Predictions]:
    """Figures and predictions of a fold, trained now or before."""
    tracker = track(fold, None if run is None else str(run.info.run_id), started)
    if run is not None and has_all_results(run, config):
        started(str(run.info.run_id))
        if run.info.status != "FINISHED":  # its worker was killed before it could say so
            tracker.take_over()
            remove_last(tracker)
            tracker.end(Status.FINISHED)
        metrics = {name: value for name, value in run.data.metrics.items() if not _of_epochs(name)}
        return metrics, predictions_from_table(stored_predictions(connect(), run, "val"))
    own = with_values(config, {"data.folds": config.study.trainings, "data.fold": fold})
    return train(own, tracker, None if run is None else resume_point(connect(), run))


def _of_epochs(name: str) -> bool:
    return name in OF_EPOCHS or name.startswith("system/")


def _together(found: Sequence[dict[str, float]]) -> dict[str, float]:
    names = [name for name in found[0] if all(name in one for one in found)]
    sums = {name: sum(one[name] for one in found) for name in names}
    return {name: total if name in SUMS else total / len(found) for name, total in sums.items()}
