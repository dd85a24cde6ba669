"""A trial of ``study.resampling: kfold``: a training on each fold, or without each site, and their means."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mobilenet_chest import interrupts, plugins
from mobilenet_chest.config import Config, with_values
from mobilenet_chest.config.metrics import site_prefixes
from mobilenet_chest.data.dataset import load_train_val
from mobilenet_chest.evaluation.intervals import logged_intervals
from mobilenet_chest.evaluation.predictions import Predictions, concatenate
from mobilenet_chest.evaluation.sites import site_metrics
from mobilenet_chest.evaluation.stress import mean_rows
from mobilenet_chest.evaluation.unpaired import unpaired_mean
from mobilenet_chest.sweep.feasibility import constrained_metrics
from mobilenet_chest.sweep.splits import fold_fields, site_names, trainings
from mobilenet_chest.tracking import tags
from mobilenet_chest.tracking.artifact_writer import log_stress, predictions_from_table, predictions_table, remove_last
from mobilenet_chest.tracking.artifacts import ResumePoint, resume_point, stored_predictions, stress_rows
from mobilenet_chest.tracking.notes import Outcome
from mobilenet_chest.tracking.run_metrics import metrics_of
from mobilenet_chest.tracking.runs import nested_runs
from mobilenet_chest.tracking.store import connect, store_required
from mobilenet_chest.tracking.tracker import MlflowTracker, Status

if TYPE_CHECKING:
    from mlflow.entities import Run

    Track = Callable[[int, str | None, Callable[[str], None]], MlflowTracker]
    Train = Callable[[Config, MlflowTracker, ResumePoint | None], "Fold"]

SUMMED_METRICS = ("train_seconds", "stage1_epochs_trained", "stage1_epochs_reused", "saved_seconds")
"""Metrics of a trial that are sums over its folds, not means."""

EPOCH_ONLY_METRICS = ("train_loss", "train_accuracy", "lr", "epoch_seconds", "images_per_second", "stage")
"""Metrics of a run's epochs that are not among its final ones."""


class Fold(NamedTuple):
    """A trained fold: metrics, predictions of its rows, and its table of corruptions; empty where it has none."""

    metrics: dict[str, float]
    predictions: Predictions
    stress_rows: Sequence[Mapping[str, Any]]


def train_folds(
    config: Config,
    tracker: MlflowTracker,
    track: Track,
    train: Train,
    report: Callable[[int, dict[str, float]], bool],
    on_start: Callable[[Sequence[str]], None],
) -> tuple[dict[str, float], str]:
    """Train one fold after the other, each in a run nested under the trial's.

    A fold whose run has all its results is not trained again, and one that was interrupted resumes after its last
    epoch. The trial's run has the metrics of each fold at its step, their means one step later, and out-of-fold
    predictions: each row is predicted by the network that did not train on it. With ``study.leave_out`` the folds are
    sites, and the run has the metrics of each.

    Args:
        config: The trial's.
        tracker: Of the trial's run.
        track: Returns the tracker of a fold, given its number, the run to resume, and what to call with its run's id.
        train: Trains one fold.
        report: Called after each fold with the number of folds so far and their means. True ends the trial, unless the
            next fold was begun before.
        on_start: Called with the ids of all folds' runs whenever one is added.

    Returns:
        Means over the folds (sums of :data:`SUMMED_METRICS`), and ``finished`` or ``stopped``.
    """
    data = load_train_val(config.data)
    with tracker.run(config, data), interrupts.translated():
        assert tracker.run_id is not None
        begun = _begun_folds(tracker.run_id)
        folds, runs = list[Fold](), list[str]()

        def on_fold_start(run_id: str) -> None:
            runs.append(run_id)
            on_start(runs)

        result = "finished"
        whole = trainings(config)
        for fold in range(whole):
            trained = _train_fold(config, track, train, fold, begun.get(fold), on_fold_start)
            predicted = replace(trained.predictions, fold=np.full(len(trained.predictions.row), fold))
            folds.append(trained._replace(predictions=predicted))
            tracker.log_metrics(trained.metrics, step=fold + 1)
            # a fold that was begun before is trained to its end: the trial was not pruned then
            if report(fold + 1, _combined(folds)) and fold + 1 not in begun:
                result = "stopped" if fold + 1 < whole else "finished"
                break
        metrics, scored = _combined(folds), None
        tracker.log_metrics(metrics, step=whole + 1)
        if result == "finished":
            scored = concatenate([each.predictions for each in folds])
            _log_files(tracker, scored, mean_rows([each.stress_rows for each in folds]))
            with plugins.using(config.plugins):
                tracker.log_metrics(site_metrics(scored, site_prefixes(site_names(config)), config.evaluation))
        tracker.log_outcome(Outcome(result, metrics, len(folds), whole, scored, "folds"))
    return metrics, result


