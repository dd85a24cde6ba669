"""The study's database: SQLite made safe for several processes, or PostgreSQL."""

from __future__ import annotations

import functools
import hashlib
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy
from filelock import FileLock, Timeout
from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError
from optuna.storages import BaseStorage, RDBStorage

from mobilenet_chest import interrupts
from mobilenet_chest.errors import MissingExtraError, StudyError, SweepFailed, WriteFailed
from mobilenet_chest.tracking.store import database_problem, shown

DEFAULT = "sqlite:///optuna.db"
LOCK_SECONDS = 60
"""How long SQLite itself waits for another process's transaction."""

RETRY_LIMIT_SECONDS = 1800.0
"""How long a database may be away before the sweep ends."""

RETRY_SECONDS = 1.0

# a machine that loses power says nothing: its connections, and the locks they hold, are given up after a minute
_NOTICE_LOSS = {"options": "-c tcp_keepalives_idle=30 -c tcp_keepalives_interval=10 -c tcp_keepalives_count=3"}

T = TypeVar("T")


def check_storage(url: str) -> None:
    """See that the storage can be used; leaves nothing behind.

    Raises:
        StudyError: It cannot be reached or written, or is of another kind than SQLite or PostgreSQL.
        MissingExtraError: PostgreSQL's driver is not installed.
    """
    try:
        address = sqlalchemy.make_url(url)
        backend = address.get_backend_name()
    except (sqlalchemy.exc.ArgumentError, ValueError):
        # not echoed where it may hold a password that cannot be told apart in it
        given = "(not shown: it may hold a password)" if "@" in url else shown(url)
        raise StudyError(f"--storage {given}: not a database address; for example {DEFAULT}") from None
    if backend == "sqlite" and address.database in (None, "", ":memory:"):
        raise StudyError(f"--storage {url}: workers cannot share a database in memory; name a file, such as {DEFAULT}")
    if backend not in ("sqlite", "postgresql"):
        raise StudyError(f"--storage {shown(url)}: trials can be claimed safely in sqlite:/// and postgresql:// only")
    try:
        problem = database_problem(url)
    except ModuleNotFoundError:
        raise MissingExtraError(f"--storage {shown(url)}", "postgresql") from None
    if problem is not None:
        raise StudyError(f"--storage: {problem}")


def open_storage(url: str) -> RDBStorage:
    """Optuna's storage at ``url``; tables are made by one process at a time.

    Its calls wait for a database that is locked or starting again, up to :data:`RETRY_LIMIT_SECONDS`, instead of
    failing the trial that made them.
    """
    if not is_sqlite(url):
        # pre-ping: a connection lost with a server restart is replaced, not reported as a failed trial
        with exclusive(url):
            return _Patient(url, engine_kwargs={"pool_pre_ping": True, "connect_args": _NOTICE_LOSS})
    with exclusive(url):
        storage = _Patient(url, engine_kwargs={"connect_args": {"timeout": LOCK_SECONDS}})
    # SQLite's default begins a transaction as a reader and upgrades it on the first write, which lets two processes
    # claim the same trial (FOR UPDATE means nothing to it). Beginning as the writer does not.
    storage.engine.dispose()
    sqlalchemy.event.listen(storage.engine, "connect", _leave_transactions_to_us)
    sqlalchemy.event.listen(storage.engine, "begin", _begin_as_writer)
    return storage


class _Patient(RDBStorage):
    """Repeats what failed because the database was away; the methods are wrapped below."""


