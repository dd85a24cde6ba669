"""The tracking store: its address without password, whether it can be used, a client of it, what its errors say."""

from __future__ import annotations

import logging
import os
import re
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import mlflow
import requests
import sqlalchemy
from filelock import FileLock
from mlflow import MlflowClient
from mlflow.entities import ViewType
from mlflow.exceptions import MlflowException

from mobilenet_chest.errors import TrackingError, TrackingLost
from mobilenet_chest.tracking.client import answer_within, is_away
from mobilenet_chest.tracking.database import Program, backend, is_sqlite, schema_problem, sqlite_file
from mobilenet_chest.tracking.new_database import make_database
from mobilenet_chest.tracking.server import check_server, is_server

logger = logging.getLogger(__name__)

REQUEST_SECONDS = 5
"""How long a store may take to answer a request that cannot be kept for later."""

MIGRATIONS_LOCK = 1_296_844_364
"""Key of PostgreSQL's advisory lock on making MLflow's tables; any number that nothing else in the database uses."""

MIGRATIONS = Path(mlflow.__file__).parent / "store" / "db_migrations"
"""Where MLflow keeps the versions of its tables."""

MLFLOW_TABLES = ("experiments", "runs", "metrics")
"""Tables that MLflow's database has had in every version."""

MLFLOW = Program(
    "MLflow", mlflow.__version__, MIGRATIONS, MLFLOW_TABLES, "mlflow db upgrade",
    "Optuna", "give MLflow a database of its own",
)  # fmt: skip

REASON_LETTERS = 300
"""Longest reason that a message quotes."""


def _quieten() -> None:
    """Stop what MLflow prints on stdout, where ``--json`` has its one document, and on stderr."""
    # a progress bar for each file would hide what a command says
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    # MLflow prints the server's address, with the password in it, at the end of a run
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")


_quieten()  # also for callers that make a client without connect()


def tracking_uri() -> str:
    """Return the address that MLflow's variables name, or MLflow's default: ``mlflow.db`` in the working folder."""
    return str(mlflow.get_tracking_uri())


def masked(uri: str) -> str:
    """Return an address without its password, which may be before the host or in the query."""
    hidden = re.sub(r"(?<=://)([^:/@]*):.*@", r"\1:***@", uri)
    return re.sub(r"(?i)([?&][^=&#]*(?:pass|pwd|secret|token|key)[^=&#]*=)[^&#\s]*", r"\1***", hidden)


def without_password(text: str) -> str:
    """Return a text of MLflow with the password removed from the store's address."""
    uri = tracking_uri().rstrip("/")
    return text.replace(uri, masked(uri))


@contextmanager
def as_tracking_lost() -> Iterator[None]:
    """Turn errors of MLflow in the block into an error of this package, in one line without a password.

    Raises:
        TrackingLost: The store refused, or does not answer any more.
    """
    try:
        yield
    except (MlflowException, requests.RequestException) as error:
        raise TrackingLost(
            f"tracking store {masked(tracking_uri())}: {reason(error)}; see that it runs, then run the same command "
            "again"
        ) from error


@contextmanager
def store_required(timeout: int = REQUEST_SECONDS) -> Iterator[None]:
    """Limit the time of requests in the block that cannot be kept for later, such as making or reading a run.

    Args:
        timeout: Seconds that the store may take to answer; it is asked twice at most.

    Raises:
        TrackingError: The store is away.
    """
    try:
        with answer_within(timeout):
            yield
    except Exception as error:
        if not is_away(error):
            raise
        raise TrackingError(
            f"tracking store {masked(tracking_uri())} is away ({reason(error)}); run the same command again when it "
            "is back"
        ) from error


def check_reachable() -> None:
    """Check within seconds that the tracking store can be used, without leaving anything behind.

    Raises:
        TrackingError: It does not answer, cannot be written, or is a file store, which MLflow no longer has.
    """
    uri = tracking_uri()
    if is_server(uri):
        check_server(uri, masked(uri))
    elif ":" not in uri or uri.lower().startswith("file:"):
        raise TrackingError(
            f"MLFLOW_TRACKING_URI={masked(uri)}: MLflow has no file store any more; set sqlite:///mlflow.db, a "
            "server's http:// address, or unset the variable"
        )
    else:
        _check_database(uri)


def wait_reachable(seconds: float) -> None:
    """Wait for a tracking store that is away; the first wait is logged.

    Raises:
        TrackingError: It is still away after so many seconds.
    """
    deadline, waits = time.monotonic() + seconds, False
    while True:
        try:
            return check_reachable()
        except TrackingError as error:
            if time.monotonic() >= deadline:
                raise
            if not waits:
                logger.info(f"waiting up to {seconds:.0f} s: {error}")
            waits = True
        time.sleep(min(1.0, max(0.0, deadline - time.monotonic())))


def connect(to_read: bool = False) -> MlflowClient:
    """Return a client of a store that exists and answers; a fresh database is created by one process at a time.

    Args:
        to_read: Nothing will be written, so a database that this user can only read will do.

    Raises:
        TrackingError: The store cannot be used, as :func:`check_reachable` finds.
    """
    only_read = to_read and is_read_only()
    if not only_read:
        check_reachable()
    _quieten()
    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
    uri = tracking_uri()
    try:
        with nullcontext() if only_read else _migration_lock(uri), answer_within(None):
            if not only_read and is_sqlite(uri) and (file := sqlite_file(uri)) is not None:
                make_database(file)
            client = MlflowClient()
            client.search_experiments(max_results=1)  # opens the store; MLflow makes the tables of a new one
    except (MlflowException, OSError, sqlalchemy.exc.SQLAlchemyError) as error:
        raise TrackingError(f"tracking store {masked(uri)}: {reason(error)}; see `mobilenet-chest doctor`") from error
    return client