def fold_tags(config: Config) -> dict[str, str]:
    """Return the tags of a trial's run that say what its metrics were measured on; none without folds."""
    if config.study.resampling != "kfold":
        return {}
    if sites := site_names(config):
        return {tags.FOLDS: str(len(sites)), tags.SCORED_ON: tags.OUT_OF_SITE, tags.SITES: json.dumps(sites)}
    return {tags.FOLDS: str(trainings(config)), tags.SCORED_ON: tags.OUT_OF_FOLD}


def has_all_results(run: Run, config: Config) -> bool:
    """Whether the run of a trial, or of a fold, was trained to its end and has the metrics that the study wants."""
    wanted = {config.study.metric, *config.study.also, *constrained_metrics(config)}
    return tags.RESULT in run.data.tags and wanted <= metrics_of(run).keys()


def _begun_folds(trial_run: str) -> dict[int, Run]:
    with store_required():
        return {int(run.data.tags[tags.FOLD]): run for run in nested_runs(connect(), trial_run)}


def _train_fold(
    config: Config, track: Track, train: Train, fold: int, run: Run | None, on_start: Callable[[str], None]
) -> Fold:
    """Return a fold, trained now or before."""
    tracker = track(fold, None if run is None else str(run.info.run_id), on_start)
    if run is not None and has_all_results(run, config):
        on_start(str(run.info.run_id))
        if run.info.status != "FINISHED":  # its worker was killed before it could set the status
            tracker.take_over()
            remove_last(tracker)
            tracker.end(Status.FINISHED)
        metrics = {name: value for name, value in metrics_of(run).items() if not _of_epochs_only(name)}
        predictions = predictions_from_table(stored_predictions(connect(), run, "val"))
        return Fold(metrics, predictions, stress_rows(connect(), run))
    fold_config = with_values(config, fold_fields(config, fold))
    return train(fold_config, tracker, None if run is None else resume_point(connect(), run))


def _log_files(tracker: MlflowTracker, predictions: Predictions, table: Sequence[Mapping[str, Any]]) -> None:
    """Log the predictions of all folds and, where each fold has one, the table of corruptions."""
    with tempfile.TemporaryDirectory(prefix="mobilenet-chest-") as folder:
        file = Path(folder) / "val.parquet"
        predictions_table(predictions).to_parquet(file, index=False)
        tracker.log_file(file, "predictions")
        if table:
            log_stress(tracker, table, Path(folder))


def _of_epochs_only(name: str) -> bool:
    return name in EPOCH_ONLY_METRICS or name.startswith("system/")


def _combined(trained: Sequence[Fold]) -> dict[str, float]:
    """Return the metrics that all folds have: their sums or means, and the intervals of means."""
    folds = [each.metrics for each in trained]
    names = [name for name in folds[0] if all(name in metrics for metrics in folds)]
    sums = {name: sum(metrics[name] for metrics in folds) for name in names}
    combined = {name: total if name in SUMMED_METRICS else total / len(folds) for name, total in sums.items()}
    for name in logged_intervals(combined):
        ends = unpaired_mean([logged_intervals(metrics)[name] for metrics in folds])
        combined |= {f"{name}_low": ends.low, f"{name}_high": ends.high}
    return combined
