"""Databases by their SQLAlchemy addresses: of which kind they are, in which file, and the version of their tables.

An address has many forms (``sqlite:///a.db?timeout=60``, ``sqlite+pysqlite:///a.db``, ``sqlite:///file:a.db?uri=true``),
so it is parsed here, and cut as text nowhere.
"""

from __future__ import annotations

import ast
import re
import sqlite3
import time
from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, unquote, urlsplit

import sqlalchemy

_REVISIONS = "alembic_version"
"""Table in which both MLflow and Optuna note the version of their tables."""

_REVISION = re.compile(
    r"""^(down_revision|revision)\s*(?::[^=\n]+)?=\s*(None|\([^)]*\)|["'][^"'\n]*["'])""", re.MULTILINE
)
"""What a migration says of itself: its version, and those that it follows."""

MAKING_SECONDS = 20.0
"""How long tables without a version may be those that another process is making: it notes the version at the end."""


class Revisions(NamedTuple):
    """Versions of a library's tables.

    Attributes:
        head: That the installed library needs.
        known: All that it can upgrade from, with the head.
    """

    head: str
    known: frozenset[str]


class Schema(NamedTuple):
    """What a database holds.

    Attributes:
        tables: Names of its tables.
        revision: Version of the tables; ``None`` where none is noted.
    """

    tables: frozenset[str]
    revision: str | None


def backend(address: str) -> str:
    """Return the kind of database that an address names, such as ``sqlite``; empty for what is no such address."""
    try:
        return sqlalchemy.make_url(address).get_backend_name()
    except (sqlalchemy.exc.ArgumentError, ValueError):
        return ""


def is_sqlite(address: str) -> bool:
    """Return whether an address names an SQLite database."""
    return backend(address) == "sqlite"


def sqlite_file(address: str) -> Path | None:
    """Return the file of an SQLite address, as it is written there; ``None`` for a database in memory."""
    url = sqlalchemy.make_url(address)
    database = url.database or ""
    if database.startswith("file:"):  # SQLite's own form of addresses, with uri=true
        if url.query.get("mode") == "memory":
            return None
        database = unquote(urlsplit(database).path)
    return None if database in ("", ":memory:") else Path(database)


def read_schema(address: str) -> Schema | None:
    """Return what a database holds; ``None`` for an SQLite file that does not exist or is empty.

    Nothing is written to it, but what a killed process has left half written is undone.

    Raises:
        sqlalchemy.exc.SQLAlchemyError: It cannot be reached or read.
        ModuleNotFoundError: Its driver is not installed.
    """
    if not is_sqlite(address):
        return _schema(sqlalchemy.create_engine(address, poolclass=sqlalchemy.NullPool))
    file = sqlite_file(address)
    if file is None or not file.exists() or not file.stat().st_size:
        return None
    try:
        return _schema(_sqlite_engine(file, "ro"))
    except sqlalchemy.exc.OperationalError:
        # what a killed process had begun to write must be undone before anybody can read, and that is to write
        if not Path(f"{file}-journal").exists():
            raise
        return _schema(_sqlite_engine(file, "rw"))


def _sqlite_engine(file: Path, mode: str) -> sqlalchemy.Engine:
    address = f"file:{quote(str(file.absolute()))}?mode={mode}"
    return sqlalchemy.create_engine(
        "sqlite://", creator=lambda: sqlite3.connect(address, uri=True, timeout=60), poolclass=sqlalchemy.NullPool
    )


def _schema(engine: sqlalchemy.Engine) -> Schema:
    with engine.connect() as connection:
        tables = frozenset(sqlalchemy.inspect(connection).get_table_names())
        if _REVISIONS not in tables:
            return Schema(tables, None)
        return Schema(tables, connection.exec_driver_sql(f"SELECT version_num FROM {_REVISIONS}").scalar())


@lru_cache
def revisions(folder: Path) -> Revisions:
    """Return the versions of tables that a folder of Alembic's migrations knows.

    They are read from the texts of the migrations. Alembic runs all of them, which takes half a second.

    Raises:
        ValueError: The migrations have no single newest one.
    """
    named: dict[str, set[str]] = {"revision": set(), "down_revision": set()}
    for file in sorted((folder / "versions").glob("*.py")):
        for name, text in _REVISION.findall(file.read_text(encoding="utf-8")):
            value = ast.literal_eval(text)
            named[name].update(value if isinstance(value, tuple) else [value])
    heads = named["revision"] - named["down_revision"]
    if len(heads) != 1:
        raise ValueError(f"{folder}: {len(heads)} migrations are followed by no other, instead of one")
    return Revisions(heads.pop(), frozenset(named["revision"]))


def age(schema: Schema, versions: Revisions, own: Collection[str]) -> str | None:
    """Return how the tables of a database differ from what a library needs.

    Args:
        schema: What the database holds.
        versions: What the library knows.
        own: Tables that the library has in every version.

    Returns:
        ``older``, ``newer``, or ``foreign`` for the versioned tables of another program; ``None`` where the library can
        use the database, since its tables fit, or since it will make them.
    """
    present = set(own) <= schema.tables
    if schema.revision is None:
        return "older" if present else None
    if schema.revision == versions.head:
        return None
    if schema.revision in versions.known:
        return "older"
    return "newer" if present else "foreign"


@dataclass(frozen=True)
class Program:
    """A library that keeps versioned tables in a database.

    Attributes:
        name: As its messages have it; in small letters it is its package.
        version: Of the installed package.
        migrations: Folder of Alembic's migrations.
        tables: Tables that it has in every version.
        upgrade: Command that upgrades the tables of the address put behind it.
        other: A program whose tables might be there instead.
        advice: What to do then.
    """

    name: str
    version: str
    migrations: Path
    tables: tuple[str, ...]
    upgrade: str
    other: str
    advice: str


def schema_problem(address: str, shown: str, program: Program) -> str | None:
    """Return why a program cannot use the tables of a database, with the way out; ``None`` if it can.

    Args:
        address: Of the database.
        shown: The address without a password.
        program: Whose tables they should be.

    Raises:
        sqlalchemy.exc.SQLAlchemyError: The database cannot be read.
    """
    schema, deadline = read_schema(address), time.monotonic() + MAKING_SECONDS
    while (
        schema is not None and schema.revision is None and set(program.tables) <= schema.tables
        and time.monotonic() < deadline
    ):  # fmt: skip
        time.sleep(0.1)
        schema = read_schema(address)
    state = None if schema is None else age(schema, revisions(program.migrations), program.tables)
    if state is None or schema is None:
        return None
    if state == "older":
        return (
            f"the tables of {shown} were made by an older {program.name}; copy the database, then type: "
            f"{program.upgrade} {shown}"
        )
    if state == "newer":
        return (
            f"the tables of {shown} were made by a newer {program.name} than {program.version} (version "
            f"{schema.revision}); type: pip install -U {program.name.lower()}"
        )
    return f"{shown} holds the tables of another program, such as {program.other}; {program.advice}"
