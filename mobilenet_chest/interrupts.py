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
"""Time after which an interrupt that Python has swallowed is raised again."""

END_SECONDS = 10.0
"""Seconds after an interrupt in which a further one is ignored: an impatient second Ctrl-C must not cut short the
saving of the current epoch."""

_struck_at: float | None = None
_deferring, _waiting = 0, False


def install(*signals: signal.Signals) -> None:
    """Let signals raise KeyboardInterrupt in the main thread, and see that Python does not swallow it.

    A signal handler runs between any two instructions, so also inside finalizers and weakref callbacks, of which
    SQLAlchemy has many. Python prints what is raised there as "Exception ignored", and the work would go on. So the
    interrupt is raised again a moment later, except on Windows, which has no interval timers.
    """
    for number in signals:
        if signal.getsignal(number) != signal.SIG_IGN:  # nohup: whoever ignored it meant it
            signal.signal(number, raise_interrupt)
    if not hasattr(signal, "setitimer"):
        return
    report = sys.unraisablehook

    def raise_later(unraisable: sys.UnraisableHookArgs, /) -> None:
        if not issubclass(unraisable.exc_type, KeyboardInterrupt):
            report(unraisable)
            return
        # not at once: it would strike inside this very hook
        signal.signal(signal.SIGALRM, _raise_again)
        signal.setitimer(signal.ITIMER_REAL, AGAIN_SECONDS)

    sys.unraisablehook = raise_later


def raise_interrupt(_signal: int, _frame: FrameType | None) -> None:
    """Handle a signal.

    Raises:
        KeyboardInterrupt: Unless the last signal came less than :data:`END_SECONDS` ago, or :func:`deferred` waits.
    """
    global _struck_at, _waiting
    now = time.monotonic()
    if _struck_at is not None and now - _struck_at < END_SECONDS:
        os.write(2, b"stopping: saving the current epoch\n")  # the interrupt may have struck inside print() or a log
        return
    _struck_at = now
    if _deferring:
        _waiting = True
        return
    raise KeyboardInterrupt


def _raise_again(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def caused(error: BaseException) -> bool:
    """Return whether an error is an interrupt, or came after one.

    Libraries turn an interrupt inside them into errors of their own. torch's file writer, for one, finds its file cut
    short while it closes it, and raises RuntimeError.
    """
    return isinstance(error, KeyboardInterrupt) or (isinstance(error, Exception) and _struck_at is not None)


@contextmanager
def deferred() -> Iterator[None]:
    """Let an interrupt wait for the end of the block.

    A transaction that is neither committed nor rolled back keeps its database locked, also for the process that wants
    to write down that it was interrupted.

    Raises:
        KeyboardInterrupt: At the end, if a signal of :func:`install` came meanwhile.
    """
    global _deferring, _waiting
    if threading.current_thread() is not threading.main_thread():  # signals do not strike there
        yield
        return
    _deferring += 1
    try:
        yield
    finally:
        _deferring -= 1
        if _waiting and not _deferring:
            _waiting = False
            raise KeyboardInterrupt


@contextmanager
def translated() -> Iterator[None]:
    """Raise an error that an interrupt has caused, by :func:`caused`, as the interrupt.

    Raises:
        KeyboardInterrupt: In place of any exception, once a signal of :func:`install` has struck.
    """
    try:
        yield
    except Exception as error:
        if caused(error):
            raise KeyboardInterrupt from error
        raise
