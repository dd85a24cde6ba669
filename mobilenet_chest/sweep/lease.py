"""Whose a trial is: its worker holds it as long as it lives, and writes only while it holds it.

A trial's number is its fencing token. A trial that is revoked has ended in the study for good, and its values are
queued again under a higher number. So "is my trial still running?" tells whether a write is allowed. The question and
the write are one step under the trial's lock, and whoever revokes the trial needs that lock first.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, Self

import optuna
from filelock import FileLock
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, Trial, TrialState

from mobilenet_chest.errors import OwnershipLost, SweepFailed, WriteFailed
from mobilenet_chest.liveness import Heartbeat, Watch
from mobilenet_chest.sweep import attributes
from mobilenet_chest.sweep.attempts import trial_name
from mobilenet_chest.sweep.locks import advisory_lock, exclusive, lock_engine, lock_file
from mobilenet_chest.sweep.optuna_adapter import set_attributes, stored_state, trial_id
from mobilenet_chest.sweep.trial_state import running_trials
from mobilenet_chest.tracking.database import is_sqlite
from mobilenet_chest.tracking.provenance import identity, process_alive

BEATS = 4
"""Heartbeats in the length of a lease."""

LEAVE_SECONDS = 5.0
"""How long the end of a lease waits for a heartbeat that is being written: the database may be away."""


class Lease:
    """A worker's hold on its trial. While it is entered, a thread writes heartbeats into the trial's attributes.

    Args:
        study: The study.
        url: Its storage.
        trial: The trial that this process has claimed.
        seconds: Length of the lease: a worker whose heartbeat stops for so long loses its trial.
    """

    def __init__(self, study: optuna.Study, url: str, trial: Trial, seconds: float) -> None:
        self._study, self._url, self._trial, self._seconds = study, url, trial, seconds
        self._heartbeat = Heartbeat(self._beat, seconds / BEATS, name="lease", leave_seconds=LEAVE_SECONDS)
        self._mutex, self._depth, self._ended, self._left = threading.RLock(), 0, False, False
        self._engine = None if is_sqlite(url) else lock_engine(url)

    def __enter__(self) -> Self:
        self._heartbeat.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._heartbeat.stop()
        if self._engine is not None:
            self._engine.dispose()
        elif not self._left:
            # The trial has ended: whoever waits for this file, or creates another, sees that in the study.
            lock_file(self._url, lock_name(self._trial)).unlink(missing_ok=True)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep others from revoking the trial within the block; blocks may be nested.

        Raises:
            OwnershipLost: The trial was revoked before.
        """
        with self._mutex:
            if self._depth or self._ended:
                yield
                return
            with self._lock():
                # asked under the lock: a revocation is over, or has to wait until this block ends
                if not self._is_own():
                    raise OwnershipLost(f"{trial_name(self._study, self._trial)} was revoked: another worker has it")
                self._depth += 1
                try:
                    yield
                finally:
                    self._depth -= 1

    def end(self) -> None:
        """Record that this worker has told the study how its trial ended.

        Nobody revokes the trial any more, and pending writes to its run stay allowed.
        """
        self._ended = True

    def leave(self) -> None:
        """Give up a held trial that is about to be paused: another worker may hold it a moment later."""
        self._heartbeat.stop()
        self._left = True
        if self._engine is None:
            # Before the pause, not after it: the next worker's lock must not lose its file. Whoever revokes the trial
            # in between makes the pause fail.
            lock_file(self._url, lock_name(self._trial)).unlink(missing_ok=True)

    def _is_own(self) -> bool:
        """Return whether the trial is still this process's: not ended, not paused, and not another worker's since."""
        state, known = stored_state(self._study, self._trial, attributes.WORKER, attributes.PAUSED)
        worker = known.get(attributes.WORKER)
        same = worker is None or _process(worker) == _process(identity())
        return state == TrialState.RUNNING and known.get(attributes.PAUSED) is None and same

    def _lock(self) -> AbstractContextManager[object]:
        name = lock_name(self._trial)
        return FileLock(lock_file(self._url, name)) if self._engine is None else advisory_lock(self._engine, name, True)

    def _beat(self, beat: int) -> bool:
        try:
            set_attributes(self._study, self._trial, {attributes.WORKER: worker_record(self._seconds, beat)})
        except WriteFailed:
            pass  # there may be room for the next heartbeat
        except (UpdateFinishedTrialError, SweepFailed):
            return False  # the trial has ended, or the database is gone: held() raises for the worker
        return True


