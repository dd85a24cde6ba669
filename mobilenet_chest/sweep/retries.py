"""Calls of the study's database, repeated while it is away."""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Callable
from typing import TypeVar

import sqlalchemy
from optuna.exceptions import StorageInternalError

from mobilenet_chest.errors import SweepFailed, WriteFailed

logger = logging.getLogger(__name__)

RETRY_LIMIT_SECONDS = 1800.0
"""How long a database may be away before the sweep ends."""

RETRY_SECONDS = 1.0

T = TypeVar("T")


def with_retries(attempt: Callable[[], T]) -> T:
    """Return what ``attempt`` returns, repeating it for up to :data:`RETRY_LIMIT_SECONDS` while the database is away.

    Raises:
        SweepFailed: The database was away for longer.
        WriteFailed: Its disk is full, or it cannot be written any more.
    """
    started, logged = time.monotonic(), False
    while True:
        try:
            return attempt()
        except (StorageInternalError, sqlalchemy.exc.SQLAlchemyError) as error:
            cause = _cause(error)
            if _unwritable(cause):
                raise WriteFailed(
                    f"the study's database cannot be written ({error_line(cause)}); make room or make it writable; "
                    "nothing is lost: run the same command to continue"
                ) from error
            if not _transient(cause):
                raise
            waited = time.monotonic() - started
            if waited > RETRY_LIMIT_SECONDS:
                raise SweepFailed(
                    f"the study's database has not answered for {waited:.0f} s ({error_line(cause)}); nothing is "
                    "lost: run the same command to continue once it answers"
                ) from error
            if not logged:
                logger.warning("the study's database does not answer (%s); waiting", error_line(cause))
                logged = True
        time.sleep(RETRY_SECONDS)


def error_line(error: BaseException | None) -> str:
    """Return the first line of a database's error."""
    text = str(getattr(error, "orig", None) or error)
    return (text.strip() or type(error).__name__).splitlines()[0]


def _cause(error: Exception) -> BaseException | None:
    """Return the database's own error behind what Optuna and SQLAlchemy raise.

    After a connection is lost, Optuna asks once more in another way within the same transaction. SQLAlchemy then says
    that this transaction is to be rolled back, and keeps why as the error's context.
    """
    cause = error.__cause__ if isinstance(error, StorageInternalError) else error
    while isinstance(cause, sqlalchemy.exc.PendingRollbackError) and cause.__context__ is not None:
        cause = cause.__context__
    return cause


def _transient(error: BaseException | None) -> bool:
    """Whether a database's error is one that waiting mends."""
    if isinstance(error, sqlalchemy.exc.TimeoutError):
        return True
    if not isinstance(error, sqlalchemy.exc.DBAPIError):
        return False
    code = getattr(error.orig, "sqlite_errorcode", None)
    if code is not None:
        return code & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
    # a PostgreSQL server that stops or starts, or a deadlock: its drivers call all of them operational errors
    return error.connection_invalidated or isinstance(error, sqlalchemy.exc.OperationalError)


def _unwritable(error: BaseException | None) -> bool:
    """Whether a database's file is on a full disk, or in a folder that cannot be written any more."""
    code = getattr(getattr(error, "orig", None), "sqlite_errorcode", 0) & 0xFF
    return code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN)
