"""MLflow's tables in an SQLite file that does not exist yet: made elsewhere, and put in their place whole.

MLflow makes them by some hundred changes, each of which waits for the disk. A process killed in the midst of them would
leave a file that MLflow takes for that of an older version.
"""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy
from mlflow import MlflowClient

from mobilenet_chest.files import copy_whole


def make_database(file: Path) -> None:
    """Make MLflow's tables in a file, unless it has contents.

    Raises:
        OSError: The file, or a temporary one, cannot be written.
        MlflowException: MLflow could not make them.
    """
    if file.exists() and file.stat().st_size:
        return
    with tempfile.TemporaryDirectory(prefix="mobilenet-chest-") as folder:
        draft = Path(folder).resolve() / "mlflow.db"
        with _unsynced(draft):
            MlflowClient(f"sqlite:///{draft}").search_experiments(max_results=1)
        copy_whole(draft, file)


@contextmanager
def _unsynced(file: Path) -> Iterator[None]:
    """Let changes of an SQLite file within the block not wait for the disk."""

    def on_connect(connection: Any, _record: object) -> None:
        if isinstance(connection, sqlite3.Connection):
            opened = {name for _, _, name in connection.execute("PRAGMA database_list")}
            if str(file) in opened:
                connection.execute("PRAGMA synchronous = OFF")

    sqlalchemy.event.listen(sqlalchemy.Engine, "connect", on_connect)
    try:
        yield
    finally:
        sqlalchemy.event.remove(sqlalchemy.Engine, "connect", on_connect)
