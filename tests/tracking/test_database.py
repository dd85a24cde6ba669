"""Databases by their addresses: every form of an address names the same file; tables of other versions are found."""

from __future__ import annotations

import shutil
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory

from mobilenet_chest.errors import TrackingError
from mobilenet_chest.sweep.storage import MIGRATIONS as OPTUNA_MIGRATIONS
from mobilenet_chest.tracking import database as database_module
from mobilenet_chest.tracking.database import (
    Revisions,
    Schema,
    age,
    backend,
    is_sqlite,
    read_schema,
    revisions,
    schema_problem,
    sqlite_file,
)
from mobilenet_chest.tracking.store import MIGRATIONS, MLFLOW, check_reachable, connect

FORMS = [
    "sqlite:///{}", "sqlite:///{}?timeout=60", "sqlite+pysqlite:///{}", "sqlite+pysqlite:///{}?timeout=60",
    "sqlite:///file:{}?uri=true", "sqlite:///file:{}?timeout=60&uri=true",
]  # fmt: skip


@pytest.mark.parametrize("folder", [MIGRATIONS, OPTUNA_MIGRATIONS], ids=["mlflow", "optuna"])
def test_versions_are_those_that_alembic_finds(folder: Path) -> None:
    scripts = ScriptDirectory(str(folder))
    known = frozenset(script.revision for script in scripts.walk_revisions())
    assert revisions(folder) == Revisions(str(scripts.get_current_head()), known)


def test_migrations_of_another_form_are_noticed(tmp_path: Path) -> None:
    (tmp_path / "versions").mkdir()
    for name, text in {
        "a": 'revision: str = "a"\ndown_revision = None\n',
        "b": "revision='b'\ndown_revision='a'\n",
    }.items():
        (tmp_path / "versions" / f"{name}.py").write_text(text)
    assert revisions(tmp_path) == Revisions("b", frozenset("ab"))
    revisions.cache_clear()
    (tmp_path / "versions" / "c.py").write_text('revision = "c"\ndown_revision = (\n    "a",\n)\n')
    with pytest.raises(ValueError, match="2 migrations"):
        revisions(tmp_path)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("path", ["a.db", "b/a.db", "/b/a b.db"])
def test_the_file_of_an_address(form: str, path: str) -> None:
    assert sqlite_file(form.format(path)) == Path(path)
    assert is_sqlite(form.format(path))


@pytest.mark.parametrize("address", ["sqlite://", "sqlite:///:memory:", "sqlite:///file:x?mode=memory&uri=true"])
def test_a_database_in_memory_has_no_file(address: str) -> None:
    assert sqlite_file(address) is None


def test_kinds_of_databases() -> None:
    assert backend("postgresql+psycopg://ann:pw@host/db?x=1") == "postgresql"
    assert backend("nothing") == ""
    assert not is_sqlite("postgresql://sqlite/db")


def change(revision: str | None, tables: tuple[str, ...] = ()) -> None:
    """Give MLflow's database in the working folder another version, or drop it."""
    with closing(sqlite3.connect("mlflow.db")) as database, database:
        if revision is None:
            database.execute("DROP TABLE alembic_version")
        else:
            database.execute("UPDATE alembic_version SET version_num = ?", [revision])
        for table in tables:
            database.execute(f"DROP TABLE {table}")


def test_a_fresh_database_has_the_head_of_mlflow(tracking: Path) -> None:
    schema = read_schema("sqlite:///mlflow.db")
    assert schema is not None
    assert schema.revision == revisions(MIGRATIONS).head
    assert {"experiments", "runs", "metrics"} <= schema.tables


@pytest.mark.parametrize(
    ("revision", "part"),
    [("7ac759974ad8", "mlflow db upgrade sqlite"), ("ffffffffffff", "pip install -U mlflow"), (None, "older")],
)
@pytest.mark.parametrize("form", FORMS)
def test_tables_of_another_version(
    tracking: Path, monkeypatch: pytest.MonkeyPatch, revision: str | None, part: str, form: str
) -> None:
    change(revision)
    monkeypatch.setattr(database_module, "MAKING_SECONDS", 0.2)
    before = Path("mlflow.db").read_bytes()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", form.format(tracking / "mlflow.db"))
    for attempt in (check_reachable, connect):
        with pytest.raises(TrackingError) as caught:
            attempt()
        assert part in str(caught.value)
        assert "\n" not in str(caught.value)
    assert Path("mlflow.db").read_bytes() == before


@pytest.mark.parametrize("noted", [revisions(MIGRATIONS).head, "7ac759974ad8"])
def test_tables_that_another_process_is_making_are_waited_for(
    tracking: Path, monkeypatch: pytest.MonkeyPatch, noted: str
) -> None:
    monkeypatch.setattr(database_module, "MAKING_SECONDS", 60.0)  # far more than what follows takes
    change(None)

    def note_version() -> None:
        with closing(sqlite3.connect("mlflow.db")) as database, database:
            database.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
            database.execute("INSERT INTO alembic_version VALUES (?)", [noted])

    timer = threading.Timer(0.5, note_version)
    timer.start()
    problem = schema_problem("sqlite:///mlflow.db", "mine", MLFLOW)
    timer.join()
    assert (problem is None) == (noted == revisions(MIGRATIONS).head)


def test_what_a_killed_writer_left_half_written_is_undone(tmp_path: Path) -> None:
    file, copy = tmp_path / "a.db", tmp_path / "b.db"
    with closing(sqlite3.connect(file)) as database:
        database.execute("CREATE TABLE first (x)")
        database.commit()
        database.execute("PRAGMA cache_size = 1")  # so that the transaction is in the file before its end
        database.execute("BEGIN")
        database.execute("CREATE TABLE second (x)")
        database.executemany("INSERT INTO second VALUES (?)", [("x" * 2000,)] * 50)
        shutil.copy(file, copy)  # what a kill would leave at this moment
        shutil.copy(f"{file}-journal", f"{copy}-journal")
        database.rollback()
    assert copy.stat().st_size > 50 * 2000
    assert read_schema(f"sqlite:///{copy}") == Schema(frozenset({"first"}), None)
    assert not Path(f"{copy}-journal").exists()


def test_a_damaged_database(tracking: Path) -> None:
    whole = Path("mlflow.db").read_bytes()
    Path("mlflow.db").write_bytes(whole[:100] + b"\xff" * 8000 + whole[8100:])
    with pytest.raises(TrackingError, match="cannot read sqlite:///"):
        check_reachable()


@pytest.mark.parametrize("address", ["sqlite:///a.db?timeout=long", "sqlite+aiosqlite:///a.db", "sqlite://"])
def test_addresses_that_cannot_be_used(tracking: Path, monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    with pytest.raises(TrackingError) as caught:
        check_reachable()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("tables", "revision", "expected"),
    [
        ({"own"}, "b", None), ({"own"}, "a", "older"), ({"own"}, None, "older"), ({"own"}, "c", "newer"),
        ({"other"}, "c", "foreign"), ({"other"}, None, None), ({"other"}, "b", None),
    ],
)  # fmt: skip
def test_age(tables: set[str], revision: str | None, expected: str | None) -> None:
    versions = Revisions("b", frozenset({"a", "b"}))
    assert age(Schema(frozenset(tables), revision), versions, ["own"]) == expected
