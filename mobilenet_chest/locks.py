"""Locks that are waited for as long as their holders give signs of life.

A process that is killed gives its locks back; one that is stopped, or hangs, keeps them. Where others can do without
what it makes they need not wait for it for ever.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

BEAT_SECONDS = 1.0
"""Time between two signs of life, and between two looks at them."""

SILENT_SECONDS = 15.0
"""A holder whose signs another process has seen unchanged for so long is not waited for any more."""


def acquire(file: Path, enough: Callable[[], bool]) -> FileLock | None:
    """A lock, held.

    Args:
        file: Of the lock, in a folder that exists.
        enough: Whether the lock is not needed any more; asked before each attempt.

    Returns:
        The lock to release; ``None`` when its holder is silent, or it is enough.

    Raises:
        OSError: The file cannot be written.
    """
    lock, silent = FileLock(file), 0.0
    beat: str | None = None
    while silent < SILENT_SECONDS and not enough():
        with suppress(Timeout):
            lock.acquire(timeout=BEAT_SECONDS)
            return lock
        before, beat = beat, _read(_beat_file(file))
        # looks are counted, not the time between them: all may have been stopped together, by Ctrl-Z for one
        silent = silent + BEAT_SECONDS if beat == before else 0.0
    return None


@contextmanager
def giving_signs(file: Path) -> Iterator[None]:
    """For the length of the block, in which the lock ``file`` is held, a text beside it keeps changing."""
    beat_file, done = _beat_file(file), threading.Event()

    def beat() -> None:
        while True:
            with suppress(OSError):  # without a sign the others merely do the same work themselves
                beat_file.write_text(str(time.time_ns()), encoding="utf-8")
            if done.wait(BEAT_SECONDS):
                return

    thread = threading.Thread(target=beat, name="signs of life", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        with suppress(OSError):  # what is left is not looked at but while the lock is held
            beat_file.unlink(missing_ok=True)


def _beat_file(file: Path) -> Path:
    return file.with_suffix(".beat")


def _read(file: Path) -> str | None:
    # opened for each look: only then do network file systems show what another machine has written
    try:
        return file.read_text(encoding="utf-8")
    except OSError:
        return None
