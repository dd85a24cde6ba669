"""Writing the artifacts of a run: checkpoints, predictions, plots."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mobilenet_chest.config import Config
from mobilenet_chest.data.dataset import TrainVal
from mobilenet_chest.errors import WriteFailed
from mobilenet_chest.evaluation.calibration import crossfit_calibrated
from mobilenet_chest.evaluation.predictions import Predictions
from mobilenet_chest.tracking.plots import prediction_grid, reliability_diagram, threshold_picture, training_curves
from mobilenet_chest.tracking.tracker import NullTracker, Tracker
from mobilenet_chest.training import checkpoint
from mobilenet_chest.training.progress import BestEpoch, Progress

if TYPE_CHECKING:
    import pandas as pd  # takes long, and is needed when a training has ended

CHECKPOINTS = "checkpoints"
"""Folder of a run's checkpoints among its artifacts."""

STRESS = "stress"
"""Folder of the table of corruptions among a run's artifacts."""

STRESS_FILE = f"{STRESS}/val.csv"

LAST_FILES = ("last-0.pt", "last-1.pt")
"""The checkpoints to resume from, written alternately: while one is being written, the other is complete."""

CHECKPOINT_SECONDS = 1.0
"""An epoch that ends sooner than this after the last checkpoint writes none: an epoch on stored features takes a tenth
of a second, less than writing does."""


