"""File locks with a heartbeat: waiters stop waiting when the holder's heartbeat stops.

The operating system releases the locks of a killed process. A process that is stopped, or hangs, keeps them. Waiters
that can do without what the holder makes need not wait for it for ever.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from mobilenet_chest.liveness import Heartbeat, Watch

HEARTBEAT_SECONDS = 1.0
"""Time between two heartbeats, and between two observations of them."""

STALE_SECONDS = 15.0
"""Seconds without a new heartbeat after which a holder is not waited for any more."""


def acquire(file: Path, unneeded: Callable[[], bool]) -> FileLock | None:
    """Wait for a lock and return it, held.

    Args:
        file: Lock file, in a folder that exists.
        unneeded: Return whether the lock is no longer needed; asked before each attempt.

    Returns:
        The lock, for the caller to release; ``None`` when the holder's heartbeat is stale, or the lock is unneeded.

    Raises:
        OSError: The file cannot be written.
    """
    lock, watch = FileLock(file), Watch(gap=HEARTBEAT_SECONDS)
    while not watch.stale(file, STALE_SECONDS) and not unneeded():
        with suppress(Timeout):
            lock.acquire(timeout=HEARTBEAT_SECONDS)
            return lock
        watch.look({file: _read(_heartbeat_file(file))})
    return None


@contextmanager
def held(file: Path, wait: bool) -> Iterator[bool]:
    """Hold a lock for the block and give True; without ``wait`` give False where another process holds it.

    Raises:
        OSError: The file cannot be written.
    """
    lock = FileLock(file)
    try:
        lock.acquire(timeout=-1 if wait else 0)
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


@contextmanager
def heartbeat(file: Path) -> Iterator[None]:
    """Write heartbeats to a file beside the lock ``file``, which the caller holds, until the block ends."""
    heartbeat_file = _heartbeat_file(file)

    def beat(_number: int) -> None:
        with suppress(OSError):  # without a heartbeat the waiters merely do the same work themselves
            heartbeat_file.write_text(str(time.time_ns()), encoding="utf-8")

    try:
        with Heartbeat(beat, HEARTBEAT_SECONDS, at_once=True):
            yield
    finally:
        with suppress(OSError):  # a file that stays is read only while the lock is held
            heartbeat_file.unlink(missing_ok=True)


def _heartbeat_file(lock_file: Path) -> Path:
    return lock_file.with_suffix(".beat")


def _read(file: Path) -> str | None:
    # opened for each reading: only then do network file systems show what another machine has written
    try:
        return file.read_text(encoding="utf-8")
    except OSError:
        return None
