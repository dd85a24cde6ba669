"""Whose a trial is: a worker holds it while it lives or gives signs of life, and writes only while it holds it.

A trial's number is its fencing number. A trial that is taken from its worker ends in the study, for good, and its
values are queued again under a higher number; so "is my trial still running?" tells whether a write may go on. The
question and the write are made one by a lock that whoever takes the trial away has to get first.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from typing import Any

import optuna
from filelock import FileLock
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import Trial, TrialState

from mobilenet_chest.errors import OwnershipLost, SweepFailed, WriteFailed
from mobilenet_chest.sweep.storage import advisory_lock, exclusive, is_sqlite, lock_engine, lock_file
from mobilenet_chest.tracking.provenance import identity, known_alive

BEATS = 4
"""Signs of life within a lease."""

LEAVE_SECONDS = 5.0


class Lease:
    """A worker's hold on its trial; signs of life are given while it is entered.

    Args:
        study: The study.
        url: Its storage.
        trial: The trial that this process has claimed.
        seconds: Of the lease.
    """

    def __init__(self, study: optuna.Study, url: str, trial: Trial, seconds: float) -> None:
        self._study, self._url, self._trial, self._seconds = study, url, trial, seconds
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._give_signs, name="lease", daemon=True)
        self._mutex, self._depth, self._ended = threading.RLock(), 0, False
        self._engine = None if is_sqlite(url) else lock_engine(url)

    def __enter__(self) -> Lease:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join(LEAVE_SECONDS)  # it may be waiting for a database that is away
        if self._engine is not None:
            self._engine.dispose()
        else:
            # the trial has ended: who finds the file gone, or waits for it, will see that
            lock_file(self._url, lock_name(self._trial._trial_id)).unlink(missing_ok=True)

    @contextmanager
    def held(self) -> Iterator[None]:
        """For the length of the block nobody can take the trial away; may be nested.

        Raises:
            OwnershipLost: The trial has been taken away.
        """
        with self._mutex:
            if self._depth or self._ended:
                yield
                return
            with self._lock():
                if self._study._storage.get_trial(self._trial._trial_id).state != TrialState.RUNNING:
                    raise OwnershipLost(f"trial {self._trial.number} was taken from this worker")
                self._depth += 1
                try:
                    yield
                finally:
                    self._depth -= 1

    def end(self) -> None:
        """This worker has told the study how its trial ended: nobody takes it any more, and what waits for its run may
        still be written there."""
        self._ended = True

    def _lock(self) -> AbstractContextManager[object]:
        name = lock_name(self._trial._trial_id)
        return FileLock(lock_file(self._url, name)) if self._engine is None else advisory_lock(self._engine, name, True)

    def _give_signs(self) -> None:
        beat = 0
        while not self._done.wait(self._seconds / BEATS):
            beat += 1
            try:
                self._study._storage.set_trial_user_attr(
                    self._trial._trial_id, "worker", heartbeat_of(self._seconds, beat)
                )
            except WriteFailed:
                continue  # there may be room again for the next
            except (UpdateFinishedTrialError, SweepFailed):
                return  # the trial is over, or the database: held() finds out


def heartbeat_of(seconds: float, beat: int = 0) -> dict[str, Any]:
    """What a trial says of its worker: which process it is, how often it gave a sign of life, and its lease."""
    return identity() | {"beat": beat, "lease": seconds}


def lock_name(trial_id: int) -> str:
    """The lock of a trial."""
    return f"trial-{trial_id}"


@contextmanager
def revocable(url: str, trial_id: int) -> Iterator[bool]:
    """Whether a trial may be taken from its worker now: not in the midst of a write."""
    with exclusive(url, lock_name(trial_id), wait=False) as free:
        yield free
    if free and is_sqlite(url):
        lock_file(url, lock_name(trial_id)).unlink(missing_ok=True)


class WorkerWatch:
    """Who is alive, as this process sees it.

    A worker of this machine is asked. One that is stopped, or on another machine, is alive until the signs it gives
    have stayed the same for the length of its lease, by the clock of this process alone: clocks of machines differ.
    Time in which the signs were not read (the database was locked, this machine slept) hardly counts.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._looked_at: float | None = None
        self._signs: dict[Hashable, _Signs] = {}

    def look(self, study: optuna.Study) -> bool:
        """Read the signs of all that have a trial; whether one of them is gone."""
        running = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        now = self._clock()
        passed = 0.0 if self._looked_at is None else now - self._looked_at
        self._looked_at = now
        workers = [trial.user_attrs.get("worker") for trial in running]
        before, self._signs = self._signs, {}
        for worker in workers:
            if worker is None or known_alive(worker) is not None:
                continue
            old, beat = before.get(_key(worker)), int(worker["beat"])
            if old is None or old.beat != beat:
                self._signs[_key(worker)] = _Signs(beat, worker["lease"], seen_alive=old is not None)
            else:
                self._signs[_key(worker)] = replace(old, silent=old.silent + min(passed, worker["lease"] / BEATS))
        return not all(self.alive(worker) for worker in workers)

    def alive(self, worker: Mapping[str, Any] | None) -> bool:
        """Whether a worker counts as alive, after the last look."""
        known = known_alive(worker)
        if known is not None or worker is None:
            return bool(known)
        signs = self._signs.get(_key(worker))
        return signs is None or signs.beat != worker["beat"] or signs.silent < float(worker["lease"])

    def undecided(self) -> bool:
        """Whether there are workers that only watching on can tell about."""
        return any(not signs.seen_alive and signs.silent < signs.lease for signs in self._signs.values())


@dataclass(frozen=True)
class _Signs:
    beat: int
    lease: float
    silent: float = 0.0
    seen_alive: bool = False


def _key(worker: Mapping[str, Any]) -> Hashable:
    return tuple(worker.get(name) for name in ("host", "machine", "pid", "started"))
