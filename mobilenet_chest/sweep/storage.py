"""The study's database: SQLite made safe for several processes, or PostgreSQL."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy
from filelock import FileLock
from optuna.storages import RDBStorage

from mobilenet_chest.errors import MissingExtraError, StudyError
from mobilenet_chest.tracking.store import database_problem, shown

DEFAULT = "sqlite:///optuna.db"
LOCK_SECONDS = 60


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
    """Optuna's storage at ``url``; tables are made by one process at a time."""
    if not _is_sqlite(url):
        # pre-ping: a connection lost with a server restart is replaced, not reported as a failed trial
        with exclusive(url):
            return RDBStorage(url, engine_kwargs={"pool_pre_ping": True})
    with exclusive(url):
        storage = RDBStorage(url, engine_kwargs={"connect_args": {"timeout": LOCK_SECONDS}})
    # SQLite's default begins a transaction as a reader and upgrades it on the first write, which lets two processes
    # claim the same trial (FOR UPDATE means nothing to it). Beginning as the writer does not.
    storage.engine.dispose()
    sqlalchemy.event.listen(storage.engine, "connect", _leave_transactions_to_us)
    sqlalchemy.event.listen(storage.engine, "begin", _begin_as_writer)
    return storage


@contextmanager
def exclusive(url: str) -> Iterator[None]:
    """Held by one process at a time among all that use the storage: for claiming trials and for mending."""
    if _is_sqlite(url):
        with FileLock(f"{Path(sqlalchemy.make_url(url).database or 'optuna.db').absolute()}.lock"):
            yield
        return
    engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.pool.NullPool)
    key = int.from_bytes(hashlib.sha256(b"mobilenet-chest claims").digest()[:4], "big")
    # a session-level lock: released with the connection, so also when the process is killed
    with engine.connect() as connection:
        connection.execute(sqlalchemy.text("SELECT pg_advisory_lock(:key)"), {"key": key})
        connection.commit()
        yield


def _is_sqlite(url: str) -> bool:
    return sqlalchemy.make_url(url).get_backend_name() == "sqlite"


def _leave_transactions_to_us(connection: Any, _record: Any) -> None:
    connection.isolation_level = None


def _begin_as_writer(connection: Any) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
