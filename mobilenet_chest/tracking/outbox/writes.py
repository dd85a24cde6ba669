"""What a run is told, as plain data: sent at once, or kept in a file for later; sent twice it does no more than
once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, Run, RunTag
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from mobilenet_chest import interrupts
from mobilenet_chest.errors import DataError

Write = Mapping[str, Any]
"""One of ``metrics`` (key, value, milliseconds and step of each), ``params`` and ``tags`` (by name), ``inputs``
(datasets), ``upload`` and ``remove`` (an artifact's path), ``status`` (with ``time``, milliseconds)."""


def send(client: MlflowClient, run_id: str, write: Write, file: Path | None = None) -> None:
    """Send one write; the same again changes nothing. An interrupt waits until it is sent.

    Args:
        client: The store.
        run_id: The run.
        write: What it is told.
        file: What an upload uploads; it has the name of the artifact.

    Raises:
        DataError: It is none of those there are.
    """
    with interrupts.deferred():  # MLflow's own session is not rolled back by one, and keeps the database locked
        _send(client, run_id, write, file)


def _send(client: MlflowClient, run_id: str, write: Write, file: Path | None) -> None:
    match write:
        case {"metrics": batch}:
            # the store keeps one of two that are equal in key, value, time and step
            client.log_batch(run_id, metrics=[Metric(*one) for one in batch])
        case {"params": values}:
            client.log_batch(run_id, params=[Param(key, value) for key, value in values.items()])
        case {"tags": values}:
            client.log_batch(run_id, tags=[RunTag(key, value) for key, value in values.items()])
        case {"inputs": inputs}:
            client.log_inputs(run_id, [_input(**one) for one in inputs])
        case {"upload": path}:
            folder = PurePosixPath(path).parent.as_posix()
            client.log_artifact(run_id, str(file), None if folder == "." else folder)
        case {"remove": path}:
            remove_artifacts(client.get_run(run_id), path)
        case {"status": status, "time": time}:
            client.set_terminated(run_id, status, end_time=time)
        case _:
            raise DataError(f"run {run_id}: no write to a run is {str(dict(write))[:200]}")


def _input(context: str, **fields: str) -> DatasetInput:
    return DatasetInput(Dataset(**fields), tags=[InputTag("mlflow.data.context", context)])


def remove_artifacts(run: Run, path: str) -> None:
    """Delete a run's file or folder of artifacts, if it is there."""
    get_artifact_repository(run.info.artifact_uri).delete_artifacts(path)
