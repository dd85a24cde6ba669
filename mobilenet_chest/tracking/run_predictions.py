"""The stored validation predictions of many runs, read side by side."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from pathlib import Path

from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.utils.file_utils import local_file_uri_to_path

from mobilenet_chest.config import EvaluationConfig
from mobilenet_chest.errors import DataError
from mobilenet_chest.evaluation.intervals import check_rows
from mobilenet_chest.evaluation.predictions import Predictions
from mobilenet_chest.evaluation.run_predictions import RunPredictions
from mobilenet_chest.tracking.client import InlineExecutor
from mobilenet_chest.tracking.run_metrics import metrics_of
from mobilenet_chest.tracking.run_settings import settings_of
from mobilenet_chest.tracking.store import reason, tracking_uri

PATH = "predictions/val.parquet"

AT_ONCE = 8
"""Files that are fetched at a time from a store on another machine; MLflow keeps ten connections."""


def load_run_predictions(runs: Sequence[Run]) -> dict[str, RunPredictions | str]:
    """Return the validation predictions by run id; where a run has none that can be read, the reason.

    The limits of :func:`~mobilenet_chest.tracking.client.answer_within` count for each file.
    """
    with (
        tempfile.TemporaryDirectory(prefix="mobilenet-chest-") as folder,
        ThreadPoolExecutor(AT_ONCE, "predictions") as pool,
    ):
        files = [_file(run, Path(folder), pool) for run in runs]
        return {str(run.info.run_id): _read(run, file) for run, file in zip(runs, files, strict=True)}


def _file(run: Run, folder: Path, pool: ThreadPoolExecutor) -> Callable[[], str]:
    """Return what gives the path of a run's file, once it is on this machine."""
    if str(run.info.artifact_uri).startswith(("/", "file:")):
        # MLflow's repository of local artifacts takes as long to make as the file to read
        return lambda: str(Path(local_file_uri_to_path(run.info.artifact_uri)) / PATH)
    return pool.submit(copy_context().run, _fetched, run, folder).result


def _fetched(run: Run, folder: Path) -> str:
    repository = get_artifact_repository(run.info.artifact_uri, tracking_uri())
    repository.thread_pool = InlineExecutor()
    copy = folder / str(run.info.run_id)
    copy.mkdir()
    return str(repository.download_artifacts(PATH, str(copy)))


def _read(run: Run, file: Callable[[], str]) -> RunPredictions | str:
    import pyarrow.parquet  # takes long, and is needed when a training has ended

    try:  # pyarrow's errors are subclasses of these
        # without what read_table prepares for large files: it takes five times as long for these
        table = pyarrow.parquet.ParquetFile(file(), memory_map=True, pre_buffer=False).read(use_threads=False)
        predictions = Predictions.from_columns({name: table[name].to_numpy() for name in table.column_names})
        check_rows(predictions.label, predictions.probability, predictions.probability_tta)
        return run_predictions(run, predictions)
    except (MlflowException, OSError, ValueError, TypeError, KeyError, DataError) as error:
        return f"no {PATH} that can be read ({reason(error)})"


def run_predictions(run: Run, predictions: Predictions) -> RunPredictions:
    """Return the predictions of a run's model together with the settings that its metrics were computed with.

    Raises:
        KeyError: The run lacks a setting.
    """
    settings = settings_of(run)
    evaluation = {name: settings[f"evaluation.{name}"]
                  for name in ("threshold_low", "threshold_high", "threshold_step", "folds")}  # fmt: skip
    return RunPredictions(predictions, metrics_of(run), EvaluationConfig(**evaluation), int(settings["seed"]))
