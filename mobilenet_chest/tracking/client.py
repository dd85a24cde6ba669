"""How long MLflow's client waits and tries again, and whether an error says that the store is away."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import requests
import sqlalchemy
from mlflow.exceptions import MlflowException

AWAY = {"TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED", "RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED"}
"""Error codes of a store that may take later what it does not take now."""


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
def answer_within(timeout: int | None, retries: int = 1) -> Iterator[None]:
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
