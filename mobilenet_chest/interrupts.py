"""Interrupts that cannot get lost: Ctrl-C and SIGTERM end the work in order, wherever they strike."""

from __future__ import annotations

import signal
import sys
from types import FrameType

AGAIN_SECONDS = 0.05


def raise_interrupt(_signal: int, _frame: FrameType | None) -> None:
    """Signal handler.

    Raises:
        KeyboardInterrupt: Always.
    """
    raise KeyboardInterrupt


def make_certain() -> None:
    """Raise a KeyboardInterrupt again that Python swallowed.

    A signal handler runs between any two instructions, so also inside finalizers and weakref callbacks (SQLAlchemy has
    many), and what is raised there is only printed as "Exception ignored": the interrupt would be lost and the work go
    on. Where there are no interval timers (Windows) nothing changes.
    """
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
