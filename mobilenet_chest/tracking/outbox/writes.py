"""Writes to a run as plain data: sent at once, or kept in a file and sent later; sent twice, they change nothing."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, Run, RunTag
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from mobilenet_chest import interrupts
from mobilenet_chest.errors import DataError

Write = Mapping[str, Any]
"""One of ``metrics`` (a list of key, value, time in milliseconds and step), ``params`` and ``tags`` (by name),
``inputs`` (datasets), ``upload`` and ``remove`` (path of an artifact), ``status`` (with ``time`` in milliseconds)."""


def send(client: MlflowClient, run_id: str, write: Write, file: Path | None = None) -> None:
    """Send one write; an interrupt waits until it is sent.

    Args:
        client: The store.
        run_id: The run.
        write: The write.
        file: The file that an upload uploads; it has the name of the artifact.

    Raises:
        DataError: It is no write that there is.
    """
    with interrupts.deferred():  # MLflow does not roll back a session that is cut, and keeps the database locked
        _send(client, run_id, write, file)


def _send(client: MlflowClient, run_id: str, write: Write, file: Path | None) -> None:
    match write:
        case {"metrics": points}:
            # of two that are equal in key, value, time and step the store keeps one
            client.log_batch(run_id, metrics=[Metric(*point) for point in points])
        case {"params": values}:
            client.log_batch(run_id, params=[Param(key, value) for key, value in values.items()])
        case {"tags": values}:
            client.log_batch(run_id, tags=[RunTag(key, value) for key, value in values.items()])
        case {"inputs": inputs}:
            client.log_inputs(run_id, [_dataset_input(**fields) for fields in inputs])
        case {"upload": path}:
            folder = PurePosixPath(path).parent.as_posix()
            client.log_artifact(run_id, str(file), None if folder == "." else folder)
        case {"remove": path}:
            remove_artifacts(client.get_run(run_id), path)
        case {"status": status, "time": time}:
            client.set_terminated(run_id, status, end_time=time)
        case _:
            raise DataError(f"run {run_id}: no write to a run is {str(dict(write))[:200]}")


def _dataset_input(context: str, **fields: str) -> DatasetInput:
    return DatasetInput(Dataset(**fields), tags=[InputTag("mlflow.data.context", context)])


def remove_artifacts(run: Run, path: str) -> None:
    """Delete a file or folder among a run's artifacts, if it is there."""
    # two workers of a study may delete the same checkpoints at once: who misses a file leaves the rest to the other
    with suppress(FileNotFoundError):
        get_artifact_repository(run.info.artifact_uri).delete_artifacts(path)
