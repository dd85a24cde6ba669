"""Reading back what a run has left."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts
from mlflow.entities import Run

from mobilenet_chest.errors import DataError, TrackingError, WriteFailed
from mobilenet_chest.tracking.artifact_writer import FOLDER, LAST
from mobilenet_chest.tracking.outbox.delivery import deliver_run
from mobilenet_chest.training import checkpoint
from mobilenet_chest.training.progress import Progress

if TYPE_CHECKING:
    import pandas as pd

SCORED_ON = "scored_on"
"""Tag of runs whose ``val_*`` figures are not of the validation split as a whole, each row by the run's own model."""

OUT_OF_FOLD = "train and val, each row by the member that did not train on it"
"""Value of :data:`SCORED_ON` for what was trained on folds."""

FOLDS = "folds"
"""Tag of a trial's run that stands for as many trainings, one on each fold, and has no model itself."""


class Standing(NamedTuple):
    """Where an unfinished run stands.

    Attributes:
        progress: After its last epoch that was kept.
        file: Which of the two files that was.
    """

    progress: Progress
    file: str


def standing(client: MlflowClient, run: Run) -> Standing | None:
    """The newest of a run's two checkpoints that is whole; none where it has none. A damaged one is set aside, with a
    line on stderr: the next epoch is written over it.

    Raises:
        TrackingError: One may wait on the disk for the store, and cannot be delivered.
    """
    deliver_run(run.info.run_id)
    present, found = {file.path for file in client.list_artifacts(run.info.run_id, FOLDER)}, []
    for name in LAST:
        if f"{FOLDER}/{name}" not in present:
            continue
        with artifact(client, run, f"{FOLDER}/{name}") as path:
            try:
                found.append(Standing(Progress(**checkpoint.load(path)["progress"]), name))
            except DataError:
                print(f"run {run.info.run_id}: {FOLDER}/{name} is damaged; it is set aside", file=sys.stderr)
    return max(found, key=lambda one: one.progress.epoch, default=None)


@contextmanager
def artifact(client: MlflowClient, run: Run, path: str) -> Iterator[Path]:
    """A local copy of a run's artifact, for the length of the block.

    Raises:
        TrackingError: The run has no such artifact.
        WriteFailed: There is no room for a copy.
    """
    folder, _, _ = path.rpartition("/")
    if path not in {file.path for file in client.list_artifacts(run.info.run_id, folder or None)}:
        removed = run.data.tags.get("checkpoints_removed")
        why = f": {removed}; raise tracking.keep_checkpoints to keep more" if "checkpoints" in path and removed else ""
        if "checkpoints" in path and FOLDS in run.data.tags:
            why = f": {of_folds(run)}"
        raise TrackingError(f"run {run.info.run_id} has no {path}{why}")
    with tempfile.TemporaryDirectory(prefix="mobilenet-chest-") as copy:
        try:
            file = Path(download_artifacts(run_id=run.info.run_id, artifact_path=path, dst_path=copy))
        except OSError as error:
            raise WriteFailed(
                f"run {run.info.run_id}: {path} cannot be copied to {copy} ({error.strerror or error}); make room "
                "there, or set TMPDIR to another folder"
            ) from error
        yield file


def of_folds(run: Run) -> str:
    """Why a run with the tag :data:`FOLDS` has no model, and what makes one."""
    return (
        f"its trial was trained on {run.data.tags[FOLDS]} folds, each with a model of its own; "
        f"`mobilenet-chest ensemble {run.info.run_id}` makes one model of them, without training"
    )


def stored_predictions(client: MlflowClient, run: Run, split: str) -> pd.DataFrame:
    """``predictions/<split>.parquet`` of a run: row, label, probability, probability_tta."""
    import pandas as pd  # takes long, and a training need not wait for it

    with artifact(client, run, f"predictions/{split}.parquet") as path:
        return pd.read_parquet(path)
