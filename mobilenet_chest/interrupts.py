"""Interrupts that cannot get lost: Ctrl-C and SIGTERM end the work in order, wherever they strike."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

AGAIN_SECONDS = 0.05

_struck = False


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
        signal.signal(signal.SIGALRM, raise_interrupt)
        signal.setitimer(signal.ITIMER_REAL, AGAIN_SECONDS)

    sys.unraisablehook = again


def raise_interrupt(_signal: int, _frame: FrameType | None) -> None:
    """Signal handler.

    Raises:
        KeyboardInterrupt: Always.
    """
    global _struck
    _struck = True
    raise KeyboardInterrupt


@contextmanager
def unmistaken() -> Iterator[None]:
    """An error that an interrupt has caused counts as the interrupt.

    Libraries turn what strikes inside them into errors of their own: torch's file writer, for one, finds its file cut
    short while it closes it, and raises RuntimeError.

    Raises:
        KeyboardInterrupt: In place of any exception, once a signal of :func:`install` has struck.
    """
    try:
        yield
    except Exception as error:
        if _struck:
            raise KeyboardInterrupt from error
        raise