class ArtifactWriter:
    """Writes a run's artifacts to a folder, and from there to the tracker.

    Args:
        tracker: Of the run.
        config: The experiment.
        folder: For files before they are uploaded.
        resumed: The file of :data:`LAST_FILES` that the run was resumed from; the other one is written first.
    """

    def __init__(self, tracker: Tracker, config: Config, folder: Path, resumed: str | None = None) -> None:
        self.tracker, self.config, self.folder = tracker, config, folder
        self._next = 1 if resumed == LAST_FILES[0] else 0
        self._saved_epoch, self._saved_at = 0, float("-inf")

    def checkpoint(
        self,
        name: str,
        progress: Progress,
        best: BestEpoch,
        metrics: Mapping[str, float] | None = None,
    ) -> None:
        """Save the best epoch's weights under ``name``, with history, experiment and the last epoch's optimizer state.

        Raises:
            WriteFailed: The file cannot be written.
        """
        if isinstance(self.tracker, NullTracker):
            return
        metrics = metrics or {}
        contents = {
            "model": best.model,
            "optimizer": progress.resume.get("optimizer", {}),
            "history": progress.history,
            "best_epoch": best.epoch,
            "best_val_accuracy": max((record["val_accuracy"] for record in progress.history), default=float("nan")),
            "threshold": metrics.get("threshold"),
            "val_accuracy_tta": metrics.get("val_accuracy_tta"),
            "config": self.config.resolved(),
        }
        self._checkpoint(name, contents)

    def _checkpoint(self, name: str, contents: Mapping[str, Any]) -> None:
        with _written(f"{CHECKPOINTS}/{name}"):
            checkpoint.save(self.folder / name, contents)
            self.tracker.log_file(self.folder / name, CHECKPOINTS)

    def save_last(self, progress: Progress) -> None:
        """Save all that a resumed training needs after this epoch, unless an epoch was saved a moment ago.

        Raises:
            WriteFailed: The file cannot be written.
        """
        if time.monotonic() - self._saved_at >= CHECKPOINT_SECONDS:
            self._save_last(progress)

    def _save_last(self, progress: Progress) -> None:
        if isinstance(self.tracker, NullTracker) or progress.epoch == self._saved_epoch:
            return
        name = LAST_FILES[self._next]
        self._checkpoint(name, {"progress": progress.state()})
        self._next = 1 - self._next
        self._saved_epoch, self._saved_at = progress.epoch, time.monotonic()

    def save_paused(self, progress: Progress) -> None:
        """Save what a resumed training needs, however short the time since the last checkpoint.

        Raises:
            WriteFailed: A file cannot be written.
        """
        self._save_last(progress)

    def save_interrupted(self, progress: Progress, best: BestEpoch) -> None:
        """Save the best checkpoint so far, and what a resumed training needs.

        Raises:
            WriteFailed: A file cannot be written.
        """
        if isinstance(self.tracker, NullTracker) or not progress.epoch:
            return
        self.checkpoint("best.pt", progress, best)
        self._save_last(progress)

    def predictions(self, predictions: Predictions, split: str) -> None:
        """Save ``predictions/<split>.parquet``.

        Raises:
            WriteFailed: The file cannot be written.
        """
        path = self.folder / f"{split}.parquet"
        with _written(f"predictions/{path.name}"):
            predictions_table(predictions).to_parquet(path, index=False)
            self.tracker.log_file(path, "predictions")

    def stress(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Save ``stress/val.csv`` and ``stress/val.json``: a row for each corruption and severity.

        Raises:
            WriteFailed: A file cannot be written.
        """
        with _written(STRESS_FILE):
            log_stress(self.tracker, rows, self.folder)

    def plots(self, data: TrainVal, predictions: Predictions, progress: Progress, best: int, threshold: float) -> None:
        """Draw the plots of a run that has ended, unless ``tracking.plots`` is off.

        Args:
            data: Images of the grid of predictions.
            predictions: Of the validation split.
            progress: History of all epochs.
            best: Number of the best epoch, from 1.
            threshold: Chosen for the probabilities with TTA.

        Raises:
            WriteFailed: A file cannot be written.
        """
        if isinstance(self.tracker, NullTracker) or not self.config.tracking.plots:
            return
        names = ("training_curves.png", "val_predictions.png", "reliability.png", "threshold_curve.png")
        curves, grid, reliability, thresholds = paths = [self.folder / name for name in names]
        labels, probabilities, seed = predictions.label, predictions.probability_tta, self.config.seed
        calibrated = crossfit_calibrated(labels, probabilities, self.config.evaluation.folds, seed)
        with _written("plots"):
            training_curves(progress.history, best, curves)
            prediction_grid(data.val, predictions, data.classes, threshold, seed, grid)
            reliability_diagram(labels, probabilities, calibrated, reliability)
            threshold_picture(labels, probabilities, threshold, thresholds)
            for path in paths:
                self.tracker.log_file(path, "plots")


def remove_last(tracker: Tracker) -> None:
    """Remove :data:`LAST_FILES` from a run that has all its results: it will not be resumed."""
    for name in LAST_FILES:
        tracker.remove_file(f"{CHECKPOINTS}/{name}")


@contextmanager
def _written(artifact: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise WriteFailed(
            f"{artifact} cannot be written ({error.strerror or error}); make room, or make the place writable, and "
            "resume: the checkpoint before it is complete"
        ) from error


def predictions_table(predictions: Predictions) -> pd.DataFrame:
    """Return the table of ``predictions/*.parquet``, a row for each image.

    Its columns are ``row`` (int64), ``label`` (uint8), ``probability`` and ``probability_tta`` (float64), ``patient``
    (text, where patients are known) and ``fold`` (int64, for out-of-fold predictions).
    """
    import pandas as pd

    return pd.DataFrame(predictions.columns())


def log_stress(tracker: Tracker, rows: Sequence[Mapping[str, Any]], folder: Path) -> None:
    """Log ``stress/val.csv`` and ``stress/val.json``, a row for each corruption and severity; ``folder`` is for files
    on the way."""
    import pandas as pd

    table, csv, json = pd.DataFrame(rows), folder / "val.csv", folder / "val.json"
    table.to_csv(csv, index=False)
    table.to_json(json, orient="records", indent=1)
    for path in (csv, json):
        tracker.log_file(path, STRESS)


def predictions_from_table(table: pd.DataFrame) -> Predictions:
    """Return the predictions that :func:`predictions_table` made the table of."""
    return Predictions.from_columns({str(name): table[name].to_numpy() for name in table})
