"""Locks that the processes of a study share: held by one at a time, released after errors and kills."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.servers import Postgres

from mobilenet_chest.sweep.locks import CLAIMS, advisory_lock, exclusive, lock_engine, lock_file


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'optuna.db'}"


def hold(url: str, marker: Path, seen: multiprocessing.queues.Queue[bool]) -> None:
    for _ in range(20):
        with exclusive(url):
            free = not marker.exists()
            marker.write_text(str(os.getpid()))
            marker.unlink()
        seen.put(free)


@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
def test_the_lock_is_held_by_one_process_at_a_time(url: str, tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    seen: multiprocessing.queues.Queue[bool] = context.Queue()
    processes = [context.Process(target=hold, args=(url, tmp_path / "held", seen)) for _ in range(3)]
    for process in processes:
        process.start()
    assert [seen.get(timeout=60) for _ in range(60)] == [True] * 60
    for process in processes:
        process.join(timeout=60)
    seen.close()
    seen.join_thread()
    assert [process.exitcode for process in processes] == [0] * 3


def test_the_lock_is_released_after_an_error(url: str) -> None:
    def fail() -> None:
        with exclusive(url):
            raise RuntimeError("in here")

    attempt: Callable[[], None] = fail
    for _ in range(2):
        with pytest.raises(RuntimeError, match="in here"):
            attempt()


def test_who_does_not_wait_is_told_that_the_lock_is_held(url: str, tmp_path: Path) -> None:
    with exclusive(url) as held, exclusive(url, wait=False) as second, exclusive(url, "trial-1", wait=False) as other:
        assert (held, second, other) == (True, False, True)
    assert lock_file(url, CLAIMS) == tmp_path / "optuna.db.lock"
    assert lock_file(url, "trial-1") == tmp_path / "optuna.db.trial-1.lock"


def hold_and_die(url: str) -> None:
    with exclusive(url):
        os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.skipif(os.name != "posix", reason="POSIX signals")
@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
def test_the_lock_of_a_killed_process_is_free(url: str) -> None:
    process = multiprocessing.get_context("fork").Process(target=hold_and_die, args=(url,))
    process.start()
    process.join(timeout=60)
    assert process.exitcode == -signal.SIGKILL
    with exclusive(url, wait=False) as held:
        assert held


def test_advisory_locks_of_postgresql(postgres: Postgres) -> None:
    url = postgres.create()
    with exclusive(url) as held, exclusive(url, wait=False) as second, exclusive(url, "trial-1", wait=False) as other:
        assert (held, second, other) == (True, False, True)
    engine = lock_engine(url)
    with pytest.raises(RuntimeError, match="in here"), advisory_lock(engine, CLAIMS, wait=True):
        raise RuntimeError("in here")
    with advisory_lock(engine, CLAIMS, wait=False) as again:
        assert again
    engine.dispose()


def test_a_file_has_one_lock_whatever_form_its_address_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "o.db").touch()
    (tmp_path / "link.db").symlink_to("o.db")
    forms = ["sqlite:///o.db", "sqlite:///o.db?timeout=60", "sqlite+pysqlite:///o.db", f"sqlite:///{tmp_path}/o.db",
             "sqlite:///file:o.db?uri=true", "sqlite:///link.db"]  # fmt: skip
    assert {lock_file(form, CLAIMS) for form in forms} == {(tmp_path / "o.db.lock").resolve()}
