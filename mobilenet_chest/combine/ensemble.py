"""Ensembles: the mean of the probabilities of several trained networks, as a run."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from mobilenet_chest.combine.members import (
    Member,
    ProgressDisplay,
    about_combined,
    load_members,
    mean_predictions,
    no_display,
    train_members,
)
from mobilenet_chest.config import Config, with_values
from mobilenet_chest.data.dataset import Split, TrainVal, load_train_val
from mobilenet_chest.errors import TrackingError, UserError
from mobilenet_chest.evaluation.intervals import Interval
from mobilenet_chest.evaluation.metric_intervals import metric_intervals
from mobilenet_chest.evaluation.metrics import selection_metrics
from mobilenet_chest.evaluation.predictions import Predictions, concatenate
from mobilenet_chest.evaluation.run_predictions import RunPredictions
from mobilenet_chest.tracking import tags
from mobilenet_chest.tracking.artifact_writer import predictions_table
from mobilenet_chest.tracking.artifacts import ensemble_of_members, trained_model
from mobilenet_chest.tracking.notes import Outcome
from mobilenet_chest.tracking.plots import prediction_grid
from mobilenet_chest.tracking.run_metrics import metrics_of
from mobilenet_chest.tracking.runs import Candidate, nested_runs, short_id
from mobilenet_chest.tracking.store import connect
from mobilenet_chest.tracking.tracker import MlflowTracker
from mobilenet_chest.tracking.trainings import find_finished_runs
from mobilenet_chest.training import checkpoint
from mobilenet_chest.training.predict import predict

SERVED_PREDICTIONS = "served"
"""Name of the predictions of the whole ensemble, where each row of ``val`` is predicted by one member only."""


MEAN = "the mean of the probabilities"

HOW = {
    "seeds": f"{MEAN} of trainings with different seeds",
    "folds": f"{MEAN} of trainings on all but one fold; each row's metrics are of the member that has not seen it",
    "runs": MEAN,
}
"""What an ensemble of each kind is, for its description."""


@dataclass(frozen=True)
class Combined:
    """A run that combines several.

    Attributes:
        run_id: The new run.
        members: Run ids of its members.
        metrics: Its metrics on the validation rows.
        intervals: 95% intervals of the metrics, by name.
    """

    run_id: str
    members: tuple[str, ...]
    metrics: dict[str, float]
    intervals: dict[str, Interval]


def seed_ensemble(config: Config, seeds: int, display: ProgressDisplay = no_display) -> Combined:
    """Train with consecutive seeds, starting with the experiment's, and average the probabilities."""
    configs = [with_values(config, {"seed": config.seed + offset}) for offset in range(seeds)]
    return log_ensemble(train_members(configs, display), "seeds")


def fold_ensemble(config: Config, folds: int, display: ProgressDisplay = no_display) -> Combined:
    """Train on all but one of the folds of train and val together, each fold in turn, and average the probabilities.

    Its validation metrics are out of fold: each row is scored by the one member that was not trained on it.
    """
    configs = [with_values(config, {"data.folds": folds, "data.fold": fold}) for fold in range(folds)]
    return log_ensemble(train_members(configs, display), "folds")


def run_ensemble(candidates: Sequence[Candidate]) -> Combined:
    """Average the probabilities of finished runs, such as the best trials of a study.

    A single trial on folds stands for the trainings on its folds.

    Raises:
        TrackingError: The run of a fold was deleted.
    """
    if len(candidates) == 1 and tags.FOLDS in candidates[0].run.data.tags:
        nested = nested_runs(connect(), candidates[0].run_id)
        fold_runs = [run for run in nested if run.data.tags.get(tags.KIND) == tags.FOLD_KIND]
        whole = int(candidates[0].run.data.tags[tags.FOLDS])
        missing = sorted(set(range(whole)) - {int(run.data.tags[tags.FOLD]) for run in fold_runs})
        if missing:  # the others do not score its rows: a mean of fewer is another estimate
            raise TrackingError(
                f"run {candidates[0].run_id} was trained on {whole} folds, but the runs of folds "
                f"{', '.join(str(fold + 1) for fold in missing)} were deleted; restore them in MLflow (mlflow runs "
                "restore --run-id RUN_ID), or name the run of another trial"
            )
        fold_runs.sort(key=lambda run: int(run.data.tags[tags.FOLD]))
        scored_on = candidates[0].run.data.tags.get(tags.SCORED_ON, tags.OUT_OF_FOLD)
        return log_ensemble(load_members([Candidate(run) for run in fold_runs]), "folds", scored_on)
    return log_ensemble(load_members(candidates), "runs")


