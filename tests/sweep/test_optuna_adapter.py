"""What Optuna keeps private and this package uses: each name has a test that fails when a new Optuna changes it."""

from __future__ import annotations

import functools
import inspect
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import optuna
import pytest
import sqlalchemy
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import BaseStorage, RDBStorage, _cached_storage
from optuna.trial import TrialState

import mobilenet_chest
from mobilenet_chest.errors import WriteFailed
from mobilenet_chest.sweep import optuna_adapter, retries
from mobilenet_chest.sweep.optuna_adapter import (
    CALLED_BY_CACHE,
    RETRIED,
    RetryingStorage,
    one_look,
    queued_values,
    set_attributes,
    set_study_system_attribute,
    stored_state,
    stored_trial,
    study_system_attributes,
    trial_id,
    trials_once_read,
)
from mobilenet_chest.sweep.storage import open_storage

HEARTBEATS = {
    "_get_stale_trial_ids", "get_heartbeat_interval", "get_heartbeat_stale_trial_callback", "record_heartbeat",
}  # fmt: skip
"""Of Optuna's own heartbeat, which is off: the leases of this package fence writes, too."""


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[RDBStorage]:
    storage = open_storage(f"sqlite:///{tmp_path / 'optuna.db'}")
    yield storage
    storage.remove_session()
    storage.engine.dispose()


@pytest.fixture
def study(storage: RDBStorage) -> optuna.Study:
    """The second study of its storage: ids and numbers of its trials differ."""
    optuna.create_study(study_name="first", storage=storage).ask()
    return optuna.create_study(study_name="second", storage=storage)


# --- the storage ---------------------------------------------------------------------------------------------------


def test_every_method_that_optuna_calls_is_retried() -> None:
    called = set(re.findall(r"self\._backend\.(\w+)", inspect.getsource(_cached_storage)))
    assert called - HEARTBEATS <= set(RETRIED)
    assert set(BaseStorage.__abstractmethods__) <= set(RETRIED)


@pytest.mark.parametrize("name", RETRIED)
def test_a_retried_method_is_one_of_optunas(name: str) -> None:
    original = getattr(RDBStorage, name)
    assert inspect.unwrap(getattr(RetryingStorage, name)) is original
    assert getattr(RetryingStorage, name) is not original


@pytest.mark.parametrize("name", CALLED_BY_CACHE)
def test_what_the_cache_calls_is_still_called(name: str) -> None:
    assert f"self._backend.{name}(" in inspect.getsource(_cached_storage)


