"""Calls of a database that is away: repeated for a while, but not where waiting would not help."""

from __future__ import annotations

import logging
import sqlite3

import pytest
import sqlalchemy
from optuna.exceptions import StorageInternalError

from mobilenet_chest.errors import SweepFailed, WriteFailed
from mobilenet_chest.sweep import retries
from mobilenet_chest.sweep.retries import error_line, with_retries


def sqlite_error(code: int, text: str = "no luck") -> sqlalchemy.exc.OperationalError:
    original = sqlite3.OperationalError(text)
    original.sqlite_errorcode = code
    return sqlalchemy.exc.OperationalError("SELECT 1", {}, original)


class Attempt:
    """Raises the errors in turn, then returns 7."""

    def __init__(self, *errors: Exception) -> None:
        self.errors, self.calls = list(errors), 0

    def __call__(self) -> int:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return 7


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "RETRY_SECONDS", 0.0)


def test_a_locked_database_is_waited_for_and_said_once(logged: pytest.LogCaptureFixture) -> None:
    wrapped = StorageInternalError("from Optuna")
    wrapped.__cause__ = sqlite_error(sqlite3.SQLITE_LOCKED)
    attempt = Attempt(sqlite_error(sqlite3.SQLITE_BUSY, "database is locked\nfor long"), wrapped)
    assert (with_retries(attempt), attempt.calls) == (7, 3)
    (record,) = logged.records
    assert record.levelno == logging.WARNING
    assert "(database is locked)" in record.getMessage()


def test_a_lost_connection_and_an_exhausted_pool_are_waited_for() -> None:
    lost = sqlalchemy.exc.DBAPIError("SELECT 1", {}, Exception("gone"), connection_invalidated=True)
    refused = sqlalchemy.exc.OperationalError("SELECT 1", {}, Exception("refused"))
    attempt = Attempt(lost, refused, sqlalchemy.exc.TimeoutError())
    assert (with_retries(attempt), attempt.calls) == (7, 4)


def test_a_transaction_that_a_lost_connection_has_ended_is_begun_again(logged: pytest.LogCaptureFixture) -> None:
    """Optuna asks a second time in the same transaction, and that is all that its error names as its cause."""
    pending = sqlalchemy.exc.PendingRollbackError("cannot reconnect until the transaction is rolled back")
    pending.__context__ = sqlalchemy.exc.OperationalError("SELECT 1", {}, Exception("server closed the connection"))
    wrapped = StorageInternalError("from Optuna")
    wrapped.__cause__ = pending
    attempt = Attempt(wrapped)
    assert (with_retries(attempt), attempt.calls) == (7, 2)
    assert "(server closed the connection)" in logged.records[0].getMessage()
    alone = sqlalchemy.exc.PendingRollbackError("of an error that is not known")
    with pytest.raises(sqlalchemy.exc.PendingRollbackError):
        with_retries(Attempt(alone))


def test_a_database_that_stays_away_ends_the_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "RETRY_LIMIT_SECONDS", -1.0)
    with pytest.raises(SweepFailed, match="database is locked"):
        with_retries(Attempt(sqlite_error(sqlite3.SQLITE_BUSY, "database is locked")))


@pytest.mark.parametrize("code", [sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR])
def test_a_database_that_cannot_be_written_is_not_waited_for(code: int) -> None:
    attempt = Attempt(sqlite_error(code))
    with pytest.raises(WriteFailed, match="no luck"):
        with_retries(attempt)
    assert attempt.calls == 1


@pytest.mark.parametrize(
    "error",
    [
        sqlite_error(sqlite3.SQLITE_CONSTRAINT),
        sqlalchemy.exc.IntegrityError("INSERT", {}, Exception("twice")),
        sqlalchemy.exc.InvalidRequestError("misused"),
    ],
)
def test_other_errors_are_raised_at_once(error: Exception) -> None:
    attempt = Attempt(error)
    with pytest.raises(type(error)):
        with_retries(attempt)
    assert attempt.calls == 1


def test_the_line_of_an_error() -> None:
    assert error_line(sqlite_error(1, "first\nsecond")) == "first"
    assert error_line(ValueError()) == "ValueError"
