"""The files of a run: checkpoints, predictions, plots."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
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

LAST_FILES = ("last-0.pt", "last-1.pt")
"""Where an unfinished run stands, written in turn: whatever happens to one while it is written, the other is whole."""

CHECKPOINT_SECONDS = 1.0
"""An epoch that ends sooner than this after the last checkpoint has none of its own: frozen epochs on stored features
take a tenth of a second, and less than writing would."""


class ArtifactWriter:
    """Writes what is kept of a run to a folder of its own and hands it to the tracker.

    Args:
        tracker: Where to.
        config: The experiment.
        folder: For files on their way.
        resumed: Which of :data:`LAST` a resumed run goes on from; the other is written first.
    """

    def __init__(self, tracker: Tracker, config: Config, folder: Path, resumed: str | None = None) -> None:
        self.tracker, self.config, self.folder = tracker, config, folder
        self._next = 1 if resumed == LAST_FILES[0] else 0
        self._kept, self._kept_at = 0, float("-inf")

    def checkpoint(
        self,
        name: str,
        progress: Progress,
        best: BestEpoch,
        metrics: Mapping[str, float] | None = None,
    ) -> None:
        """Best weights with everything the contract lists; optimiser state and so on are those of the last epoch."""
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
        """All that going on after this epoch needs, unless the one before was kept a moment ago."""
        if time.monotonic() - self._kept_at >= CHECKPOINT_SECONDS:
            self._save_last(progress)

    def _save_last(self, progress: Progress) -> None:
        if isinstance(self.tracker, NullTracker) or progress.epoch == self._kept:
            return
        name = LAST_FILES[self._next]
        self._checkpoint(name, {"progress": progress.state()})
        self._next = 1 - self._next
        self._kept, self._kept_at = progress.epoch, time.monotonic()

    def save_interrupted(self, progress: Progress, best: BestEpoch) -> None:
        """The best checkpoint so far, and where the run stands."""
        if isinstance(self.tracker, NullTracker) or not progress.epoch:
            return
        self.checkpoint("best.pt", progress, best)
        self._save_last(progress)

    def predictions(self, predictions: Predictions, split: str) -> None:
        path = self.folder / f"{split}.parquet"
        with _written(f"predictions/{path.name}"):
            predictions_table(predictions).to_parquet(path, index=False)
            self.tracker.log_file(path, "predictions")

    def plots(self, data: TrainVal, predictions: Predictions, progress: Progress, best: int, threshold: float) -> None:
        if isinstance(self.tracker, NullTracker):
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
    """Remove :data:`LAST` from a run that has all its results: nobody will go on from there."""
    for name in LAST_FILES:
        tracker.remove_file(f"{CHECKPOINTS}/{name}")


@contextmanager
def _written(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise WriteFailed(
            f"{what} cannot be written ({error.strerror or error}); make room, or the place writable, and go on: the "
            "checkpoint before it is whole"
        ) from error


def predictions_table(predictions: Predictions) -> pd.DataFrame:
    """The columns of ``predictions/*.parquet``: ``row``, ``label``, ``probability``, ``probability_tta``, where known
    ``patient``, and for out-of-fold predictions ``fold``."""
    import pandas as pd

    return pd.DataFrame(predictions.columns())


def predictions_from_table(table: pd.DataFrame) -> Predictions:
    """What :func:`predictions_table` was made of."""
    return Predictions.from_columns({str(name): table[name].to_numpy() for name in table})
