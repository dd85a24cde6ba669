"""Several trained networks as one: the mean of their probabilities."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from mobilenet_chest.combine.members import (
    Member,
    ProgressDisplay,
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
from mobilenet_chest.tracking import MlflowTracker
from mobilenet_chest.tracking.artifact_writer import predictions_table
from mobilenet_chest.tracking.artifacts import ensemble_of_members, trained_model
from mobilenet_chest.tracking.plots import prediction_grid
from mobilenet_chest.tracking.runs import Candidate, find_finished_runs, nested_runs
from mobilenet_chest.tracking.store import connect
from mobilenet_chest.tracking.tags import FOLDS, OUT_OF_FOLD, SCORED_ON
from mobilenet_chest.training import checkpoint
from mobilenet_chest.training.predict import predict

SERVED_PREDICTIONS = "served"
"""Name of the predictions of the ensemble itself, where those of ``val`` are each of one member only."""


@dataclass(frozen=True)
class Combined:
    """A run that stands for several.

    Attributes:
        run_id: Of the new run.
        members: Ids of the runs it was made from.
        metrics: Its figures on the validation rows.
        intervals: 95% intervals of them, by their names.
    """

    run_id: str
    members: tuple[str, ...]
    metrics: dict[str, float]
    intervals: dict[str, Interval]


def seed_ensemble(config: Config, seeds: int, display: ProgressDisplay = no_display) -> Combined:
    """An ensemble of trainings with consecutive seeds, from the experiment's own on."""
    configs = [with_values(config, {"seed": config.seed + offset}) for offset in range(seeds)]
    return log_ensemble(train_members(configs, display), "seeds")


def fold_ensemble(config: Config, folds: int, display: ProgressDisplay = no_display) -> Combined:
    """An ensemble of trainings on all but one of the folds of train and val together.

    Its validation figures are out of fold: each row is scored by the one member that has not trained on it.
    """
    configs = [with_values(config, {"data.folds": folds, "data.fold": fold}) for fold in range(folds)]
    return log_ensemble(train_members(configs, display), "folds")


def run_ensemble(candidates: Sequence[Candidate]) -> Combined:
    """An ensemble of finished runs, such as the best trials of a study; of one trial of folds, that of its folds."""
    if len(candidates) == 1 and FOLDS in candidates[0].run.data.tags:
        folds = [run for run in nested_runs(connect(), candidates[0].run_id) if run.data.tags.get("kind") == "fold"]
        folds.sort(key=lambda run: int(run.data.tags["fold"]))
        return log_ensemble(load_members([Candidate(run) for run in folds]), "folds")
    return log_ensemble(load_members(candidates), "runs")


def log_ensemble(parts: Sequence[Member], of: Literal["seeds", "folds", "runs"]) -> Combined:
    """Log the ensemble of ``parts`` as a run with checkpoint, predictions and figures of its own, or find it there.

    Raises:
        UserError: There are fewer than two, or they do not belong together.
        TrackingError: One has no checkpoint any more.
    """
    if len(parts) < 2:
        raise UserError(f"an ensemble needs two members or more, not {len(parts)}")
    client, config = connect(), with_values(parts[0].config, {"data.folds": None, "data.fold": 0})
    _belong_together(parts, of)
    data = load_train_val(config.data)
    if of == "folds":
        rows = _all_rows(data, config)
        predictions = concatenate([part.predictions() for part in parts])
    else:
        rows, predictions = data.val, mean_predictions([part.predictions() for part in parts])
    metrics = selection_metrics(predictions, config.evaluation, config.seed)
    metrics |= {name: sum(part.run.data.metrics[name] for part in parts) for name in ("parameters", "train_seconds")}
    scored = RunPredictions(predictions, metrics, config.evaluation, config.seed)
    run_ids, intervals = tuple(part.run_id for part in parts), metric_intervals("val", metrics, scored)
    tags = {"members": ",".join(run_ids), "members_are": of}
    if of == "folds":
        tags[SCORED_ON] = OUT_OF_FOLD
    if known := find_finished_runs(client, config.experiment, {"kind": "ensemble"} | tags):
        return Combined(str(known[0].info.run_id), run_ids, metrics, intervals)
    tracker = MlflowTracker("ensemble", name=f"{config.name}, {len(parts)} {of}", tags=tags)
    states = [{"config": part.config.resolved(), "model": trained_model(client, part.run, part.config).state_dict()}
              for part in parts]  # fmt: skip
    with tracker.run(config, data), tempfile.TemporaryDirectory(prefix="mobilenet-chest-") as name:
        folder = Path(name)
        tracker.log_tags({"model": " + ".join(dict.fromkeys(part.config.model.name for part in parts))})
        tracker.log_metrics(metrics, step=1)
        _log_predictions(tracker, predictions, "val", folder)
        checkpoint.save(folder / "best.pt", {"members": states, "threshold": metrics["threshold"]})
        tracker.log_file(folder / "best.pt", "checkpoints")
        if of == "folds":
            model = ensemble_of_members(states, data.channels)
            _log_predictions(tracker, predict(model, data.val, torch.device("cpu")), SERVED_PREDICTIONS, folder)
        grid = folder / "val_predictions.png"
        prediction_grid(rows, predictions, data.classes, metrics["threshold"], config.seed, grid)
        tracker.log_file(grid, "plots")
    assert tracker.run_id is not None
    return Combined(tracker.run_id, run_ids, metrics, intervals)


def _log_predictions(tracker: MlflowTracker, predictions: Predictions, name: str, folder: Path) -> None:
    path = folder / f"{name}.parquet"
    predictions_table(predictions).to_parquet(path, index=False)
    tracker.log_file(path, "predictions")


def _belong_together(parts: Sequence[Member], of: Literal["seeds", "folds", "runs"]) -> None:
    first = parts[0]
    for part in parts[1:]:
        for field in ("dataset", "classes", "path", "source_size", "image_size"):
            own, other = getattr(first.config.data, field), getattr(part.config.data, field)
            if own != other:
                raise UserError(
                    f"run {part.run_id} has data.{field} {other}, run {first.run_id} has {own}; members of an ensemble "
                    "look at the same images"
                )
        digests = [member.run.data.tags.get("data_digest") for member in (first, part)]
        if of != "folds" and digests[0] != digests[1]:
            raise TrackingError(
                f"run {part.run_id} was validated on other rows (digest {digests[1]}) than run {first.run_id} "
                f"({digests[0]}); the mean of their predictions would be of rows that one has trained on"
            )


def _all_rows(data: TrainVal, config: Config) -> Split:
    """Train and val together, as folds divide them."""
    whole = load_train_val(config.data.model_copy(update={"folds": 2, "drop_duplicates": False}))
    rows = np.concatenate([whole.train.rows, whole.val.rows])
    images, labels = (
        torch.cat([getattr(whole.train, part), getattr(whole.val, part)]) for part in ("images", "labels")
    )
    order = np.argsort(rows)
    return Split(images[order], labels[order], rows[order], data.digest)