def test_a_locked_database_delays_a_call(
    study: optuna.Study, storage: RDBStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[str] = []

    @sqlalchemy.event.listens_for(storage.engine, "before_cursor_execute")
    def locked_twice(connection: object, cursor: object, statement: str, *_: object) -> None:
        begun.append(statement)
        if len(begun) <= 2:
            original = sqlite3.OperationalError("database is locked")
            original.sqlite_errorcode = sqlite3.SQLITE_BUSY
            raise sqlalchemy.exc.OperationalError(statement, {}, original)

    monkeypatch.setattr(retries, "RETRY_SECONDS", 0.0)
    study.set_user_attr("name", "value")
    sqlalchemy.event.remove(storage.engine, "before_cursor_execute", locked_twice)
    assert study.user_attrs == {"name": "value"}
    assert len(begun) > 2


def test_a_result_that_was_committed_before_the_connection_was_lost_is_not_an_error(
    study: optuna.Study, storage: RDBStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retries, "RETRY_SECONDS", 0.0)
    trial = study.ask()
    original = inspect.unwrap(RetryingStorage.set_trial_state_values)
    calls: list[int] = []

    @functools.wraps(original)
    def committed_then_lost(self: RDBStorage, *arguments: object, **options: object) -> object:
        calls.append(1)
        answer = original(self, *arguments, **options)
        if len(calls) == 1:
            raise sqlalchemy.exc.DBAPIError("COMMIT", {}, Exception("gone"), connection_invalidated=True)
        return answer

    monkeypatch.setattr(RetryingStorage, "set_trial_state_values", optuna_adapter._retried(committed_then_lost))
    study.tell(trial, 0.5)
    assert len(calls) == 2
    assert study.trials[0].state == TrialState.COMPLETE
    with pytest.raises(UpdateFinishedTrialError):  # a second result is still an error
        storage.set_trial_state_values(trial_id(trial), TrialState.FAIL)


def test_a_full_database_is_reported_at_once_and_stays_whole(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'full.db'}"
    storage = open_storage(url)
    study = optuna.create_study(storage=storage, study_name="full")
    study.add_trial(optuna.trial.create_trial(value=0.5))
    storage.engine.dispose()

    @sqlalchemy.event.listens_for(storage.engine, "connect")
    def no_room(connection: sqlite3.Connection, _record: object) -> None:
        connection.execute("PRAGMA max_page_count = 1")  # SQLite takes it for as many pages as there are

    with pytest.raises(WriteFailed) as raised:
        study.set_user_attr("long", "x" * 1_000_000)
    full = getattr(raised.value.__cause__ and raised.value.__cause__.__cause__, "orig", None)
    assert isinstance(full, sqlite3.Error)
    assert full.sqlite_errorcode == sqlite3.SQLITE_FULL
    assert str(full) in str(raised.value)
    storage.remove_session()
    storage.engine.dispose()
    again = open_storage(url)
    study = optuna.load_study(storage=again, study_name="full")
    assert ([trial.value for trial in study.trials], study.user_attrs) == ([0.5], {})
    again.remove_session()
    again.engine.dispose()


# --- trials --------------------------------------------------------------------------------------------------------


def test_the_id_of_a_trial(study: optuna.Study, storage: RDBStorage) -> None:
    study.ask()
    trial = study.ask()
    study_id = storage.get_study_id_from_name("second")
    in_storage = storage.get_trial_id_from_study_id_trial_number(study_id, trial.number)
    assert trial_id(trial) == trial_id(study.trials[1]) == in_storage != trial.number


def test_a_trial_as_the_storage_has_it(study: optuna.Study) -> None:
    trial = study.ask()
    before = study.trials[0]
    study.tell(trial, 0.5)
    for stale in (trial, before):
        assert stored_trial(study, stale).state == TrialState.COMPLETE


def test_state_and_some_attributes_of_a_trial(study: optuna.Study, storage: RDBStorage) -> None:
    trial, other = study.ask(), optuna.load_study(study_name="second", storage=storage)
    assert stored_state(study, trial, "a", "b") == (TrialState.RUNNING, {})
    set_attributes(other, other.trials[0], {"a": {"one": 1}, "b": None, "c": 2})
    assert stored_state(study, trial, "a", "b", "d") == (TrialState.RUNNING, {"a": {"one": 1}, "b": None})
    other.tell(0, 0.5)
    assert stored_state(study, trial, "c") == (TrialState.COMPLETE, {"c": 2})
    with pytest.raises(KeyError):
        stored_state(study, optuna.trial.create_trial(value=1.0), "a")


def test_attributes_of_another_processes_trial(study: optuna.Study, storage: RDBStorage) -> None:
    trial = study.ask()
    other = optuna.load_study(study_name="second", storage=storage)
    set_attributes(other, other.trials[0], {"a": 1, "b": "two"})
    assert stored_trial(study, trial).user_attrs == {"a": 1, "b": "two"}
    study.tell(trial, 0.5)
    with pytest.raises(UpdateFinishedTrialError):
        set_attributes(study, trial, {"a": 2})


def test_system_attributes_of_a_study(study: optuna.Study, storage: RDBStorage) -> None:
    set_study_system_attribute(study, "note", "one")
    other = optuna.load_study(study_name="second", storage=storage)
    assert study_system_attributes(other)["note"] == "one"
    assert "note" not in study_system_attributes(optuna.load_study(study_name="first", storage=storage))


def test_the_values_of_a_queued_trial(study: optuna.Study) -> None:
    study.enqueue_trial({"x": 0.25, "y": 0.5})
    trial = study.ask()
    assert queued_values(stored_trial(study, trial)) == {"x": 0.25, "y": 0.5}
    trial.suggest_float("x", 0, 1)
    assert stored_trial(study, trial).params == {"x": 0.25}
    assert queued_values(stored_trial(study, trial)) == {"x": 0.25, "y": 0.5}


def test_trials_are_read_once_until_the_next_is_asked(study: optuna.Study, storage: RDBStorage) -> None:
    study.ask()
    seen = trials_once_read(study)
    other = optuna.load_study(study_name=study.study_name, storage=storage)
    other.ask()
    assert [trial.number for trial in trials_once_read(study)] == [trial.number for trial in seen] == [0]
    study.ask()
    assert [trial.number for trial in trials_once_read(study)] == [0, 1, 2]


def test_a_study_is_read_once_in_a_look(study: optuna.Study, storage: RDBStorage) -> None:
    mine, others = study.ask(), optuna.load_study(study_name=study.study_name, storage=open_storage(str(storage.url)))
    others.set_user_attr("note", "before")
    asked: list[str] = []

    @sqlalchemy.event.listens_for(storage.engine, "before_cursor_execute")
    def note(connection: object, cursor: object, statement: str, *rest: object) -> None:
        asked.append(statement)

    def seen() -> tuple[list[TrialState], object]:
        return [trial.state for trial in study.get_trials(deepcopy=False)], study.user_attrs["note"]

    with one_look(study):
        assert seen() == ([TrialState.RUNNING], "before")
        once = len(asked)
        others.ask()
        others.set_user_attr("note", "after")
        assert seen() == seen() == ([TrialState.RUNNING], "before")
        assert len(asked) == once
        mine.set_user_attr("detail", 1)
        assert seen() == ([TrialState.RUNNING], "before")
        study.tell(mine, 0.5)  # a write of its own
        assert seen() == ([TrialState.COMPLETE, TrialState.RUNNING], "after")
    others.set_user_attr("note", "last")
    assert seen() == ([TrialState.COMPLETE, TrialState.RUNNING], "last")
    with one_look(study):
        assert seen() == ([TrialState.COMPLETE, TrialState.RUNNING], "last")


def test_what_a_look_gives_is_the_callers(study: optuna.Study) -> None:
    study.set_user_attr("note", 1)
    with one_look(study):
        study.user_attrs["note"] = 2
        assert study.user_attrs == {"note": 1}


def test_no_other_module_uses_a_private_name_of_optuna() -> None:
    folder = Path(mobilenet_chest.__file__).parent
    private = re.compile(r"\b(?:study|trial|storage|optuna|t)\._[a-z]")
    modules = {path.name for path in folder.rglob("*.py") if private.search(path.read_text(encoding="utf-8"))}
    assert modules <= {"optuna_adapter.py"}
