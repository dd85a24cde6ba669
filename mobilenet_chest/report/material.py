"""What the report is made of, read from MLflow."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
import pandas as pd
from mlflow import MlflowClient
from mlflow.entities import Run
from numpy.typing import NDArray

from mobilenet_chest.config import Config, DataConfig
from mobilenet_chest.data import medmnist
from mobilenet_chest.data.dataset import stored_validation_images
from mobilenet_chest.errors import TrackingError, UserError
from mobilenet_chest.evaluation.groups import group_metrics
from mobilenet_chest.evaluation.intervals import Interval
from mobilenet_chest.evaluation.predictions import Labels, Probabilities
from mobilenet_chest.evaluation.run_predictions import RunPredictions
from mobilenet_chest.selection.compare import Row, compare
from mobilenet_chest.selection.evaluate import check_same_rows
from mobilenet_chest.selection.rank import DEFAULT_RANKING
from mobilenet_chest.tracking.artifact_writer import predictions_from_table
from mobilenet_chest.tracking.artifacts import artifact, run_config, stored_predictions
from mobilenet_chest.tracking.runs import Candidate, find_run, find_runs, ranked_trials
from mobilenet_chest.tracking.scored import scored_by
from mobilenet_chest.tracking.tags import FOLDS, OUT_OF_FOLD, SCORED_ON

EPOCH_FIGURES = ("stage", "train_loss", "val_loss", "train_accuracy", "val_accuracy", "val_auc")


@dataclass(frozen=True, eq=False)
class Examined:
    """A finished run with its stored validation predictions.

    Attributes:
        name: For people: of the run, of the study that it stands for, or of the trial.
        run: In MLflow.
        config: Its resolved experiment.
        classes: Names of class 0 and class 1.
        history: Epoch, from 1 -> figures of that epoch; empty for what was not trained by itself, as an ensemble.
        scored: Its predictions of n validation images.
    """

    name: str
    run: Run
    config: Config
    classes: tuple[str, str]
    history: dict[int, dict[str, float]]
    scored: RunPredictions

    @property
    def rows(self) -> NDArray[np.int64]:
        """Row numbers in the file (n,)."""
        return self.scored.predictions.row

    @property
    def labels(self) -> Labels:
        """0 or 1; uint8 (n,)."""
        return self.scored.predictions.label

    @property
    def probability_tta(self) -> Probabilities:
        """Of class 1, with test-time augmentation; float64 (n,)."""
        return self.scored.predictions.probability_tta

    @property
    def metrics(self) -> dict[str, float]:
        """The run's last figures."""
        return dict(self.run.data.metrics)

    @property
    def threshold(self) -> float:
        """What a promoted model would decide by."""
        return self.metrics["threshold"]

    @cached_property
    def predicted(self) -> NDArray[np.bool_]:
        """Class 1, at the threshold; bool (n,)."""
        return self.probability_tta >= self.threshold

    @cached_property
    def figures(self) -> dict[str, Interval]:
        """``auc``, ``accuracy``, ``sensitivity`` and ``specificity`` at the threshold, of all images at once."""
        patients = self.scored.predictions.patient
        return group_metrics(self.labels, self.probability_tta, self.threshold, {}, patients, self.classes)[0].figures

    @cached_property
    def right(self) -> NDArray[np.bool_]:
        """Whether the prediction is the label; bool (n,)."""
        right: NDArray[np.bool_] = self.predicted == (self.labels == 1)
        return right

    @cached_property
    def confidence(self) -> Probabilities:
        """Probability of the predicted class; float64 (n,)."""
        return np.where(self.predicted, self.probability_tta, 1 - self.probability_tta)

    @property
    def images_scored(self) -> str:
        """What its validation figures are of, for people."""
        where = self.run.data.tags.get(SCORED_ON)
        return f"{len(self.labels)} images ({where})" if where else f"{len(self.labels)} validation images"

    @property
    def folds(self) -> str | None:
        """How many folds its figures are the means of, where it is a trial of folds."""
        found: str | None = self.run.data.tags.get(FOLDS)
        return found

    @property
    def _numbered_by(self) -> DataConfig:
        """The data whose validation rows have the numbers of ``rows``."""
        data = self.config.data
        if self.run.data.tags.get(SCORED_ON) == OUT_OF_FOLD and not data.divided:
            return data.model_copy(update={"folds": 2})  # counted over train and val, whatever the number of folds
        return data

    def images(self, chosen: NDArray[np.intp]) -> list[NDArray[np.uint8]] | str:
        """Stored images of some predictions, by their place; why there are none, where the file cannot be read."""
        order = np.argsort(self.rows[chosen], kind="stable")
        try:
            check_same_rows(self.run, self.config)
            read = stored_validation_images(self._numbered_by, self.rows[chosen][order])
        except UserError as error:
            return str(error)
        images: list[NDArray[np.uint8]] = [read[0]] * len(chosen)
        for place, image in zip(order, read, strict=True):
            images[place] = image
        return images


