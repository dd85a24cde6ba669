"""Locks that all processes of a study share: files beside an SQLite database, advisory locks in PostgreSQL."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy

from mobilenet_chest import file_lock
from mobilenet_chest.sweep.retries import with_retries
from mobilenet_chest.tracking.database import is_sqlite, sqlite_file

CLAIMS = "claims"
"""Name of the lock for claiming trials and for repairs."""

NOTICE_LOSS = {"options": "-c tcp_keepalives_idle=30 -c tcp_keepalives_interval=10 -c tcp_keepalives_count=3"}
"""Options of a PostgreSQL connection. A machine that loses power closes nothing: the server drops its connections, and
the locks they hold, after a minute without an answer."""


@contextmanager
def exclusive(url: str, name: str = CLAIMS, wait: bool = True) -> Iterator[bool]:
    """Hold a lock among all processes that use the storage; it is released when the process is killed.

    Args:
        url: The storage.
        name: Of the lock.
        wait: Whether to wait for the lock; otherwise the block may be entered without it.

    Yields:
        Whether the lock is held.
    """
    if is_sqlite(url):
        with file_lock.held(lock_file(url, name), wait) as held:
            yield held
        return
    engine = lock_engine(url)
    try:
        with advisory_lock(engine, name, wait) as held:
            yield held
    finally:
        engine.dispose()


def lock_file(url: str, name: str) -> Path:
    """Return the path of a lock beside an SQLite database."""
    database = (sqlite_file(url) or Path("optuna.db")).resolve()  # the same file has one lock, however it is named
    return database.with_name(f"{database.name}.lock" if name == CLAIMS else f"{database.name}.{name}.lock")


def lock_engine(url: str) -> sqlalchemy.Engine:
    """Return an engine for :func:`advisory_lock`; the caller disposes of it."""
    return sqlalchemy.create_engine(url, pool_pre_ping=True, pool_size=1, connect_args=NOTICE_LOSS)


@contextmanager
def advisory_lock(engine: sqlalchemy.Engine, name: str, wait: bool) -> Iterator[bool]:
    """Hold a session lock of PostgreSQL; it goes with the connection, so also when the process is killed.

    Args:
        engine: Of :func:`lock_engine`.
        name: Of the lock.
        wait: As for :func:`exclusive`.

    Yields:
        Whether the lock is held.
    """
    key = {"key": int.from_bytes(hashlib.sha256(f"mobilenet-chest {name}".encode()).digest()[:7], "big")}
    query = "SELECT pg_advisory_lock(:key) IS NOT NULL" if wait else "SELECT pg_try_advisory_lock(:key)"

    def acquire() -> tuple[sqlalchemy.Connection, bool]:
        connection = engine.connect()
        try:
            held = bool(connection.execute(sqlalchemy.text(query), key).scalar())
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
        # a connection that failed is closed for good, not returned to the pool: the lock would stay with it
        try:
            if held:
                connection.execute(sqlalchemy.text("SELECT pg_advisory_unlock(:key)"), key)
                connection.commit()
        except sqlalchemy.exc.DBAPIError:
            connection.invalidate()
        finally:
            connection.close()
