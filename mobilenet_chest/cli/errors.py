"""Errors as one line on stderr, and exit codes."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from mobilenet_chest import interrupts, logs
from mobilenet_chest.cli.format import err, error_line, fitted
from mobilenet_chest.errors import MobilenetChestError, NotDelivered

logger = logging.getLogger(__name__)

STORE, DELIVERY = "mobilenet_chest.tracking.store", "mobilenet_chest.tracking.outbox.delivery"
"""Modules that a command has imported when it tracks something; a command that does not is spared the seconds."""


@contextmanager
def exit_codes() -> Iterator[None]:
    """Show the package's log, and turn its errors into one line and their exit code; an interrupt into 130."""
    logs.show(shape=lambda text: fitted(text, err))
    try:
        with _flushed(), _store_errors(), interrupts.translated():
            yield
    except MobilenetChestError as error:
        logger.debug("%s, exit code %d", type(error).__name__, error.exit_code, exc_info=True)
        _say(str(error))
        raise typer.Exit(error.exit_code) from None
    except KeyboardInterrupt:
        _say("interrupted; run the same command to continue")
        raise typer.Exit(130) from None
    except Exception:  # a mistake of ours: Python prints the traceback
        logger.critical("unexpected error", exc_info=True, extra={logs.PRINTED: True})
        raise


def _say(text: str) -> None:
    """Print a line on stderr, and add it to the log's file."""
    error_line(text, log=logger)


@contextmanager
def _store_errors() -> Iterator[None]:
    """Turn what a tracking store fails with during a command into an error of this package."""
    try:
        yield
    except Exception:
        if STORE not in sys.modules:
            raise
        from mobilenet_chest.tracking.store import as_tracking_lost

        with as_tracking_lost():
            raise


@contextmanager
def _flushed() -> Iterator[None]:
    """Flush at the end what a command could not send while the tracking store was away.

    Raises:
        NotDelivered: The store is still away. Where the command itself has failed, its own error is raised, and this
            one becomes a line on stderr.
    """
    try:
        yield
    except NotDelivered:
        raise
    except BaseException:
        try:
            _flush(patience=0.0)
        except NotDelivered as error:
            _say(str(error))
        raise
    _flush(patience=None)


def _flush(patience: float | None) -> None:
    if DELIVERY not in sys.modules:
        return
    from mobilenet_chest.tracking.outbox.outbox import pending_summary, process_outbox

    try:
        process_outbox().flush(patience)
    except KeyboardInterrupt:
        if waiting := process_outbox().pending(own=True):
            raise NotDelivered(pending_summary(waiting)) from None
        raise
