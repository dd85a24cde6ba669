"""The one place that adapts MLflow's client: how long it waits, and which errors mean that the store is away.

MLflow reads its time limits from environment variables, which belong to the whole process. Each thread of this package
has limits of its own instead: MLflow's objects of three of those variables ask the present thread's limits first.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple

import requests
import sqlalchemy
from mlflow.environment_variables import (
    MLFLOW_HTTP_REQUEST_MAX_RETRIES,
    MLFLOW_HTTP_REQUEST_TIMEOUT,
    MLFLOW_HTTP_RESPECT_RETRY_AFTER_HEADER,
)
from mlflow.exceptions import MlflowException

AWAY = {"TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED", "RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED"}
"""Error codes of a store that may accept later what it does not accept now."""


class Limits(NamedTuple):
    """Limits of one thread's requests.

    Attributes:
        seconds: How long to wait for an answer; ``None``: MLflow's own default.
        retries: How often to try again.
    """

    seconds: int | None
    retries: int


_LIMITS: ContextVar[Limits | None] = ContextVar("limits", default=None)


@contextmanager
def answer_within(seconds: int | None, retries: int = 1) -> Iterator[None]:
    """Limit the requests that this thread makes in the block; MLflow's client would retry for four minutes.

    Variables of MLflow that the user has set still count, and so does a block around this one. Threads that are started
    in the block have no limits: give them the context, or run their work with :class:`InlineExecutor`.

    Args:
        seconds: How long to wait for an answer; ``None``: MLflow's own default.
        retries: How often to try again.
    """
    outer = _LIMITS.get()
    if outer is not None:
        seconds, retries = seconds if outer.seconds is None else outer.seconds, outer.retries
    token = _LIMITS.set(Limits(seconds, retries))
    try:
        yield
    finally:
        _LIMITS.reset(token)


def _limit(variable: Any, limit: Callable[[Limits], object]) -> None:
    """Let one of MLflow's variables return the present thread's limit; all modules of MLflow share the object."""
    from_environment = variable.get

    def get() -> object:
        limits = _LIMITS.get()
        value = None if limits is None or variable.is_set() else limit(limits)
        return from_environment() if value is None else value

    variable.get = get


_limit(MLFLOW_HTTP_REQUEST_TIMEOUT, lambda limits: limits.seconds)
_limit(MLFLOW_HTTP_REQUEST_MAX_RETRIES, lambda limits: limits.retries)
_limit(MLFLOW_HTTP_RESPECT_RETRY_AFTER_HEADER, lambda limits: False)


class InlineExecutor(Executor):
    """Runs what is submitted at once, in the thread that submits it, so that the limits of that thread count."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Call ``fn`` and return a future that is done."""
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


def is_away(error: BaseException) -> bool:
    """Return whether the store did not answer, or not as it should, so that it may accept the same write later.

    A refusal is not away: a value that is not allowed, a run that does not exist, a missing permission.
    """
    if isinstance(error, MlflowException):
        # MLflow's client calls a server that it cannot reach an internal error, without a cause unless it was a
        # time-out; an internal error of a database has its cause, and would come again
        unanswered = error.__cause__ is None or isinstance(error.__cause__, requests.RequestException)
        return error.error_code in AWAY or (error.error_code == "INTERNAL_ERROR" and unanswered)
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return error.response.status_code >= 500 or error.response.status_code in (408, 429)
    if isinstance(error, requests.RequestException | ConnectionError | TimeoutError):
        return True
    return isinstance(error, sqlalchemy.exc.OperationalError) or _s3_is_away(error)


def _s3_is_away(error: BaseException) -> bool:
    botocore = sys.modules.get("botocore.exceptions")  # loaded when artifacts go to S3 without MLflow's server between
    if botocore is None:
        return False
    for cause in (error, error.__cause__, error.__context__):
        if isinstance(cause, botocore.ConnectionError | botocore.HTTPClientError):
            return True
        if isinstance(cause, botocore.ClientError):
            return int(cause.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)) in (429, *range(500, 600))
    return False
