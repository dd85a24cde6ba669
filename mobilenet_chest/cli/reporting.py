"""What went wrong, as the user sees it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from mobilenet_chest import interrupts
from mobilenet_chest.errors import MobilenetChestError, NotDelivered

STORE, DELIVERY = "mobilenet_chest.tracking.store", "mobilenet_chest.tracking.outbox.delivery"
"""Modules that a command has imported when it tracks something; one that does not is spared the seconds."""


@contextmanager
def reporting() -> Iterator[None]:
    """Errors of this package as one line on stderr and their exit code; an interrupt as 130."""
    try:
        with _delivered(), _of_the_store(), interrupts.translated():
            yield
    except MobilenetChestError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(error.exit_code) from None
    except KeyboardInterrupt:
        typer.echo("interrupted; the same command goes on where this one stopped", err=True)
        raise typer.Exit(130) from None


@contextmanager
def _of_the_store() -> Iterator[None]:
    """What a tracking store fails with in the midst of a command, in a line."""
    try:
        yield
    except Exception:
        if STORE not in sys.modules:
            raise
        from mobilenet_chest.tracking.store import told

        with told():
            raise


@contextmanager
def _delivered() -> Iterator[None]:
    """What a command could not send while the tracking store was away is sent at its end.

    Raises:
        NotDelivered: It could not; where the command itself has failed, its own error stands, and a line says so.
    """
    try:
        yield
    except NotDelivered:
        raise
    except BaseException:
        try:
            _deliver(patience=0.0)
        except NotDelivered as error:
            typer.echo(str(error), err=True)
        raise
    _deliver(patience=None)


def _deliver(patience: float | None) -> None:
    if DELIVERY not in sys.modules:
        return
    from mobilenet_chest.tracking.outbox.delivery import left, settle, what_waits

    try:
        settle(patience)
    except KeyboardInterrupt:
        if waiting := left(own=True):
            raise NotDelivered(what_waits(waiting)) from None
        raise