@dataclass(frozen=True, eq=False)
class Material:
    """All that one page is about.

    Attributes:
        kind: Of a study, of one run, or of several names.
        names: As they were given.
        metric: What the rows are ranked by.
        direction: maximize or minimize.
        study: The study's own run, where the page is about one.
        rows: Best first.
        base: That of the baseline.
        leader: The best of the rows but the baseline; of a study the run that it stands for.
        baseline: The baseline's run; ``None`` without one.
        board: ``leaderboard.csv`` of the study, where it has one.
        confirmed: ``confirmation.csv``, likewise.
    """

    kind: Literal["study", "run", "comparison"]
    names: tuple[str, ...]
    metric: str
    direction: str
    study: Run | None
    rows: list[Row]
    base: Row | None
    leader: Examined
    baseline: Examined | None
    board: pd.DataFrame | None
    confirmed: pd.DataFrame | None


def gather(client: MlflowClient, references: Sequence[str], baseline: str | None) -> Material:
    """Find what the names stand for and read what is needed of it.

    Args:
        client: The tracking store.
        references: Names as :func:`~mobilenet_chest.tracking.runs.find_runs` takes them; of a single study all complete
            trials become rows, of several names what ``compare`` shows.
        baseline: Run or study to set the others against.

    Raises:
        TrackingError: A name stands for nothing, or for a run that has not finished.
    """
    found = list({c.run_id: c for reference in references for c in find_runs(client, reference)}.values())
    base = None if baseline is None else find_run(client, baseline)
    study = found[0].study if len(references) == len(found) == 1 else None
    metric, direction = DEFAULT_RANKING
    if study is not None:
        metric, direction = study.data.tags["metric"], study.data.tags["direction"]
        trials = (Candidate(run, study) for run in ranked_trials(client, study))
        found = [found[0], *(trial for trial in trials if trial.run_id != found[0].run_id)]
    for candidate in [*found, *([base] if base else [])]:
        if "threshold" not in candidate.run.data.metrics:
            raise TrackingError(
                f"run {candidate.run_id} has not finished: it has no threshold; resume or repeat it first"
            )
    compared = references if study is None else [candidate.run_id for candidate in found]
    rows = compare(compared, baseline=baseline, metric=metric)
    if study is not None:
        names = {candidate.run_id: _trial(candidate.run) for candidate in found}
        rows = [replace(row, name=names.get(str(row.run_id), row.name)) for row in rows]
    sign = -1 if direction == "maximize" else 1
    # a baseline may be older than the metric
    ranked = sorted(rows, key=lambda row: sign * row.metrics.get(metric, sign * math.inf))
    leader = found[0]
    if study is None and len(found) > 1:
        best = next(row.run_id for row in ranked if base is None or row.run_id != base.run_id)
        leader = next(candidate for candidate in found if candidate.run_id == best)
    return Material(
        kind="study" if study is not None else "run" if len(found) == 1 else "comparison",
        names=tuple(references),
        metric=metric,
        direction=direction,
        study=study,
        rows=ranked,
        base=rows[0] if base else None,
        leader=examine(client, leader, leader.name if study is None else _trial(leader.run)),
        baseline=examine(client, base, base.name) if base else None,
        board=_csv(client, study, "leaderboard.csv"),
        confirmed=_csv(client, study, "confirmation.csv"),
    )


def _trial(run: Run) -> str:
    """What a run of the study that the page is about is called there."""
    seed = f", seed {run.data.params['seed']}" if run.data.tags.get("kind") != "trial" else ""
    return f"trial {run.data.tags['trial']}{seed}"


def examine(client: MlflowClient, candidate: Candidate, name: str) -> Examined:
    """A run, under a name for people, with its experiment, history and stored predictions."""
    run = candidate.run
    config = run_config(client, run)
    history: dict[int, dict[str, float]] = {}
    for figure in EPOCH_FIGURES if "train_loss" in run.data.metrics else ():
        for point in client.get_metric_history(run.info.run_id, figure):
            history.setdefault(int(point.step), {})[figure] = float(point.value)
    _, classes = medmnist.class_indices(medmnist.dataset_info(config.data.dataset), config.data.classes)
    return Examined(
        name,
        run,
        config,
        classes,
        # the figures at the end stand one step past the last epoch
        {epoch: history[epoch] for epoch in sorted(history) if "train_loss" in history[epoch]},
        scored_by(run, predictions_from_table(stored_predictions(client, run, "val"))),
    )


def _csv(client: MlflowClient, study: Run | None, name: str) -> pd.DataFrame | None:
    """What a study that has come to its end has left; ``None`` where there is none of that name."""
    if study is None or name not in {file.path for file in client.list_artifacts(study.info.run_id)}:
        return None
    with artifact(client, study, name) as path:
        return pd.read_csv(path)
