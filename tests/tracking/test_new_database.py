"""MLflow's tables in a new SQLite file: as MLflow makes them, whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy
from mlflow import MlflowClient

from mobilenet_chest.tracking import new_database
from mobilenet_chest.tracking.database import age, read_schema, revisions
from mobilenet_chest.tracking.new_database import make_database
from mobilenet_chest.tracking.store import MIGRATIONS, MLFLOW_TABLES


def synchronous(file: Path) -> int:
    engine = sqlalchemy.create_engine(f"sqlite:///{file}", poolclass=sqlalchemy.NullPool)
    with engine.connect() as connection:
        return int(connection.exec_driver_sql("PRAGMA synchronous").scalar_one())


def test_the_tables_are_those_of_the_installed_mlflow(tmp_path: Path) -> None:
    file = tmp_path / "ä b.db"
    make_database(file)
    schema = read_schema(f"sqlite:///{file}")
    assert schema is not None
    assert schema.revision == revisions(MIGRATIONS).head
    assert age(schema, revisions(MIGRATIONS), MLFLOW_TABLES) is None
    assert [path.name for path in tmp_path.iterdir()] == [file.name]
    before = file.read_bytes()
    (experiment,) = MlflowClient(f"sqlite:///{file}").search_experiments()
    assert (experiment.experiment_id, experiment.name) == ("0", "Default")
    make_database(file)  # it has contents by now
    assert file.read_bytes() == before


def test_a_creation_that_ends_in_the_midst_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def half(uri: str) -> MlflowClient:
        Path(uri.removeprefix("sqlite:///")).write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(new_database, "MlflowClient", half)
    with pytest.raises(KeyboardInterrupt):
        make_database(tmp_path / "mlflow.db")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("waiting_for_the_disk")
def test_only_the_draft_does_not_wait_for_the_disk(tmp_path: Path) -> None:
    draft, other = tmp_path.resolve() / "draft.db", tmp_path.resolve() / "other.db"
    usual = synchronous(draft)
    with new_database._unsynced(draft):
        assert (synchronous(draft), synchronous(other)) == (0, usual)
    assert synchronous(draft) == usual != 0
