"""The study's database: what is refused and how, and that SQLite lets no two processes claim one trial."""

from __future__ import annotations

import multiprocessing
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import optuna
import pytest
import sqlalchemy
from helpers.servers import Postgres
from optuna.storages import RDBStorage

from mobilenet_chest.cli.doctor import run_checks
from mobilenet_chest.config import Config
from mobilenet_chest.errors import MissingExtraError, StudyError, UserError
from mobilenet_chest.sweep import check, run_sweep
from mobilenet_chest.sweep.repair import repair
from mobilenet_chest.sweep.storage import DEFAULT, check_storage, open_storage
from mobilenet_chest.tracking import database as database_module


@contextmanager
def opened(url: str) -> Iterator[RDBStorage]:
    storage = open_storage(url)
    try:
        yield storage
    finally:
        storage.remove_session()
        storage.engine.dispose()


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'optuna.db'}"


# --- what is refused -----------------------------------------------------------------------------------------------


def test_the_default_is_a_file_in_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    check_storage(DEFAULT)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("backend", ["mysql", "mysql+pymysql", "oracle", "redis", "mongodb"])
def test_other_databases_are_refused(backend: str) -> None:
    with pytest.raises(StudyError) as caught:
        check_storage(f"{backend}://ann:hush@127.0.0.1/x")
    assert str(caught.value) == (
        f"--storage {backend}://ann:***@127.0.0.1/x: trials can be claimed safely in sqlite:/// and postgresql:// only"
    )


@pytest.mark.parametrize("url", ["optuna.db", "", "sqlite", "/var/optuna.db"])
def test_what_is_not_an_address_is_refused(url: str) -> None:
    with pytest.raises(StudyError) as caught:
        check_storage(url)
    assert str(caught.value) == f"--storage {url}: not a database address; for example sqlite:///optuna.db"


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:"])
def test_a_database_that_no_worker_could_see_is_refused(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StudyError):
        check_storage(url)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ann:hush@127.0.0.1:9/x",
        "postgresql+psycopg2://ann:hush@127.0.0.1:9/x",
        "postgresql+nodriver://ann:hush@127.0.0.1:9/x",
        "postgresql://ann:hush@127.0.0.1:port/x",
        "postgresql//ann:hush@127.0.0.1/x",
        "postgresql://ann:hu#sh@127.0.0.1:9/x",
        "postgresql://ann:hu/sh@127.0.0.1:9/x",
    ],
)
def test_postgresql_that_cannot_be_used_is_refused_without_its_password(url: str) -> None:
    with pytest.raises((StudyError, MissingExtraError)) as caught:
        check_storage(url)
    message = str(caught.value)
    assert "sh@" not in message
    assert "\n" not in message


def test_a_missing_postgresql_driver_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(MissingExtraError) as caught:
        check_storage("postgresql+psycopg://ann:hush@127.0.0.1:9/x")
    assert str(caught.value) == (
        "--storage postgresql+psycopg://ann:***@127.0.0.1:9/x needs packages that are not installed; "
        "type: pip install -e '.[postgresql]'"
    )


def test_a_missing_folder_and_a_folder_for_a_file_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none" / "optuna.db", tmp_path):
        with pytest.raises(StudyError):
            check_storage(f"sqlite:///{path}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/sys takes no files, not even from root")
def test_a_folder_that_cannot_be_written_is_refused() -> None:
    with pytest.raises(StudyError, match=r"optuna\.db .*/sys\b"):
        check_storage("sqlite:////sys/optuna.db")


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "optuna.db"
    path.write_bytes(b"not a database" * 100)
    with pytest.raises(UserError):
        check_storage(f"sqlite:///{path}")
    assert path.read_bytes() == b"not a database" * 100


# --- PostgreSQL ----------------------------------------------------------------------------------------------------