def log_ensemble(
    parts: Sequence[Member], kind: Literal["seeds", "folds", "runs"], scored_on: str = tags.OUT_OF_FOLD
) -> Combined:
    """Log the ensemble of ``parts`` as a run with checkpoint, predictions and metrics, or find the run that has it.

    Args:
        parts: The members.
        kind: What the members are.
        scored_on: Of folds: the tag ``scored_on``.

    Raises:
        UserError: There are fewer than two members, or they are of different images.
        TrackingError: A member has no checkpoint any more.
    """
    if len(parts) < 2:
        raise UserError(f"an ensemble needs two members or more, not {len(parts)}")
    config = with_values(parts[0].config, {"data.folds": None, "data.fold": 0, "data.fold_by": "rows"})
    _check_same_images(parts, kind)
    data = load_train_val(config.data)
    if kind == "folds":
        rows = _all_rows(data, config)
        predictions = concatenate([part.predictions() for part in parts])
    else:
        rows, predictions = data.val, mean_predictions([part.predictions() for part in parts])
    metrics = selection_metrics(predictions, config.evaluation, config.seed)
    metrics |= {name: sum(metrics_of(part.run)[name] for part in parts) for name in ("parameters", "train_seconds")}
    run_ids = tuple(part.run_id for part in parts)
    run_predictions = RunPredictions(predictions, metrics, config.evaluation, config.seed)
    intervals = metric_intervals("val", metrics, run_predictions)
    run_tags = {tags.MEMBERS: ",".join(run_ids), tags.MEMBERS_ARE: kind}
    if kind == "folds":
        run_tags[tags.SCORED_ON] = scored_on
    if existing := find_finished_runs(connect(), config.experiment, {tags.KIND: tags.ENSEMBLE_KIND} | run_tags):
        return Combined(str(existing[0].info.run_id), run_ids, metrics, intervals)
    about = about_combined(f"Ensemble of {len(parts)} {kind}", HOW[kind], parts, data.name)
    tracker = MlflowTracker(tags.ENSEMBLE_KIND, name=f"{config.name}, {len(parts)} {kind}", tags=run_tags, about=about)
    run_id = _log_run(tracker, parts, config, data, rows, predictions, metrics)
    return Combined(run_id, run_ids, metrics, intervals)


def _log_run(
    tracker: MlflowTracker,
    parts: Sequence[Member],
    config: Config,
    data: TrainVal,
    rows: Split,
    predictions: Predictions,
    metrics: Mapping[str, float],
) -> str:
    """Log the ensemble's metrics, predictions, checkpoint and picture; return its run id."""
    client = connect()
    states = [{"config": part.config.resolved(), "model": trained_model(client, part.run, part.config).state_dict()}
              for part in parts]  # fmt: skip
    with tracker.run(config, data), tempfile.TemporaryDirectory(prefix="mobilenet-chest-") as name:
        folder = Path(name)
        tracker.log_tags({tags.MODEL: " + ".join(dict.fromkeys(part.config.model.name for part in parts))})
        tracker.log_metrics(metrics)
        _log_predictions(tracker, predictions, "val", folder)
        checkpoint.save(folder / "best.pt", {"members": states, "threshold": metrics["threshold"]})
        tracker.log_file(folder / "best.pt", "checkpoints")
        if rows is not data.val:
            # out-of-fold predictions are each of one member: promotion is proven on those of the whole ensemble
            model = ensemble_of_members(states, data.channels)
            _log_predictions(tracker, predict(model, data.val, torch.device("cpu")), SERVED_PREDICTIONS, folder)
        grid = folder / "val_predictions.png"
        prediction_grid(rows, predictions, data.classes, metrics["threshold"], config.seed, grid)
        tracker.log_file(grid, "plots")
        tracker.log_outcome(Outcome("finished", metrics, len(parts), len(parts), predictions, "members"))
    assert tracker.run_id is not None
    return tracker.run_id


def _log_predictions(tracker: MlflowTracker, predictions: Predictions, name: str, folder: Path) -> None:
    path = folder / f"{name}.parquet"
    predictions_table(predictions).to_parquet(path, index=False)
    tracker.log_file(path, "predictions")


def _check_same_images(parts: Sequence[Member], kind: str) -> None:
    first = parts[0]
    for part in parts[1:]:
        for field in ("dataset", "classes", "path", "source_size", "image_size"):
            value, first_value = getattr(part.config.data, field), getattr(first.config.data, field)
            if value != first_value:
                raise UserError(
                    f"run {short_id(part.run_id)} has data.{field} {value}, run {short_id(first.run_id)} has "
                    f"{first_value}; members of an "
                    "ensemble must have the same images"
                )
        digest, first_digest = (member.run.data.tags.get(tags.DATA_DIGEST) for member in (part, first))
        if kind != "folds" and digest != first_digest:
            raise TrackingError(
                f"run {short_id(part.run_id)} was validated on rows with digest {digest}, run "
                f"{short_id(first.run_id)} on rows with digest "
                f"{first_digest}; the mean of their predictions would include rows that one was trained on"
            )


def _all_rows(data: TrainVal, config: Config) -> Split:
    """Return the rows of train and val together, in the order of the file, as the folds have them."""
    halves = load_train_val(config.data.model_copy(update={"folds": 2, "drop_duplicates": False}))
    rows = np.concatenate([halves.train.rows, halves.val.rows])
    images, labels = (
        torch.cat([getattr(halves.train, part), getattr(halves.val, part)]) for part in ("images", "labels")
    )
    order = np.argsort(rows)
    return Split(images[order], labels[order], rows[order], data.digest)