def _patient(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def call(self: RDBStorage, *arguments: Any, **options: Any) -> Any:
        tries = 0

        def attempt() -> Any:
            nonlocal tries
            tries += 1
            try:
                with interrupts.deferred():
                    return method(self, *arguments, **options)
            except UpdateFinishedTrialError:
                # the connection may have been lost after the database had done it
                if tries == 1 or self.get_trial(arguments[0]).state != arguments[1]:
                    raise
                return True

        return with_retries(attempt)

    return call


# the second line is what Optuna's cache calls besides
for _name in (
    *BaseStorage.__abstractmethods__,
    *("_create_new_trial", "_get_best_trial_id", "_get_trials", "_set_trial_param"),
    "get_trial_id_from_study_id_trial_number",
):
    setattr(_Patient, _name, _patient(getattr(RDBStorage, _name)))


def with_retries(attempt: Callable[[], T]) -> T:
    """Repeat an attempt until the database does not prevent it, for :data:`RETRY_LIMIT_SECONDS` at most.

    Raises:
        SweepFailed: It was away for longer.
        WriteFailed: Its disk is full, or it cannot be written any more.
    """
    started, said = time.monotonic(), False
    while True:
        try:
            return attempt()
        except (StorageInternalError, sqlalchemy.exc.SQLAlchemyError) as error:
            cause = error.__cause__ if isinstance(error, StorageInternalError) else error
            if _unwritable(cause):
                raise WriteFailed(
                    f"the study's database cannot be written ({first_line(cause)}); make room, or the place "
                    "writable; nothing is lost: the same command goes on"
                ) from error
            if not _passing(cause):
                raise
            waited = time.monotonic() - started
            if waited > RETRY_LIMIT_SECONDS:
                raise SweepFailed(
                    f"the study's database has not answered for {waited:.0f} s ({first_line(cause)}); nothing is "
                    "lost: the same command goes on once it does"
                ) from error
            if not said:
                print(f"the study's database does not answer ({first_line(cause)}); waiting", file=sys.stderr)
                said = True
        time.sleep(RETRY_SECONDS)


def _passing(error: BaseException | None) -> bool:
    """Whether a database's error is one that waiting mends."""
    if isinstance(error, sqlalchemy.exc.TimeoutError):
        return True
    if not isinstance(error, sqlalchemy.exc.DBAPIError):
        return False
    code = getattr(error.orig, "sqlite_errorcode", None)
    if code is not None:
        return code & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
    # a PostgreSQL server that goes, or comes, or a deadlock: all of them are operational errors of its drivers
    return error.connection_invalidated or isinstance(error, sqlalchemy.exc.OperationalError)


def _unwritable(error: BaseException | None) -> bool:
    """Whether a database's file is on a disk that is full, or in a folder that cannot be written any more."""
    code = getattr(getattr(error, "orig", None), "sqlite_errorcode", 0) & 0xFF
    return code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN)


def first_line(error: BaseException | None) -> str:
    """The first line of a database's error."""
    text = str(getattr(error, "orig", None) or error)
    return (text.strip() or type(error).__name__).splitlines()[0]


@contextmanager
def exclusive(url: str, name: str = "claims", wait: bool = True) -> Iterator[bool]:
    """Held by one process at a time among all that use the storage, and given back when the process is killed.

    Args:
        url: The storage.
        name: Of the lock: ``claims`` is for claiming trials and for mending.
        wait: Whether to wait for it; otherwise the block may be entered without it.

    Yields:
        Whether it is held.
    """
    if is_sqlite(url):
        lock = FileLock(lock_file(url, name), timeout=-1 if wait else 0)
        try:
            lock.acquire()
        except Timeout:
            yield False
            return
        try:
            yield True
        finally:
            lock.release()
        return
    engine = lock_engine(url)
    try:
        with advisory_lock(engine, name, wait) as held:
            yield held
    finally:
        engine.dispose()


def lock_file(url: str, name: str) -> Path:
    """The file of a lock beside an SQLite database."""
    database = Path(sqlalchemy.make_url(url).database or "optuna.db").absolute()
    return database.with_name(f"{database.name}.lock" if name == "claims" else f"{database.name}.{name}.lock")


def lock_engine(url: str) -> sqlalchemy.Engine:
    """Connections for :func:`advisory_lock`."""
    return sqlalchemy.create_engine(url, pool_pre_ping=True, pool_size=1, connect_args=_NOTICE_LOSS)


@contextmanager
def advisory_lock(engine: sqlalchemy.Engine, name: str, wait: bool) -> Iterator[bool]:
    """PostgreSQL's lock of a session: given back with the connection, so also when the process is killed."""
    key = {"key": int.from_bytes(hashlib.sha256(f"mobilenet-chest {name}".encode()).digest()[:7], "big")}
    ask = "SELECT pg_advisory_lock(:key) IS NOT NULL" if wait else "SELECT pg_try_advisory_lock(:key)"

    def acquire() -> tuple[sqlalchemy.Connection, bool]:
        connection = engine.connect()
        try:
            held = bool(connection.execute(sqlalchemy.text(ask), key).scalar())
            connection.commit()
        except BaseException:
            connection.invalidate()
            connection.close()
            raise
        return connection, held

    connection, held = with_retries(acquire)
    try:
        yield held
    finally:
        # closed for good and not given back to the pool where it failed: the lock goes with it
        try:
            if held:
                connection.execute(sqlalchemy.text("SELECT pg_advisory_unlock(:key)"), key)
                connection.commit()
        except sqlalchemy.exc.DBAPIError:
            connection.invalidate()
        finally:
            connection.close()


def is_sqlite(url: str) -> bool:
    """Whether the storage is a file."""
    return sqlalchemy.make_url(url).get_backend_name() == "sqlite"


def _leave_transactions_to_us(connection: Any, _record: Any) -> None:
    connection.isolation_level = None


def _begin_as_writer(connection: Any) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