def test_a_password_from_the_users_own_file(
    postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = postgres.create().rpartition("/")[2]
    url = postgres.url(database, password=False)
    with pytest.raises(StudyError, match=r"--storage: .*postgresql\+psycopg://tester@127\.0\.0\.1.*password"):
        check_storage(url)
    kept = tmp_path / ".pgpass"
    kept.write_text(f"127.0.0.1:{postgres.port}:*:{postgres.user}:{postgres.password}\n", encoding="utf-8")
    kept.chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    check_storage(url)
    with opened(url) as storage:
        assert optuna.create_study(study_name="s", storage=storage).ask().number == 0


def test_a_wrong_password_is_not_shown(postgres: Postgres) -> None:
    with pytest.raises(StudyError, match="password authentication failed") as caught:
        check_storage(postgres.url("postgres").replace(postgres.password, "s3cret"))
    assert "s3cret" not in str(caught.value)


@pytest.mark.slow
def test_a_restart_between_two_calls(postgres: Postgres) -> None:
    with opened(postgres.create()) as storage:
        study = optuna.create_study(study_name="s", storage=storage)
        trial = study.ask()
        postgres.restart()
        trial.report(0.5, 1)
        study.tell(trial, 1.0)
        assert [t.value for t in study.get_trials()] == [1.0]


# --- transactions --------------------------------------------------------------------------------------------------


def test_a_transaction_begins_as_a_writer(url: str) -> None:
    with opened(url) as storage, opened(url) as other:
        begun: list[str] = []
        sqlalchemy.event.listen(storage.engine, "before_cursor_execute", lambda *arguments: begun.append(arguments[2]))
        with storage.engine.connect() as connection:
            connection.execute(sqlalchemy.text("SELECT 1"))
            # nothing was written, and yet nobody else can begin
            with other.engine.connect() as late:
                late.connection.dbapi_connection.execute("PRAGMA busy_timeout = 0")  # type: ignore[union-attr]
                with pytest.raises(sqlalchemy.exc.OperationalError, match="locked"):
                    late.execute(sqlalchemy.text("SELECT 1"))
        assert begun[0] == "BEGIN IMMEDIATE"


def take_all(url: str, results: multiprocessing.queues.Queue[list[int]]) -> None:
    """Ask for queued trials until there are none, without this package's own lock: SQLite alone must suffice."""
    with opened(url) as storage:
        study = optuna.load_study(study_name="s", storage=storage)
        taken = []
        while (number := study._pop_waiting_trial_id()) is not None:
            taken.append(number)
    results.put(taken)


@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
def test_no_queued_trial_is_claimed_twice(url: str) -> None:
    with opened(url) as storage:
        study = optuna.create_study(study_name="s", storage=storage)
        for index in range(40):
            study.enqueue_trial({"x": index})
    context = multiprocessing.get_context("fork")
    results: multiprocessing.queues.Queue[list[int]] = context.Queue()
    processes = [context.Process(target=take_all, args=(url, results)) for _ in range(4)]
    for process in processes:
        process.start()
    taken = [results.get(timeout=40) for _ in processes]
    for process in processes:
        process.join(timeout=60)
    results.close()
    results.join_thread()
    assert [process.exitcode for process in processes] == [0] * 4
    every = [number for numbers in taken for number in numbers]
    assert len(every) == len(set(every)) == 40


def another_version(revision: str | None) -> None:
    """Make a study's database in the working folder, with tables of another version."""
    storage = open_storage("sqlite:///optuna.db")
    storage.remove_session()
    storage.engine.dispose()
    with closing(sqlite3.connect("optuna.db")) as database, database:
        if revision is None:
            database.execute("DROP TABLE alembic_version")
        else:
            database.execute("UPDATE alembic_version SET version_num = ?", [revision])


@pytest.mark.parametrize(
    ("revision", "part"),
    [
        ("v3.0.0.d", "optuna storage upgrade --storage sqlite:///optuna.db"),
        (None, "optuna storage upgrade"),
        ("v9.0.0.a", "pip install -U optuna"),
    ],
)
def test_tables_of_another_optuna(
    here: Path, tiny_search: Callable[..., Config], monkeypatch: pytest.MonkeyPatch, revision: str | None, part: str
) -> None:
    another_version(revision)
    monkeypatch.setattr(database_module, "MAKING_SECONDS", 0.2)
    before = Path("optuna.db").read_bytes()
    config = tiny_search({"stage2.lr": {"low": 1e-4, "high": 1e-2}})
    for attempt in (
        lambda: check_storage(DEFAULT), lambda: check(config), lambda: run_sweep(config), lambda: repair(),
        lambda: check(config, "sqlite+pysqlite:///optuna.db?timeout=60"),
    ):  # fmt: skip
        with pytest.raises(StudyError) as caught:
            attempt()
        assert part.replace("///", "") in str(caught.value).replace("+pysqlite", "").replace("///", "")
        assert "\n" not in str(caught.value)
    if revision is not None:
        with pytest.raises(StudyError, match=r"tables of sqlite:///optuna\.db were made by"):
            open_storage(DEFAULT)
    assert [(c.ok, part in c.detail) for c in run_checks() if c.what == "study storage"] == [(False, True)]
    assert Path("optuna.db").read_bytes() == before


def test_a_database_of_mlflow_is_no_study_storage(here: Path) -> None:
    with pytest.raises(StudyError, match="MLflow; give studies a database of their own"):
        check_storage("sqlite:///mlflow.db")


def test_an_old_database_after_its_upgrade(here: Path) -> None:
    another_version("v3.0.0.d")
    command = [sys.executable, "-c", "from optuna.cli import main; main()", "storage", "upgrade", "--storage", DEFAULT]
    upgraded = subprocess.run(command, capture_output=True, check=False)
    assert upgraded.returncode == 0, upgraded.stderr
    check_storage(DEFAULT)
