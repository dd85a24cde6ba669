"""What a run is told, as plain data: sent at once, or kept in a file for later; sent twice it does no more than
once."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

import requests
import sqlalchemy
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, Run, RunTag
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from mobilenet_chest import interrupts
from mobilenet_chest.errors import DataError

Write = Mapping[str, Any]
"""One of ``metrics`` (key, value, milliseconds and step of each), ``params`` and ``tags`` (by name), ``inputs``
(datasets), ``upload`` and ``remove`` (an artifact's path), ``status`` (with ``time``, milliseconds)."""

AWAY = {"TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED", "RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED"}
"""Error codes of a store that may take later what it does not take now."""


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


def is_away(error: BaseException) -> bool:
    """Whether the store did not answer, or not as it should, and may take the same write later.

    What it refuses is not away: a value that is not allowed, a run that is not there, a missing permission.
    """
    if isinstance(error, MlflowException):
        # MLflow's client calls a server that cannot be reached an internal error, and gives no cause but a time-out; an
        # internal error of a database that is opened from here has one, and would come again
        unanswered = error.__cause__ is None or isinstance(error.__cause__, requests.RequestException)
        return error.error_code in AWAY or (error.error_code == "INTERNAL_ERROR" and unanswered)
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return error.response.status_code >= 500 or error.response.status_code in (408, 429)
    if isinstance(error, requests.RequestException | ConnectionError | TimeoutError):
        return True
    return isinstance(error, sqlalchemy.exc.OperationalError) or _s3_is_away(error)


def _s3_is_away(error: BaseException) -> bool:
    s3 = sys.modules.get("botocore.exceptions")  # there when artifacts go to S3 without MLflow's server in between
    if s3 is None:
        return False
    for one in (error, error.__cause__, error.__context__):
        if isinstance(one, s3.ConnectionError | s3.HTTPClientError):
            return True
        if isinstance(one, s3.ClientError):
            return int(one.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)) in (429, *range(500, 600))
    return False


@contextmanager
def impatient(timeout: int | None, retries: int = 1) -> Iterator[None]:
    """MLflow's client tries again for four minutes; in here it gives up soon, where its own variables are not set.

    Args:
        timeout: Seconds to wait for an answer; MLflow's own default where ``None``.
        retries: How often it tries again.
    """
    wanted = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": str(retries), "MLFLOW_HTTP_RESPECT_RETRY_AFTER_HEADER": "false"}
    if timeout is not None:
        wanted["MLFLOW_HTTP_REQUEST_TIMEOUT"] = str(timeout)
    changed = {name: value for name, value in wanted.items() if name not in os.environ}
    os.environ.update(changed)
    try:
        yield
    finally:
        for name in changed:
            os.environ.pop(name, None)
