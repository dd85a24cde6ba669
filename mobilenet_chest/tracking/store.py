"""Reaching MLflow: where it is, whether it answers and can be written, its databases made once."""

from __future__ import annotations

import logging
import os
import re
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
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

logger = logging.getLogger(__name__)

ANSWER_SECONDS = 5.0
"""How long a server may take to say that it is well."""

REQUEST_SECONDS = 5
"""How long a store may take to answer a request that cannot be kept for later."""

MIGRATIONS_LOCK = 1_296_844_364
"""Key of PostgreSQL's advisory lock on making MLflow's tables; any number that nothing else in the database uses."""

REASON_LETTERS = 300


def _quieten() -> None:
    """What MLflow prints, on stdout too, where ``--json`` has its one document."""
    # bars for files of this machine's own disk, one after the other, would bury what a command says
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    # at the end of a run the server's address, with the password in it
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")


_quieten()  # for those that make a client of their own, too


def tracking_uri() -> str:
    """Where MLflow's own variables say; MLflow's default (``mlflow.db`` in the working folder) otherwise."""
    return str(mlflow.get_tracking_uri())


def masked(uri: str) -> str:
    """``uri`` without its password, in front of the host or in the query, for people and logs."""
    hidden = re.sub(r"(?<=://)([^:/@]*):.*@", r"\1:***@", uri)
    return re.sub(r"(?i)([?&][^=&#]*(?:pass|pwd|secret|token|key)[^=&#]*=)[^&#\s]*", r"\1***", hidden)


def without_password(text: str) -> str:
    """A text in which MLflow may have put the address of its store, password and all."""
    uri = tracking_uri().rstrip("/")
    return text.replace(uri, masked(uri))


@contextmanager
def as_tracking_lost() -> Iterator[None]:
    """What the store fails with in the midst of it becomes an error of this package, in a line without a password.

    Raises:
        TrackingLost: It said no, or does not answer any more.
    """
    try:
        yield
    except (MlflowException, requests.RequestException) as error:
        raise TrackingLost(
            f"tracking store {masked(tracking_uri())}: {reason(error)}; see that it runs, then give the same command "
            "again"
        ) from error


@contextmanager
def store_required(timeout: int = REQUEST_SECONDS) -> Iterator[None]:
    """For what cannot be kept for later: making a run, taking it over, reading what it has.

    Args:
        timeout: Seconds that the store may take for an answer, twice at most.

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
            f"tracking store {masked(tracking_uri())} is away ({reason(error)}); give the same command again when it "
            "is back"
        ) from error


def check_reachable() -> None:
    """See that the tracking store can be used, in seconds and without leaving anything behind.

    Raises:
        TrackingError: It does not answer, cannot be written, or is of a kind MLflow no longer has.
    """
    uri = tracking_uri()
    scheme = uri.partition(":")[0].lower() if ":" in uri else ""
    if scheme in ("http", "https"):
        _check_server(uri)
    elif scheme == "sqlite":
        _check_database(uri)
    elif scheme in ("", "file"):
        raise TrackingError(
            f"MLFLOW_TRACKING_URI={masked(uri)}: MLflow has no file store any more; set sqlite:///mlflow.db, a "
            "server's http:// address, or unset the variable"
        )
    else:
        _check_database(uri)


def wait_reachable(seconds: float) -> None:
    """Wait for a tracking store that is away, with a line on stderr when there is something to wait for.

    Raises:
        TrackingError: It is still away after that many seconds, as :func:`check_reachable` says it.
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


def connect() -> MlflowClient:
    """A client of a store that exists and answers; a fresh database is made by one process at a time.

    Raises:
        TrackingError: As :func:`check_reachable`.
    """
    check_reachable()
    _quieten()
    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
    uri = tracking_uri()
    try:
        with _alone(uri), answer_within(None):
            client = MlflowClient()
            client.search_experiments(max_results=1)  # opens the store, which runs the migrations of a fresh one
    except (MlflowException, OSError, sqlalchemy.exc.SQLAlchemyError) as error:
        raise TrackingError(f"tracking store {masked(uri)}: {reason(error)}; see `mobilenet-chest doctor`") from error
    return client


