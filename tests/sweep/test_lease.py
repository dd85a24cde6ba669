"""A trial's lease: nobody revokes the trial in the midst of a write, and a worker that lost it writes nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState

from mobilenet_chest.errors import OwnershipLost, SweepFailed, WriteFailed
from mobilenet_chest.sweep import attributes
from mobilenet_chest.sweep import lease as lease_module
from mobilenet_chest.sweep.claims import reap
from mobilenet_chest.sweep.lease import BEATS, Lease, WorkerWatch, revocable, worker_record
from mobilenet_chest.sweep.optuna_adapter import stored_trial
from mobilenet_chest.sweep.storage import open_storage

LEASE = 60


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'optuna.db'}"


@pytest.fixture
def study(url: str) -> Iterator[optuna.Study]:
    storage = open_storage(url)
    yield optuna.create_study(study_name="s", storage=storage)
    storage.remove_session()
    storage.engine.dispose()


def lock_files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*trial*"))


def nobody_is_alive(_: object) -> bool:
    return False


# --- the lease -----------------------------------------------------------------------------------------------------


def test_a_held_trial_is_not_revoked_and_a_revoked_trial_is_not_held(
    study: optuna.Study, url: str, tmp_path: Path
) -> None:
    trial = study.ask({"x": optuna.distributions.FloatDistribution(0, 1)})
    with Lease(study, url, trial, LEASE) as lease:
        with lease.held():
            with lease.held():  # a write within a write
                assert reap(study, url, nobody_is_alive) == []
            assert reap(study, url, nobody_is_alive) == []
        assert reap(study, url, nobody_is_alive) == [0]
        with pytest.raises(OwnershipLost, match="trial 0"), lease.held():
            raise AssertionError("entered")
    ended, queued = study.trials
    assert (ended.state, queued.state) == (TrialState.FAIL, TrialState.WAITING)
    assert queued.user_attrs[attributes.RETRY_OF] == 0
    assert lock_files(tmp_path) == []


def test_a_result_told_within_the_block_does_not_end_the_block(study: optuna.Study, url: str) -> None:
    trial = study.ask()
    written = []
    with Lease(study, url, trial, LEASE) as lease, lease.held():
        study.tell(trial, 0.5)
        with lease.held():
            written.append("tag")
    assert written == ["tag"]


def test_pending_writes_are_allowed_after_the_worker_itself_has_ended_the_trial(study: optuna.Study, url: str) -> None:
    own_trial, revoked_trial = study.ask(), study.ask()
    with Lease(study, url, own_trial, LEASE) as lease, lease.held():
        study.tell(own_trial, 0.5)
        lease.end()
    written = []
    with lease.held():
        written.append("pending")
    with Lease(study, url, revoked_trial, LEASE) as other:
        study.tell(revoked_trial.number, state=TrialState.FAIL)
    with pytest.raises(OwnershipLost, match="trial 1"), other.held():
        written.append("to another worker's trial")
    assert written == ["pending"]


def test_a_trial_that_has_ended_is_not_revoked(study: optuna.Study, url: str, tmp_path: Path) -> None:
    trial = study.ask()
    with Lease(study, url, trial, LEASE) as lease, lease.held():
        study.tell(trial, 0.5)
    assert reap(study, url, nobody_is_alive) == []
    with revocable(url, study.trials[0]) as held:
        assert held
    assert lock_files(tmp_path) == []


def test_heartbeats_are_written_until_the_lease_ends(study: optuna.Study, url: str) -> None:
    trial = study.ask()
    trial.set_user_attr(attributes.WORKER, worker_record(0.2))

    def beat() -> int:
        return int(stored_trial(study, trial).user_attrs[attributes.WORKER]["beat"])

    assert beat() == 0
    with Lease(study, url, trial, 0.2):
        deadline = time.monotonic() + 30
        while beat() < 3 and time.monotonic() < deadline:
            time.sleep(0.05)
    last = beat()
    assert last >= 3
    time.sleep(0.2)
    assert beat() == last


@pytest.mark.parametrize(("error", "goes_on"), [(WriteFailed, True), (SweepFailed, False)])
def test_a_full_disk_does_not_end_the_heartbeat_and_a_lost_database_does(
    study: optuna.Study, url: str, monkeypatch: pytest.MonkeyPatch, error: type[Exception], goes_on: bool
) -> None:
    def fail(*_: object) -> None:
        raise error("away")

    lease = Lease(study, url, study.ask(), LEASE)
    assert lease._beat(1)
    monkeypatch.setattr(lease_module, "set_attributes", fail)
    assert lease._beat(2) == goes_on


def test_the_heartbeat_ends_with_its_trial(study: optuna.Study, url: str) -> None:
    trial = study.ask()
    lease = Lease(study, url, trial, LEASE)
    study.tell(trial, 0.5)
    assert not lease._beat(1)


# --- the watch -----------------------------------------------------------------------------------------------------


class Watched:
    """A watch with a clock of its own, and a worker that cannot be looked up from here."""

    def __init__(self, study: optuna.Study) -> None:
        self.now = 1000.0
        self.study = study
        self.trial = study.ask()
        self.watch = WorkerWatch(lambda: self.now)
        self.beat(0)

    def beat(self, number: int) -> FrozenTrial:
        """Write a heartbeat; return the trial with it."""
        self.trial.set_user_attr(attributes.WORKER, worker_record(LEASE, number))
        return stored_trial(self.study, self.trial)

    def somebody_gone_after(self, seconds: float) -> bool:
        """Look again so many seconds later."""
        self.now += seconds
        return self.watch.look(self.study)


@pytest.fixture
def watched(study: optuna.Study, monkeypatch: pytest.MonkeyPatch) -> Watched:
    monkeypatch.setattr(lease_module, "process_alive", lambda worker: None)
    return Watched(study)


def test_a_worker_without_a_heartbeat_for_a_lease_is_dead(watched: Watched) -> None:
    assert not watched.somebody_gone_after(0)
    assert watched.watch.undecided()
    for second in range(1, LEASE):
        assert not watched.somebody_gone_after(1), second
    assert watched.somebody_gone_after(1)
    assert not watched.watch.alive(watched.beat(0))
    assert not watched.watch.undecided()
    assert watched.watch.alive(watched.beat(1))  # a heartbeat newer than the last look


def test_a_heartbeat_begins_the_lease_again(watched: Watched) -> None:
    for beat in range(5):
        watched.beat(beat)
        for _ in range(LEASE - 5):
            assert not watched.somebody_gone_after(1)
    assert not watched.watch.undecided()


@pytest.mark.slow
def test_a_worker_whose_trials_end_before_their_first_heartbeat_is_alive(watched: Watched) -> None:
    """Heartbeats start at 0 with every trial, so a new trial counts as one."""
    for _ in range(LEASE + BEATS):
        assert not watched.somebody_gone_after(1)
        watched.study.tell(watched.trial, 0.5)
        watched.trial = watched.study.ask()
        watched.beat(0)
    assert not watched.watch.undecided()


def test_of_a_worker_with_two_trials_the_newer_tells(watched: Watched) -> None:
    """A process that was interrupted in mid-trial and runs on may have left one behind."""
    left = watched.beat(0)
    watched.somebody_gone_after(0)
    watched.trial = watched.study.ask()
    watched.beat(0)
    for _ in range(LEASE):
        assert not watched.somebody_gone_after(1)
    assert watched.watch.alive(left)
    assert watched.somebody_gone_after(1)
    assert not watched.watch.alive(left)


def test_time_without_a_look_hardly_counts(watched: Watched) -> None:
    watched.somebody_gone_after(0)
    assert not watched.somebody_gone_after(3600)  # the database was locked, for the worker too
    assert watched.watch.alive(watched.beat(0))
    counted = LEASE // BEATS
    for _ in range(LEASE - counted - 1):
        assert not watched.somebody_gone_after(1)
    assert watched.somebody_gone_after(1)


def test_a_worker_of_this_machine_is_looked_up(study: optuna.Study, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, trial = SimpleNamespace(now=1000.0), study.ask()
    watch = WorkerWatch(lambda: clock.now)
    assert watch.look(study)  # a trial without a worker
    assert not watch.alive(stored_trial(study, trial))
    trial.set_user_attr(attributes.WORKER, worker_record(LEASE))
    for _ in range(5 * LEASE):  # this process lives, whatever its heartbeat
        clock.now += 1
        assert not watch.look(study)
    assert not watch.undecided()
    monkeypatch.setattr(lease_module, "process_alive", nobody_is_alive)
    assert watch.look(study)
    assert not watch.alive(stored_trial(study, trial))
