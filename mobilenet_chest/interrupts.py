"""Interrupts that cannot get lost: Ctrl-C and SIGTERM end the work in order, wherever they strike."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

AGAIN_SECONDS = 0.05

END_SECONDS = 10.0
"""So long after an interrupt a further one is taken for the same: the work is ending, and what it keeps is not to be
cut short by an impatient hand."""

_struck_at: float | None = None
_uncut, _waiting = 0, False


def install(*signals: signal.Signals) -> None:
    """Let signals raise KeyboardInterrupt in the main thread, and see that Python does not swallow it.

    A signal handler runs between any two instructions, so also inside finalizers and weakref callbacks (SQLAlchemy has
    many), and what is raised there is only printed as "Exception ignored": the interrupt would be lost and the work go
    on. It is raised again a moment later; where there are no interval timers (Windows) it stays lost.
    """
    for number in signals:
        if signal.getsignal(number) != signal.SIG_IGN:  # nohup: whoever ignored it meant it
            signal.signal(number, raise_interrupt)
    if not hasattr(signal, "setitimer"):
        return
    report = sys.unraisablehook

    def again(unraisable: sys.UnraisableHookArgs, /) -> None:
        if not issubclass(unraisable.exc_type, KeyboardInterrupt):
            report(unraisable)
            return
        # not at once, or it would strike inside this very hook
        signal.signal(signal.SIGALRM, _raise_again)
        signal.setitimer(signal.ITIMER_REAL, AGAIN_SECONDS)

    sys.unraisablehook = again


def raise_interrupt(_signal: int, _frame: FrameType | None) -> None:
    """Signal handler.

    Raises:
        KeyboardInterrupt: Always, but for a second signal within :data:`END_SECONDS`.
    """
    global _struck_at, _waiting
    now = time.monotonic()
    if _struck_at is not None and now - _struck_at < END_SECONDS:
        os.write(2, b"ending; what is in hand is being kept\n")  # print() may be what was interrupted
        return
    _struck_at = now
    if _uncut:
        _waiting = True
        return
    raise KeyboardInterrupt


def _raise_again(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


@contextmanager
def deferred() -> Iterator[None]:
    """An interrupt waits for the end of the block.

    For what must not be left half done: a database's transaction that is neither committed nor rolled back keeps the
    database locked, also for whoever wants to write down that there was an interrupt.

    Raises:
        KeyboardInterrupt: On leaving, if a signal of :func:`install` came meanwhile.
    """
    global _uncut, _waiting
    if threading.current_thread() is not threading.main_thread():  # signals do not strike there
        yield
        return
    _uncut += 1
    try:
        yield
    finally:
        _uncut -= 1
        if _waiting and not _uncut:
            _waiting = False
            raise KeyboardInterrupt


@contextmanager
def translated() -> Iterator[None]:
    """An error that an interrupt has caused counts as the interrupt.

    Libraries turn what strikes inside them into errors of their own: torch's file writer, for one, finds its file cut
    short while it closes it, and raises RuntimeError.

    Raises:
        KeyboardInterrupt: In place of any exception, once a signal of :func:`install` has struck.
    """
    try:
        yield
    except Exception as error:
        if _struck_at is not None:
            raise KeyboardInterrupt from error
        raise
