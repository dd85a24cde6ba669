"""The original: the run that is compressed, with all that a method may use of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from mlflow import MlflowClient
from mlflow.entities import Run
from torch import Tensor

from mobilenet_chest.config import Config
from mobilenet_chest.data.dataset import Split, TrainVal, load_train_val
from mobilenet_chest.errors import TrackingError
from mobilenet_chest.evaluation.predictions import Predictions
from mobilenet_chest.evaluation.run_predictions import RunPredictions
from mobilenet_chest.selection.evaluate import check_finished, check_same_rows
from mobilenet_chest.tracking import tags
from mobilenet_chest.tracking.artifact_writer import predictions_from_table
from mobilenet_chest.tracking.artifacts import check_has_weights, stored_predictions, why_no_model
from mobilenet_chest.tracking.run_predictions import run_predictions
from mobilenet_chest.tracking.runs import short_id


@dataclass(frozen=True, eq=False)
class Original:
    """A finished run that is compressed. No method sees the test split.

    Attributes:
        client: Client of the tracking store.
        run: The run.
        config: Its experiment.
        path: The ONNX file of its whole classifier, for as long as it is compressed.
    """

    client: MlflowClient
    run: Run
    config: Config
    path: Path

    @property
    def run_id(self) -> str:
        """Id of the run."""
        return str(self.run.info.run_id)

    @cached_property
    def data(self) -> TrainVal:
        """The training and validation rows; calibration is on training rows."""
        return load_train_val(self.config.data)

    @cached_property
    def predictions(self) -> Predictions:
        """Its stored predictions of the validation rows."""
        return predictions_from_table(stored_predictions(self.client, self.run, "val"))

    @cached_property
    def run_predictions(self) -> RunPredictions:
        """The same, with the run's thresholds."""
        return run_predictions(self.run, self.predictions)

    @cached_property
    def scored(self) -> Split:
        """The validation rows that it was scored on: all, or of a soup the half that did not choose."""
        val = self.data.val
        places = np.flatnonzero(np.isin(val.rows, self.predictions.row))
        patients = None if val.patients is None else val.patients[places]
        return Split(val.images[places], val.labels[places], val.rows[places], val.digest, patients)

    @property
    def train_images(self) -> Tensor:
        """The training images, uint8 (n, c, s, s)."""
        return self.data.train.images


def check_compressible(run: Run, config: Config) -> None:
    """Check that a run has a model of its own weights, and validation rows that its model has not seen.

    Raises:
        TrackingError: It has not; or its data changed.
    """
    if tags.FOLDS in run.data.tags:
        raise TrackingError(f"run {short_id(run.info.run_id)} has no model: {why_no_model(run)}")
    if run.data.tags.get(tags.MEMBERS_ARE) == "folds":
        raise TrackingError(
            f"run {short_id(run.info.run_id)} is an ensemble of folds, whose members have trained on the validation "
            "rows: nothing is left to score a compressed model on; compress an ensemble of seeds, or a single training"
        )
    check_finished(run)
    check_has_weights(run)
    check_same_rows(run, config)