@contextmanager
def _alone(uri: str) -> Iterator[None]:
    """One process at a time at a database: those that open a fresh one at once all run its migrations, which leaves an
    SQLite file unusable and fails most of them at PostgreSQL. A server sees to it itself."""
    if uri.startswith("sqlite:"):
        with FileLock(f"{sqlite_path(uri)}.lock"):
            yield
    elif uri.startswith("postgresql"):
        engine = sqlalchemy.create_engine(uri, poolclass=sqlalchemy.NullPool, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:  # the lock ends with the connection
            connection.exec_driver_sql(f"SELECT pg_advisory_lock({MIGRATIONS_LOCK})")
            yield
    else:
        yield


def experiment_id(client: MlflowClient, name: str) -> str:
    """The id of an experiment, made when there is none.

    Raises:
        TrackingError: It exists, deleted.
    """
    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return str(client.create_experiment(name))
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            found = client.get_experiment_by_name(name)  # another process was quicker
    if found is None or found.lifecycle_stage != "active":
        raise TrackingError(
            f"MLflow experiment '{name}' is deleted; bring it back with `mlflow experiments restore`, or set "
            "tracking.experiment to another name"
        )
    return str(found.experiment_id)


def all_experiment_ids(client: MlflowClient) -> list[str]:
    """Ids of all active experiments."""
    return [str(experiment.experiment_id) for experiment in client.search_experiments(view_type=ViewType.ACTIVE_ONLY)]


def sqlite_path(uri: str) -> Path:
    """File of a ``sqlite:///`` address."""
    return Path(sqlalchemy.make_url(uri).database or "mlflow.db")


def _check_server(uri: str) -> None:
    try:
        answer = requests.get(uri.rstrip("/") + "/health", timeout=ANSWER_SECONDS)
    except requests.RequestException as error:
        raise TrackingError(
            f"no tracking server answers at {masked(uri)} ({type(error).__name__}); start one with `mlflow server`, or "
            "unset MLFLOW_TRACKING_URI to use a local file"
        ) from error
    if answer.status_code >= 500:
        raise TrackingError(f"the tracking server at {masked(uri)} answers HTTP {answer.status_code}; see its own log")


def database_problem(uri: str) -> str | None:
    """Why an SQLAlchemy address cannot be used, in a few words; ``None`` when it can. Leaves nothing behind.

    Raises:
        ModuleNotFoundError: The database's driver is not installed.
    """
    try:
        url = sqlalchemy.make_url(uri)
        if url.get_backend_name() == "sqlite":
            return _file_problem(Path(url.database or "").absolute())
        if "@" in (url.host or ""):  # a part of the password, which the driver's own message would show as the host
            return f"{masked(uri)} has an @ too many; write one in the user's name or password as %40"
        engine = sqlalchemy.create_engine(url)
        with engine.connect():
            pass
        engine.dispose()
    except sqlalchemy.exc.SQLAlchemyError as error:
        return f"cannot reach {masked(uri)} ({reason(error)}); see that it runs and that its driver is installed"
    return None


def _file_problem(database: Path) -> str | None:
    try:
        with tempfile.TemporaryFile(dir=database.parent):
            pass
        if database.exists():
            with database.open("r+b") as file:
                if file.read(16) not in (b"", b"SQLite format 3\0"):
                    return f"{database} is not an SQLite database; move it away, or name another"
    except OSError as error:
        return f"cannot write {database.name} in {database.parent} ({error.strerror}); go to a folder you can write"
    return None


def _check_database(uri: str) -> None:
    try:
        problem = database_problem(uri)
    except ModuleNotFoundError as error:
        problem = f"{masked(uri)} needs the driver '{error.name}'; install it"
    if problem is not None:
        raise TrackingError(f"MLflow's database: {problem}, or set MLFLOW_TRACKING_URI")


def reason(error: BaseException) -> str:
    """What an error says, in a line, without a password."""
    # a database's own words, which SQLAlchemy and MLflow wrap into their own and into the statement
    said = getattr(error.__cause__, "orig", None) or getattr(error, "orig", None) or error
    line = masked(without_password((str(said).strip() or type(said).__name__).splitlines()[0]))
    if "Caused by " in line:  # of a server that cannot be reached MLflow tells the address three times before the cause
        line = line.rpartition("Caused by ")[2].rpartition(": ")[2].strip("()\"' ")
    return line if len(line) <= REASON_LETTERS else f"{line[:REASON_LETTERS]}…"
