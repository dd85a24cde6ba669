"""Whose a trial is: nobody takes it in the midst of a write, and who has lost it writes nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from mobilenet_chest.errors import OwnershipLost
from mobilenet_chest.sweep import lease as lease_module
from mobilenet_chest.sweep.claims import reap
from mobilenet_chest.sweep.lease import Lease, WorkerWatch, heartbeat_of, revocable
from mobilenet_chest.sweep.storage import open_storage


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'optuna.db'}"


@pytest.fixture
def study(url: str) -> Iterator[optuna.Study]:
    storage = open_storage(url)
    yield optuna.create_study(study_name="s", storage=storage)
    storage.remove_session()
    storage.engine.dispose()


def locks(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*trial*"))


def everybody_is_gone(worker: object) -> bool:
    return False


# --- the lease -----------------------------------------------------------------------------------------------------


def test_what_is_held_cannot_be_taken_and_what_is_taken_cannot_be_held(
    study: optuna.Study, url: str, tmp_path: Path
) -> None:
    trial = study.ask({"x": optuna.distributions.FloatDistribution(0, 1)})
    with Lease(study, url, trial, 60) as lease:
        with lease.held():
            with lease.held():  # a write within a write
                assert reap(study, url, everybody_is_gone) == []
            assert reap(study, url, everybody_is_gone) == []
        assert reap(study, url, everybody_is_gone) == [0]
        with pytest.raises(OwnershipLost, match="trial 0 was taken from this worker"), lease.held():
            raise AssertionError("entered")
    ended, queued = study.trials
    assert (ended.state, queued.state) == (TrialState.FAIL, TrialState.WAITING)
    assert queued.user_attrs["retry_of"] == 0
    assert locks(tmp_path) == []


def test_what_was_told_within_the_block_does_not_end_it(study: optuna.Study, url: str) -> None:
    trial = study.ask()
    written = []
    with Lease(study, url, trial, 60) as lease, lease.held():
        study.tell(trial, 0.5)
        with lease.held():
            written.append("tag")
    assert written == ["tag"]


def test_what_waits_for_a_trial_may_be_written_after_its_worker_has_ended_it(study: optuna.Study, url: str) -> None:
    mine, taken = study.ask(), study.ask()
    with Lease(study, url, mine, 60) as lease, lease.held():
        study.tell(mine, 0.5)
        lease.end()
    written = []
    with lease.held():
        written.append("what had waited")
    with Lease(study, url, taken, 60) as other:
        study.tell(taken.number, state=TrialState.FAIL)
    with pytest.raises(OwnershipLost, match="trial 1 was taken"), other.held():
        written.append("of another worker's trial")
    assert written == ["what had waited"]


def test_a_trial_that_has_ended_is_not_taken(study: optuna.Study, url: str, tmp_path: Path) -> None:
    trial = study.ask()
    with Lease(study, url, trial, 60) as lease, lease.held():
        study.tell(trial, 0.5)
    assert reap(study, url, everybody_is_gone) == []
    with revocable(url, trial._trial_id) as free:
        assert free
    assert locks(tmp_path) == []


def test_signs_of_life_are_given_until_the_lease_ends(study: optuna.Study, url: str) -> None:
    trial = study.ask()
    trial.set_user_attr("worker", heartbeat_of(0.2))
    seen = threading.Event()

    def beat() -> int:
        return int(study._storage.get_trial(trial._trial_id).user_attrs["worker"]["beat"])

    assert beat() == 0
    with Lease(study, url, trial, 0.2):
        for _ in range(200):
            if beat() >= 3:
                seen.set()
                break
            threading.Event().wait(0.05)
    assert seen.is_set()
    last = beat()
    threading.Event().wait(0.2)
    assert beat() == last


# --- the watch -----------------------------------------------------------------------------------------------------


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every worker is one that cannot be asked."""
    monkeypatch.setattr(lease_module, "known_alive", lambda worker: None)


@pytest.fixture
def watched(study: optuna.Study, elsewhere: None) -> tuple[WorkerWatch, Clock, Callable[[int], dict[str, Any]]]:
    """A watch, its clock, and what lets the worker of the one trial give a sign; its lease is 60 s."""
    clock, trial = Clock(), study.ask()

    def give(beat: int) -> dict[str, Any]:
        trial.set_user_attr("worker", heartbeat_of(60, beat))
        return heartbeat_of(60, beat)

    give(0)
    return WorkerWatch(clock), clock, give


def test_silence_for_a_lease_is_death(study: optuna.Study, watched: Any) -> None:
    watch, clock, give = watched
    worker = give(0)
    assert not watch.look(study)
    assert watch.undecided()
    for second in range(1, 60):
        clock.now += 1
        assert not watch.look(study), second
    clock.now += 1
    assert watch.look(study)
    assert not watch.alive(worker)
    assert not watch.undecided()
    assert not watch.alive(give(0))
    assert watch.alive(give(1))  # a sign that came after the look


def test_a_sign_begins_the_lease_anew(study: optuna.Study, watched: Any) -> None:
    watch, clock, give = watched
    for beat in range(5):
        give(beat)
        for _ in range(55):
            clock.now += 1
            assert not watch.look(study)
    assert not watch.undecided()


def test_time_in_which_nobody_looked_hardly_counts(study: optuna.Study, watched: Any) -> None:
    watch, clock, give = watched
    watch.look(study)
    clock.now += 3600  # the database was locked, for the worker too
    assert not watch.look(study)
    assert watch.alive(give(0))
    for _ in range(44):
        clock.now += 1
        assert not watch.look(study)
    clock.now += 1
    assert watch.look(study)


def test_who_can_be_asked_is_asked(study: optuna.Study, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, trial = Clock(), study.ask()
    watch = WorkerWatch(clock)
    assert watch.look(study)  # nobody has signed
    assert not watch.alive(None)
    trial.set_user_attr("worker", heartbeat_of(60))
    for _ in range(300):  # this process: it lives, whatever it says or not
        clock.now += 1
        assert not watch.look(study)
    monkeypatch.setattr(lease_module, "known_alive", everybody_is_gone)
    assert watch.look(study)
    assert not watch.alive(heartbeat_of(60))