def is_read_only() -> bool:
    """Return whether the tracking store is a database that this user can read, and not write."""
    uri = tracking_uri()
    file = sqlite_file(uri) if is_sqlite(uri) else None
    if file is None or not file.is_file() or not os.access(file, os.R_OK):
        return False
    if os.access(file, os.W_OK) and os.access(file.absolute().parent, os.W_OK):
        return False
    return schema_problem(uri, masked(uri), MLFLOW) is None


@contextmanager
def _migration_lock(uri: str) -> Iterator[None]:
    """Hold a lock while a database is opened; a server needs none.

    Processes that open a fresh database at once all run its migrations: an SQLite file is unusable afterwards, and most
    of the processes fail at PostgreSQL.
    """
    file = sqlite_file(uri) if is_sqlite(uri) else None
    if file is not None:
        with FileLock(f"{file.resolve()}.lock"):
            yield
    elif backend(uri) == "postgresql":
        engine = sqlalchemy.create_engine(uri, poolclass=sqlalchemy.NullPool, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:  # the lock ends with the connection
            connection.exec_driver_sql(f"SELECT pg_advisory_lock({MIGRATIONS_LOCK})")
            yield
    else:
        yield


def experiment_id(client: MlflowClient, name: str) -> str:
    """Return the id of an experiment, which is created if there is none.

    Raises:
        TrackingError: The experiment is deleted.
    """
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        try:
            return str(client.create_experiment(name))
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            experiment = client.get_experiment_by_name(name)  # another process was quicker
    if experiment is None or experiment.lifecycle_stage != "active":
        raise TrackingError(
            f"MLflow experiment '{name}' is deleted; bring it back with `mlflow experiments restore`, or set "
            "tracking.experiment to another name"
        )
    return str(experiment.experiment_id)


def all_experiment_ids(client: MlflowClient) -> list[str]:
    """Return the ids of all active experiments."""
    return [str(experiment.experiment_id) for experiment in client.search_experiments(view_type=ViewType.ACTIVE_ONLY)]


def database_problem(uri: str) -> str | None:
    """Return why an SQLAlchemy address cannot be used, or ``None`` if it can; nothing is left behind.

    Raises:
        ModuleNotFoundError: The database's driver is not installed.
    """
    try:
        url = sqlalchemy.make_url(uri)
        if url.get_dialect().is_async:
            return f"{masked(uri)} names an asynchronous driver; write {backend(uri)}:// without it"
        if is_sqlite(uri):
            return _file_problem(uri)
        if "@" in (url.host or ""):  # a part of the password: the driver's message would show it as the host
            return f"{masked(uri)} has one @ too many; write an @ in the user's name or password as %40"
        engine = sqlalchemy.create_engine(url)
        with engine.connect():
            pass
        engine.dispose()
    except sqlalchemy.exc.SQLAlchemyError as error:
        return f"cannot reach {masked(uri)} ({reason(error)}); see that it runs and that its driver is installed"
    return None


def _file_problem(uri: str) -> str | None:
    file = sqlite_file(uri)
    if file is None:
        return f"{masked(uri)} is a database in memory, which no other process sees; name a file"
    database = file.absolute()
    try:
        with tempfile.TemporaryFile(dir=database.parent):
            pass
        if database.exists():
            with database.open("r+b") as opened:
                if opened.read(16) not in (b"", b"SQLite format 3\0"):
                    return f"{database} is not an SQLite database; move it away, or name another"
        engine = sqlalchemy.create_engine(
            sqlalchemy.make_url(uri).set(database=":memory:").difference_update_query(["uri"])
        )
        with engine.connect():  # a wrong value after the ? shows now
            pass
    except OSError as error:
        return f"cannot write {database.name} in {database.parent} ({error.strerror}); go to a folder you can write"
    except (TypeError, ValueError) as error:
        return f"{masked(uri)}: {error}; correct what stands after the ?"
    return None


def _check_database(uri: str) -> None:
    try:
        problem = database_problem(uri) or schema_problem(uri, masked(uri), MLFLOW)
    except ModuleNotFoundError as error:
        problem = f"{masked(uri)} needs the driver '{error.name}'; install it"
    except sqlalchemy.exc.SQLAlchemyError as error:
        problem = f"cannot read {masked(uri)} ({reason(error)}); bring back a copy of it, or name another"
    if problem is not None:
        raise TrackingError(f"MLflow's database: {problem}, or set MLFLOW_TRACKING_URI")


def reason(error: BaseException) -> str:
    """Return what an error says, in one line of at most :data:`REASON_LETTERS`, without a password."""
    # the database's own message: SQLAlchemy and MLflow wrap it into theirs and into the statement
    source = getattr(error.__cause__, "orig", None) or getattr(error, "orig", None) or error
    line = masked(without_password((str(source).strip() or type(source).__name__).splitlines()[0]))
    if "Caused by " in line:  # MLflow repeats the address of a server three times before it gives the cause
        line = line.rpartition("Caused by ")[2].rpartition(": ")[2].strip("()\"' ")
    return line if len(line) <= REASON_LETTERS else f"{line[:REASON_LETTERS]}…"
