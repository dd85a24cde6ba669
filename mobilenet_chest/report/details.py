"""A finished run with its experiment, learning history and stored validation predictions."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from mlflow import MlflowClient
from mlflow.entities import Run
from numpy.typing import NDArray

from mobilenet_chest.config import Config, DataConfig
from mobilenet_chest.data.dataset import stored_validation_images
from mobilenet_chest.errors import UserError
from mobilenet_chest.evaluation.groups import group_metrics
from mobilenet_chest.evaluation.intervals import Interval
from mobilenet_chest.evaluation.predictions import Labels, Probabilities
from mobilenet_chest.evaluation.run_predictions import RunPredictions
from mobilenet_chest.selection.evaluate import check_same_rows
from mobilenet_chest.tracking import tags
from mobilenet_chest.tracking.artifact_writer import predictions_from_table
from mobilenet_chest.tracking.artifacts import run_config, stored_predictions, stress_rows
from mobilenet_chest.tracking.run_metrics import metric_history, metrics_of
from mobilenet_chest.tracking.run_predictions import run_predictions
from mobilenet_chest.tracking.runs import Candidate

EPOCH_METRICS = ("stage", "train_loss", "val_loss", "train_accuracy", "val_accuracy", "val_auc")


@dataclass(frozen=True, eq=False)
class RunDetails:
    """A finished run with its stored validation predictions.

    Attributes:
        name: For people: the name of the run, of the study that the run stands for, or of the trial.
        run: In MLflow.
        config: Its resolved experiment.
        classes: Names of class 0 and class 1.
        history: Epoch, from 1 -> metrics of that epoch; empty for a run that is made of others, such as an ensemble.
        scored: Its predictions of n validation images.
        stress_rows: The rows of its ``stress/val.json``; empty where it has none.
    """

    name: str
    run: Run
    config: Config
    classes: tuple[str, str]
    history: dict[int, dict[str, float]]
    scored: RunPredictions
    stress_rows: tuple[dict[str, Any], ...] = ()

    @property
    def run_id(self) -> str:
        """Its id in MLflow."""
        return str(self.run.info.run_id)

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
        """The last value of each of the run's metrics."""
        return metrics_of(self.run)

    @property
    def best_epoch(self) -> int:
        """The epoch whose weights were kept, from 1."""
        return int(self.metrics["best_epoch"])

    @property
    def threshold(self) -> float:
        """The threshold that validation chose, which a promoted model would use."""
        return self.metrics["threshold"]

    @cached_property
    def predicted(self) -> NDArray[np.bool_]:
        """Class 1, at the threshold; bool (n,)."""
        return self.probability_tta >= self.threshold

    @cached_property
    def intervals(self) -> dict[str, Interval]:
        """Of ``auc``, and of ``accuracy``, ``sensitivity`` and ``specificity`` at the threshold, with TTA."""
        patients = self.scored.predictions.patient
        return group_metrics(self.labels, self.probability_tta, self.threshold, {}, patients, self.classes)[0].figures

    @cached_property
    def correct(self) -> NDArray[np.bool_]:
        """Whether the prediction is the label; bool (n,)."""
        correct: NDArray[np.bool_] = self.predicted == (self.labels == 1)
        return correct

    @cached_property
    def confidence(self) -> Probabilities:
        """Probability of the predicted class; float64 (n,)."""
        return np.where(self.predicted, self.probability_tta, 1 - self.probability_tta)

    @property
    def images_scored(self) -> str:
        """How many images the validation metrics are of, for people."""
        where = self.run.data.tags.get(tags.SCORED_ON)
        return f"{len(self.labels)} images ({where})" if where else f"{len(self.labels)} validation images"

    @property
    def folds(self) -> str | None:
        """How many folds the metrics are the means of, for a trial that was trained on folds."""
        folds: str | None = self.run.data.tags.get(tags.FOLDS)
        return folds

    @property
    def row_numbering(self) -> DataConfig:
        """The data whose validation rows have the numbers of ``rows``."""
        data = self.config.data
        if self.run.data.tags.get(tags.SCORED_ON) in (tags.OUT_OF_FOLD, tags.OUT_OF_SITE) and not data.divided:
            # rows are numbered over train and val together, the same for every number of folds
            return data.model_copy(update={"folds": 2})
        return data

    def images(self, chosen: NDArray[np.intp]) -> list[NDArray[np.uint8]] | str:
        """Return the images of some predictions, given by position; or why there are none, if the file cannot be read.

        Args:
            chosen: Positions in ``rows``, (k,).
        """
        order = np.argsort(self.rows[chosen], kind="stable")
        try:
            check_same_rows(self.run, self.config)
            ascending = stored_validation_images(self.row_numbering, self.rows[chosen][order])
        except UserError as error:
            return str(error)
        images: list[NDArray[np.uint8]] = [ascending[0]] * len(chosen)
        for place, image in zip(order, ascending, strict=True):
            images[place] = image
        return images


def run_details(client: MlflowClient, candidate: Candidate, name: str) -> RunDetails:
    """Read a run's experiment, history and stored predictions.

    Args:
        client: Of the tracking store.
        candidate: The run.
        name: What the page calls it.

    Raises:
        TrackingError: The run has no stored predictions, or the tracking store does not answer.
    """
    run = candidate.run
    config = run_config(client, run)
    history: dict[int, dict[str, float]] = {}
    for metric in EPOCH_METRICS if "train_loss" in metrics_of(run) else ():
        for point in metric_history(client, run.info.run_id, metric):
            history.setdefault(int(point.step), {})[metric] = float(point.value)
    class0, _, class1 = run.data.tags[tags.CLASSES].partition(" / ")
    return RunDetails(
        name,
        run,
        config,
        (class0, class1),
        # a result has no epoch: early versions logged it one step after the last
        {epoch: history[epoch] for epoch in sorted(history) if "train_loss" in history[epoch]},
        run_predictions(run, predictions_from_table(stored_predictions(client, run, "val"))),
        stress_rows(client, run) if "stress_auc_mean" in metrics_of(run) else (),
    )