def worker_record(seconds: float, beat: int = 0) -> dict[str, Any]:
    """Return what a trial says of its worker: the process, the number of its heartbeat, and its lease in seconds."""
    return identity() | {"beat": beat, "lease": seconds}


def lock_name(trial: Trial | FrozenTrial) -> str:
    """Return the name of a trial's lock."""
    return f"trial-{trial_id(trial)}"


@contextmanager
def revocable(url: str, trial: FrozenTrial) -> Iterator[bool]:
    """Hold a trial's lock if its worker is not in the midst of a write.

    Yields:
        Whether the lock is held: only then may the trial be revoked.
    """
    with exclusive(url, lock_name(trial), wait=False) as held:
        yield held
    if held and is_sqlite(url):
        lock_file(url, lock_name(trial)).unlink(missing_ok=True)


class WorkerWatch:
    """Tells which workers of a study are alive, as this process sees them.

    A worker of this machine is looked up among its processes. One that is stopped, or runs on another machine, is alive
    until its heartbeat has not changed for the length of its lease, by this process's clock.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._watched: dict[Hashable, _Watched] = {}

    def look(self, study: optuna.Study) -> bool:
        """Read the heartbeats of all workers that run a trial, and return whether one of the workers is gone."""
        running = running_trials(study)
        newest = {}
        for trial in running:  # by number, so that a worker's newest trial has the last word
            worker = trial.user_attrs.get(attributes.WORKER)
            if worker is not None and process_alive(worker) is None:
                newest[_process(worker)] = trial
        earlier, self._watched = self._watched, {}
        for process, trial in newest.items():
            lease = float(trial.user_attrs[attributes.WORKER]["lease"])
            # a watch for each worker: leases differ, and with them how much an interval without a look counts
            watch = earlier[process].watch if process in earlier else Watch(lease / BEATS, self._clock)
            watch.look({process: _heartbeat(trial)})
            self._watched[process] = _Watched(watch, lease, _heartbeat(trial))
        return not all(map(self.alive, running))

    def alive(self, trial: FrozenTrial) -> bool:
        """Whether the worker of a running trial counts as alive after the last look; no worker at all is a dead one."""
        worker = trial.user_attrs.get(attributes.WORKER)
        alive = process_alive(worker)
        if alive is not None or worker is None:
            return bool(alive)
        watched = self._watched.get(_process(worker))
        if watched is None or _heartbeat(trial) > watched.heartbeat:  # its heartbeat came after the last look
            return True
        return not watched.watch.stale(_process(worker), float(worker["lease"]))

    def undecided(self) -> bool:
        """Whether there is a worker of which only further looks can tell whether it is alive."""
        pulses = [(watched.watch.pulse(process), watched.lease) for process, watched in self._watched.items()]
        return any(pulse is not None and not pulse.moved and pulse.silent < lease for pulse, lease in pulses)


@dataclass(frozen=True)
class _Watched:
    """A worker that cannot be looked up: its watch, its lease in seconds, and its heartbeat at the last look."""

    watch: Watch
    lease: float
    heartbeat: tuple[int, int]


def _process(worker: Mapping[str, Any]) -> Hashable:
    return tuple(worker.get(name) for name in ("host", "machine", "pid", "started"))


def _heartbeat(trial: FrozenTrial) -> tuple[int, int]:
    """The trial counts too: heartbeats start at 0 with each trial, and short trials end before their first."""
    return trial.number, int(trial.user_attrs[attributes.WORKER]["beat"])
