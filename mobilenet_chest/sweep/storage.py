"""The study's database: SQLite made safe for several processes, or PostgreSQL."""

from __future__ import annotations

from typing import Any

import optuna
import sqlalchemy
from optuna.storages import RDBStorage

from mobilenet_chest.errors import MissingExtraError, StudyError
from mobilenet_chest.sweep.locks import NOTICE_LOSS, exclusive
from mobilenet_chest.sweep.optuna_adapter import MIGRATIONS, OPTUNA_TABLES, StudyStorage
from mobilenet_chest.tracking.database import Program, is_sqlite, revisions, schema_problem, sqlite_file
from mobilenet_chest.tracking.store import database_problem, masked, reason

DEFAULT = "sqlite:///optuna.db"

OPTUNA = Program(
    "Optuna", optuna.__version__, MIGRATIONS, OPTUNA_TABLES, "optuna storage upgrade --storage",
    "MLflow", "give studies a database of their own",
)  # fmt: skip

LOCK_SECONDS = 60
"""How long SQLite itself waits for another process's transaction."""


def check_storage(url: str) -> None:
    """Check that the storage can be used; nothing is left behind.

    Raises:
        StudyError: It cannot be reached or written, or is of another kind than SQLite or PostgreSQL.
        MissingExtraError: PostgreSQL's driver is not installed.
    """
    try:
        address = sqlalchemy.make_url(url)
        backend = address.get_backend_name()
    except (sqlalchemy.exc.ArgumentError, ValueError):
        # in what is no address a password cannot be found and masked, so nothing of it is shown
        given = "(not shown: it may hold a password)" if "@" in url else masked(url)
        raise StudyError(f"--storage {given}: not a database address; for example {DEFAULT}") from None
    if backend == "sqlite" and sqlite_file(url) is None:
        raise StudyError(f"--storage {url}: workers cannot share a database in memory; name a file, such as {DEFAULT}")
    if backend not in ("sqlite", "postgresql"):
        raise StudyError(f"--storage {masked(url)}: trials can be claimed safely in sqlite:/// and postgresql:// only")
    try:
        problem = database_problem(url) or schema_problem(url, masked(url), OPTUNA)
    except ModuleNotFoundError as error:
        if backend == "sqlite":
            raise StudyError(f"--storage {masked(url)}: needs '{error.name}'; write sqlite:/// instead") from None
        raise MissingExtraError(f"--storage {masked(url)}", "postgresql") from None
    except sqlalchemy.exc.SQLAlchemyError as error:
        problem = f"cannot read {masked(url)} ({reason(error)}); bring back a copy of it, or name another"
    if problem is not None:
        raise StudyError(f"--storage: {problem}")


def open_storage(url: str) -> RDBStorage:
    """Return Optuna's storage at ``url``, with its tables, which one process at a time makes.

    Raises:
        SweepFailed: From each of its calls, if the database stays away; as
            :func:`~mobilenet_chest.sweep.retries.with_retries`.
        WriteFailed: Likewise, if it cannot be written.
        StudyError: At once, if its tables are of another version of Optuna.
    """
    # pre-ping: a connection lost with a server restart is replaced, not reported as a failed trial
    server: dict[str, Any] = {"pool_pre_ping": True, "connect_args": NOTICE_LOSS}
    file = {"connect_args": {"timeout": LOCK_SECONDS}}
    with exclusive(url):
        # Optuna's own check would read all of its migrations again for each storage
        storage = StudyStorage(url, engine_kwargs=file if is_sqlite(url) else server, skip_compatibility_check=True)
        if storage.get_current_version() != revisions(MIGRATIONS).head:
            raise StudyError(f"--storage: {schema_problem(url, masked(url), OPTUNA)}")
    if not is_sqlite(url):
        return storage
    # By default SQLite begins a transaction as a reader and becomes the writer at its first write. Two processes could
    # then read the same queued trial and both claim it (SQLite ignores FOR UPDATE), so each begins as the writer.
    storage.engine.dispose()
    sqlalchemy.event.listen(storage.engine, "connect", _disable_driver_transactions)
    sqlalchemy.event.listen(storage.engine, "begin", _begin_as_writer)
    return storage


def _disable_driver_transactions(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # else sqlite3 itself would send a plain BEGIN


def _begin_as_writer(connection: Any) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
